package hotset

import "github.com/triggerhook/triggerhook/task"

// Codes by which the scripts say what became of a member; prelude.lua has a name for each. The header
// of each script has those that it returns.
const (
	codeAbsent    = 0 // remove, release, find
	codeWaiting   = 1 // add, feed, remove, release, find
	codeClaimed   = 2 // register, remove, release, find
	codeElsewhere = 3 // register, release
	codeBeyond    = 4 // add, feed, release
	codeDead      = 5 // add, feed, register, release
	codeOrphan    = 6 // find
	codePresent   = 7 // add, feed
	codeAgain     = 8 // find: not all batches were named, so that it is asked again
)

// findAgain stands for codeAgain, while Find asks; it returns no member with that.
const findAgain task.FindOutcome = 255

// addOutcome is what a code of add.lua stands for; false: it has no such code. The functions below
// are the same for other scripts.
func addOutcome(code int64) (task.AddOutcome, bool) {
	switch code {
	case codeWaiting:
		return task.AddTaken, true
	case codePresent:
		return task.AddPresent, true
	case codeBeyond:
		return task.AddBeyond, true
	case codeDead:
		return task.AddDead, true
	}
	return 0, false
}

// registerOutcome reads a code of register.lua, which Add runs if the request has a Token.
func registerOutcome(code int64) (task.AddOutcome, bool) {
	switch code {
	case codeClaimed:
		return task.AddClaimed, true
	case codeElsewhere:
		return task.AddElsewhere, true
	case codeDead:
		return task.AddDead, true
	}
	return 0, false
}

func removeOutcome(code int64) (task.RemoveOutcome, bool) {
	switch code {
	case codeAbsent:
		return task.RemoveAbsent, true
	case codeWaiting:
		return task.RemoveWaiting, true
	case codeClaimed:
		return task.RemoveClaimed, true
	}
	return 0, false
}

func releaseOutcome(code int64) (task.ReleaseOutcome, bool) {
	switch code {
	case codeWaiting:
		return task.ReleaseWaiting, true
	case codeClaimed:
		return task.ReleaseLeased, true
	case codeElsewhere:
		return task.ReleaseElsewhere, true
	case codeBeyond:
		return task.ReleaseBeyond, true
	case codeDead:
		return task.ReleaseDead, true
	case codeAbsent:
		return task.ReleaseAbsent, true
	}
	return 0, false
}

func findOutcome(code int64) (task.FindOutcome, bool) {
	switch code {
	case codeAbsent:
		return task.FindAbsent, true
	case codeWaiting:
		return task.FindWaiting, true
	case codeClaimed:
		return task.FindClaimed, true
	case codeOrphan:
		return task.FindOrphan, true
	case codeAgain:
		return findAgain, true
	}
	return 0, false
}

// outcomes reads a code for each of n members, with the function of its script. A cold partition
// has sent none: each outcome is the zero value.
func outcomes[T any](a *reply, n int, of func(code int64) (T, bool)) []T {
	all := make([]T, n)
	if a.asOf.Generation == 0 {
		return all
	}
	for i := range all {
		all[i] = outcome(a, of)
	}
	return all
}

// outcome reads one code. If the function of the script refuses the code the reply is wrong.
func outcome[T any](a *reply, of func(code int64) (T, bool)) T {
	o, ok := of(a.int())
	if !ok {
		a.fail("has a strange outcome")
	}
	return o
}
