package history

// act is what a caller or a worker did to one task, except a claim.
type act struct {
	op         Op
	who        string
	begin, end int64 // it took effect between these, if it did
	told       int64 // when its end was told, never if it was not
	result     Result
	dueMS      int64
	delayMS    int64
	kind       string // Snoozed, of a rollback
	tx         string // the transaction of a caller by whose commit it took effect, if any
	conflict   string // of an upsert
	pay        int64
	expiresMS  int64
	ver        int64 // of a burial, as the next three
	reason     string
	attempt    int
	claim      claim // by which its worker had the task; without a token if no line tells
}

func newAct(e Event) *act {
	return &act{op: e.Op, who: e.Who, begin: e.At, end: never, told: never, result: Unknown, dueMS: e.DueMS, delayMS: e.DelayMS, kind: e.Kind,
		tx: e.Tx, conflict: e.Conflict, pay: e.Pay, expiresMS: e.ExpiresMS, ver: e.Ver, reason: e.Reason, attempt: e.Attempt}
}

// did reports whether the act certainly took effect, may whether it can have.
func (a *act) did() bool {
	return a.result == OK || a.result == Claimed || a.result == Created || a.result == Replaced
}
func (a *act) may() bool { return a.did() || a.result == Unknown }

// answers reports whether a is what a caller says of its delivery.
func (a *act) answers() bool {
	switch a.op {
	case Confirm, ConfirmTx, Settle, Rollback, Discard:
		return true
	}
	return false
}

// confirms reports whether a's kind of answer ends the task by deleting its row.
func (a *act) confirms() bool { return a.op == Confirm || a.op == ConfirmTx || a.op == Discard }

// creates reports whether a may have made the task.
func (a *act) creates() bool {
	switch a.op {
	case Create, Requeue:
		return a.may()
	case Upsert:
		return a.result == Created || a.result == Unknown
	}
	return false
}

// moves reports whether a may have given a stored task another due time.
func (a *act) moves() bool {
	switch a.op {
	case Reschedule:
		return a.may()
	case Upsert:
		return (a.conflict == Earliest || a.conflict == Debounce) && (a.result == Replaced || a.result == Unknown)
	}
	return false
}

// offers reports whether a may have made the task due at its time.
func (a *act) offers() bool { return a.creates() || a.moves() }

// pays reports whether a may have given the task its payload.
func (a *act) pays() bool {
	return a.op != Requeue && a.creates() || a.op == Upsert && a.conflict != Earliest && (a.result == Replaced || a.result == Unknown)
}

// replacesOnly reports whether a may have given a stored task another version, and left its due time: what is delivered at
// that time once more is the new version.
func (a *act) replacesOnly() bool {
	return a.op == Upsert && a.conflict == Replace && (a.result == Replaced || a.result == Unknown)
}

// ends reports whether a may have ended an earlier offer of the task.
func (a *act) ends() bool {
	return a.moves() || (a.op == Delete || a.op == Bury) && a.may()
}
