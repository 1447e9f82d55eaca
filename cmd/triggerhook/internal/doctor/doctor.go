// Package doctor looks at the two stores of a namespace: whether their settings keep what the library promises, and whether they agree with
// each other. It reads; only Repair changes anything. A family of checks has a file: MySQL, its rights, Redis, a bolt file, consistency.
package doctor

import (
	"fmt"
	"time"
)

// Status says how good what was seen is.
type Status string

// The statuses of a finding.
const (
	OK      Status = "ok"      // as it should be
	Unread  Status = "unread"  // it could not be read, for example because the user may not; it says nothing of the store
	Warning Status = "warning" // it works, and something is worse than it could be
	Error   Status = "error"   // a promise does not hold, or workers cannot work
)

// Finding is what one check has found.
type Finding struct {
	Check  string `json:"check"`           // its name, such as "mysql.flush"
	Status Status `json:"status"`          // how good that is
	Seen   string `json:"seen"`            // what was found
	Means  string `json:"means,omitempty"` // what that means for tasks
	Mend   string `json:"mend,omitempty"`  // how to mend it, with the command
}

// Worst returns the worst status of findings. What was not read is no worse than OK.
func Worst(all []Finding) Status {
	worst := OK
	for _, f := range all {
		if f.Status == Error || f.Status == Warning && worst == OK {
			worst = f.Status
		}
	}
	return worst
}

// unread is the finding of a check that could not look.
func unread(check string, err error) Finding {
	return Finding{Check: check, Status: Unread, Seen: "not read: " + err.Error(), Means: "This check says nothing.",
		Mend: "Run doctor as a user that may read it."}
}

// failed is the finding of a call that workers make too, and that was answered with an error.
func failed(check, means, mend string, err error) Finding {
	return Finding{check, Error, err.Error(), means, mend}
}

// clock judges the clock of a server that was asked between two times of this machine.
func clock(check, means, mend string, most time.Duration, began, ended, server time.Time) Finding {
	half := ended.Sub(began) / 2
	offset := server.Sub(began.Add(half))
	f := Finding{Check: check, Status: OK, Seen: fmt.Sprintf("offset %s from this machine, give or take %s", offset.Round(time.Millisecond), half.Round(time.Microsecond))}
	if offset.Abs()-half > most {
		f.Status, f.Means, f.Mend = Warning, means, mend
	}
	return f
}
