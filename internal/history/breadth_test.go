package history

import (
	"slices"
	"testing"
	"time"
)

// Histories of transactions, upserts, dead letters and expiry. Times are as in check_test.go.

// with returns events with more in them.
func with(events []Event, f func(e *Event)) []Event {
	events = slices.Clone(events)
	for i := range events {
		f(&events[i])
	}
	return events
}

func inTx(tx string, events []Event) []Event { return with(events, func(e *Event) { e.Tx = tx }) }
func paying(n int64, events []Event) []Event { return with(events, func(e *Event) { e.Pay = n }) }
func attempt(n int, events []Event) []Event {
	return with(events, func(e *Event) {
		if e.Op == Deliver {
			e.Attempt = n
		}
	})
}

// had is a delivery of that version whose lines say so.
func had(ver, at int64, who, token string, call int64) []Event {
	return slices.Concat(of(ver, taken(at-2, at-1, who, token)), deliver(at, who, call, 1000))
}

// of are the lines of a claim that took that version.
func of(ver int64, claim []Event) []Event {
	return with(claim, func(e *Event) {
		if len(e.Members) > 0 {
			e.Members = []Member{{ID: "a", Ver: ver, DueMS: 1000}}
		}
	})
}

// ahead are the lines of a claim that took the version with that payload before its time.
func ahead(pay, at int64, who, token string) []Event {
	return with(takenFor(1000, at, at+1, who, token), func(e *Event) {
		if len(e.Members) > 0 {
			e.Members[0].Pay = pay
		}
	})
}

func answer(op Op, from, to int64, who string, call int64, r Result) []Event {
	return both(from, to, Event{Who: who, Call: call, Op: op}, r)
}
func confirmTx(from, to int64, who string, call int64, tx string, r Result) []Event {
	return inTx(tx, answer(ConfirmTx, from, to, who, call, r))
}
func upsert(from, to, due int64, how string, n int64, r Result) []Event {
	return with(by(Upsert, from, to, due, r), func(e *Event) { e.Pay, e.Conflict = n, how })
}
func bury(from, to, ver int64, who, reason string, attempt int, r Result) []Event {
	calls++
	return both(from, to, Event{Who: who, Call: calls, Op: Bury, Ver: ver, Reason: reason, Attempt: attempt}, r)
}
func snooze(from, to int64, who string, call int64) []Event {
	return with(rollback(from, to, who, call, 0, OK), func(e *Event) { e.Kind = Snoozed })
}
func expiring(at int64, events []Event) []Event {
	return with(events, func(e *Event) { e.ExpiresMS = at })
}

// end is the end of a run: these transactions have committed, and there are dead letters of these versions.
func end(committed []string, letters ...int64) (out []Event) {
	for _, tx := range committed {
		out = append(out, Event{Op: Committed, Tx: tx})
	}
	for _, ver := range letters {
		out = append(out, Event{Op: Letter, ID: "a", Ver: ver})
	}
	return append(out, Event{Op: Ledger})
}

var (
	v1   = had(7, 1003, "w1", "t1", 1)
	kept = []string{"x"}
	// given up by its handler, and buried for that
	discarded = slices.Concat(v1, answer(Discard, 1100, 1200, "w1", 1, OK), bury(1110, 1190, 7, "w1", "discarded: so", 1, OK))
)

// many are histories of that many tasks.
func many(n int, f func(id string) []Event) (out []Event) {
	for i := range n {
		id := string(rune('A'+i)) + string(rune('0'+n/fewest))
		out = append(out, with(f(id), func(e *Event) {
			if e.ID != "" {
				e.ID = id
			}
			for i := range e.Members {
				e.Members[i].ID = id
			}
			if e.Tx != "" {
				e.Tx = id
			}
			e.Call = int64(i)*100 + e.Call%100
		})...)
	}
	return out
}

// lateAfterCommit is a task that comes 2 s after the transaction that created it when it was due.
func lateAfterCommit(at int64) func(string) []Event {
	return func(id string) []Event {
		calls = 1
		return slices.Concat(inTx("x", create(1500, 1510, 1000, OK)), taken(at-2, at-1, "w1", "t"+id), deliver(at, "w1", 50, 1000), confirm(at+1, at+2, "w1", 50, OK))
	}
}

// onTime is a task that comes when it is due.
func onTime(id string) []Event {
	calls = 1
	return slices.Concat(create(0, 10, 1000, OK), taken(1000, 1001, "w2", "u"+id), deliver(1002, "w2", 50, 1000), confirm(1003, 1004, "w2", 50, OK))
}

// claimedAfterCommit is a task that is claimed although a transaction deleted it 2 s before.
func claimedAfterCommit(id string) []Event {
	calls = 1
	return slices.Concat(create(0, 10, 3000, OK), inTx("x", remove(500, 510, OK)), taken(3000, 3001, "w1", "t"+id), deliver(3002, "w1", 50, 3000), confirm(3003, 3004, "w1", 50, Gone))
}

// Each rule finds the histories that break it, and only that rule does.
func TestTheRulesOfTransactionsUpsertsAndDeadLettersFindTheirBadHistories(t *testing.T) {
	made, old := create(0, 10, 1000, OK), calls
	defer func() { calls = max(calls, old) }()
	for name, bad := range map[string]struct {
		rule  string
		parts [][]Event
	}{
		"delivered though its transaction was rolled back":            {Inexact, [][]Event{inTx("x", create(0, 10, 1000, Aborted)), w1, w1End}},
		"delivered before its transaction committed":                  {Inexact, [][]Event{inTx("x", create(1050, 1060, 1000, OK)), w1, w1End}},
		"delivered though its COMMIT without an answer had failed":    {Inexact, [][]Event{inTx("x", create(0, none, 1000, "")), w1, w1End, end(nil)}},
		"its COMMIT without an answer succeeded, and it never came":   {Lost, [][]Event{inTx("x", create(0, none, 1000, "")), end(kept)}},
		"its transaction committed, and it never came":                {Lost, [][]Event{inTx("x", create(0, 10, 1000, OK))}},
		"late after its commit, and after all faults":                 {Overdue, [][]Event{inTx("x", create(2000, 2010, 1000, OK)), taken(12012, 12013, "w1", "t1"), deliver(12014, "w1", 1, 1000), w1End}},
		"claimed long after a transaction that deleted it":            {Ghost, [][]Event{create(0, 10, 11000, OK), inTx("x", remove(500, 510, OK)), taken(11000, 11001, "w1", "t1"), deliver(11002, "w1", 1, 11000), confirm(11003, 11004, "w1", 1, Gone)}},
		"claimed long after a transaction that rescheduled it":        {Ghost, [][]Event{create(0, 10, 11000, OK), inTx("x", reschedule(500, 510, 12000, OK)), taken(11000, 11001, "w1", "t1"), deliver(11002, "w1", 1, 11000), confirm(11003, 11004, "w1", 1, Gone), taken(12000, 12001, "w1", "t2"), deliver(12002, "w1", 2, 12000), confirm(12003, 12004, "w1", 2, OK)}},
		"most come late after their commits":                          {Overdue, [][]Event{many(fewest, lateAfterCommit(3600)), many(2*fewest, onTime)}},
		"most are claimed after the transactions that deleted them":   {Ghost, [][]Event{many(fewest, claimedAfterCommit)}},
		"a transaction deleted what was never made":                   {Untrue, [][]Event{inTx("x", create(0, 10, 1000, Aborted)), inTx("y", remove(500, 510, OK))}},
		"a transaction deleted what was confirmed before":             {Untrue, [][]Event{made, w1, w1End, inTx("x", remove(1200, 1210, OK))}},
		"confirmed in a transaction after it was rescheduled":         {Untrue, [][]Event{made, v1, reschedule(1050, 1060, 3000, OK), confirmTx(1100, 1110, "w1", 1, "x", OK), taken(3000, 3001, "w2", "t2"), deliver(3002, "w2", 1, 3000)}},
		"confirmed in two transactions, one after the other":          {Twice, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"), taken(4500, 4501, "w2", "t2"), deliver(4502, "w2", 1, 1000), confirmTx(4510, 4520, "w2", 1, "y", OK), confirmTx(4600, 4610, "w1", 1, "x", OK), blurring(4600, 4605, "mysqlkill", "")}},
		"confirmed in two transactions at once":                       {Twice, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"), taken(4500, 4501, "w2", "t2"), deliver(4502, "w2", 1, 1000), confirmTx(4510, 4620, "w2", 1, "y", OK), confirmTx(4600, 4610, "w1", 1, "x", OK)}},
		"one version confirmed in two transactions, and made anew":    {Twice, [][]Event{made, create(4700, 4710, 1000, Unknown), v1, parting(1500, 4200, Stop, "w1"), had(7, 4502, "w2", "t2", 1), confirmTx(4510, 4620, "w2", 1, "y", OK), confirmTx(4600, 4610, "w1", 1, "x", OK)}},
		"a COMMIT without an answer was one too many":                 {Twice, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"), taken(4500, 4501, "w2", "t2"), deliver(4502, "w2", 1, 1000), confirmTx(4510, 4620, "w2", 1, "y", Unknown), confirmTx(4600, 4610, "w1", 1, "x", OK), end([]string{"x", "y"})}},
		"its transaction had not committed, and its row went":         {Lost, [][]Event{made, w1, confirmTx(1100, none, "w1", 1, "x", ""), crash(1200, "w1"), end(nil)}},
		"its Confirm denies a transaction that had committed":         {Untrue, [][]Event{made, w1, confirmTx(1100, 1110, "w1", 1, "x", OK), answer(Settle, 1120, 1130, "w1", 1, Gone)}},
		"claimed after the transaction that confirmed it":             {AfterDone, [][]Event{made, w1, confirmTx(1100, 1110, "w1", 1, "x", OK), parting(900, 5000, "delay", ""), w2gone(4500)}},
		"twice, and the transaction of the first was not rolled back": {Unexplained, [][]Event{made, w1, w2gone(2000), confirmTx(2500, 2510, "w1", 1, "x", OK)}},
		"its Delete returned nil after a ConfirmTx was rolled back":   {Untrue, [][]Event{made, w1, confirmTx(1010, 1020, "w1", 1, "x", Aborted), remove(1050, 1060, OK), rollback(1070, 1080, "w1", 1, 0, Gone)}},

		"kept, and there was none":                        {Untrue, [][]Event{made, w1, w1End, upsert(1200, 1210, 2005, Keep, 5, Kept)}},
		"replaced, and there was none":                    {Untrue, [][]Event{upsert(200, 210, 2005, Replace, 5, Replaced)}},
		"created what there was":                          {Untrue, [][]Event{made, upsert(500, 510, 2005, Keep, 5, Created), w1, w1End, taken(2005, 2006, "w2", "t2"), paying(5, deliver(2007, "w2", 1, 2005)), confirm(2008, 2009, "w2", 1, Gone)}},
		"kept, and delivered with the payload of the new": {Inexact, [][]Event{made, upsert(500, 510, 2005, Keep, 5, Kept), paying(5, w1), w1End}},
		"kept, and delivered at the time of the new":      {Inexact, [][]Event{made, upsert(500, 510, 2005, Keep, 5, Kept), w1, w1End, taken(2005, 2006, "w2", "t2"), deliver(2007, "w2", 1, 2005), confirm(2008, 2009, "w2", 1, Gone)}},
		"replaced, and claimed with the old payload":      {Ghost, [][]Event{made, upsert(500, 510, 2005, Replace, 5, Replaced), w1, confirm(1100, 1110, "w1", 1, Gone), taken(1200, 1201, "w1", "t2"), paying(5, deliver(1202, "w1", 2, 1000)), confirm(1203, 1204, "w1", 2, OK), rollback(1110, 1111, "w1", 1, 0, OK)}},
		"replaced, and the old one is confirmed":          {Untrue, [][]Event{made, w1, upsert(1050, 1060, 2005, Replace, 5, Replaced), w1End}},
		"pushed out, and claimed at the old time":         {Ghost, [][]Event{made, upsert(500, 510, 2005, Earliest, 5, Replaced), w1, confirm(1100, 1110, "w1", 1, Gone), taken(2005, 2006, "w2", "t2"), deliver(2007, "w2", 1, 2005), confirm(2008, 2009, "w2", 1, OK)}},
		"pushed out, and never delivered":                 {Lost, [][]Event{made, upsert(500, 510, 2005, Debounce, 5, Replaced), remove(3000, 3010, NotFound)}},

		"claimed after it was buried":                          {AfterDone, [][]Event{made, discarded, parting(900, 5000, "delay", ""), w2gone(4500)}},
		"expired, and claimed after it was buried":             {AfterDone, [][]Event{expiring(1500, made), of(7, taken(1505, 1506, "w1", "t1")), bury(1510, 1520, 7, "w1", "expired", 0, OK), taken(1530, 1531, "w2", "t2"), expiring(1500, deliver(1540, "w2", 1, 1000)), confirm(1703, 1704, "w2", 1, Gone)}},
		"buried and confirmed in one version":                  {Untrue, [][]Event{made, create(5000, none, 1000, ""), discarded, parting(1000, 4200, Stop, "w1"), had(7, 1150, "w2", "t2", 1), rollback(1010, 1020, "w1", 1, 0, OK), answer(Confirm, 1160, 1170, "w2", 1, OK)}},
		"deleted after it was buried":                          {Untrue, [][]Event{made, discarded, remove(1300, 1310, OK)}},
		"dead of too few attempts":                             {Untrue, [][]Event{made, v1, answer(Discard, 1100, 1200, "w1", 1, OK), bury(1110, 1190, 7, "w1", "attempts", 2, OK)}},
		"dead of more attempts than there were claims":         {Untrue, [][]Event{made, v1, answer(Discard, 1100, 1200, "w1", 1, OK), bury(1110, 1190, 7, "w1", "attempts", 3, OK)}},
		"given up by no handler":                               {Inexact, [][]Event{made, v1, rollback(1010, 1020, "w1", 1, 0, Gone), bury(1110, 1190, 7, "w1", "discarded", 1, OK)}},
		"its dead letter is missing":                           {Lost, [][]Event{made, discarded, end(nil)}},
		"its dead letter stays though it was requeued":         {Untrue, [][]Event{made, discarded, by(Requeue, 1300, 1310, 2006, OK), taken(2006, 2007, "w2", "t2"), deliver(2008, "w2", 1, 2006), confirm(2009, 2010, "w2", 1, OK), end(nil, 7)}},
		"a dead letter of a version that no worker buried":     {Inexact, [][]Event{made, discarded, end(nil, 8), {{Op: Letter, ID: "a", Ver: 7}}, bury(1110, none, 9, "w1", "discarded", 1, "")}},
		"requeued, and never delivered":                        {Lost, [][]Event{made, discarded, by(Requeue, 1300, 1310, 2006, OK), end(nil)}},
		"a failure that did not count":                         {Miscounted, [][]Event{made, attempt(1, w1), rollback(1100, 1110, "w1", 1, 0, OK), attempt(1, w2(1200))}},
		"an attempt too many, and no late claim arrived":       {Miscounted, [][]Event{made, lostClaim(100, 400, "w9", "t9"), attempt(1, w1), rollback(1100, 1110, "w1", 1, 0, OK), attempt(3, w2(1200))}},
		"a snooze that counted":                                {Miscounted, [][]Event{made, attempt(1, w1), snooze(1100, 1110, "w1", 1), attempt(2, w2(1200))}},
		"a loss of Redis that forgot two attempts":             {Miscounted, [][]Event{made, attempt(3, w1), rollback(1100, 1110, "w1", 1, 0, OK), hit(1120, 1130, "flushall", "", true), attempt(2, w2(1200))}},
		"given up, and the burial too, by one that goes on":    {GivenUp, [][]Event{made, v1, answer(Discard, 1100, 1200, "w1", 1, Unknown), bury(1110, 1190, 7, "w1", "discarded", 1, Unknown)}},
		"handed out after it had expired":                      {Expired, [][]Event{expiring(1500, made), taken(1400, 1401, "w1", "t1"), expiring(1500, deliver(1602, "w1", 1, 1000)), confirm(1603, 1604, "w1", 1, OK)}},
		"handed out without its Expires":                       {Inexact, [][]Event{expiring(1500, made), w1, w1End}},
		"buried as expired before it was":                      {Early, [][]Event{expiring(9500, made), taken(1000, 1001, "w1", "t1"), bury(1110, 1190, 7, "w1", "expired", 0, OK)}},
		"neither delivered nor dead, though it has an Expires": {Lost, [][]Event{expiring(1500, made)}},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := verdict(t, bad.parts...)
			if v.Kept() || v.Broken[bad.rule] != len(v.Violations) {
				t.Errorf("found %v, want %s alone", v.Violations, bad.rule)
			}
		})
	}
}

// What the promises allow breaks no rule.
func TestWhatTransactionsUpsertsAndDeadLettersMayDoPasses(t *testing.T) {
	made := create(0, 10, 1000, OK)
	for name, parts := range map[string][][]Event{
		"committed":                     {inTx("x", create(0, 10, 1000, OK)), w1, w1End, end(kept)},
		"rolled back":                   {inTx("x", create(0, 10, 1000, Aborted)), end(nil)},
		"committed without an answer":   {inTx("x", create(0, none, 1000, "")), w1, w1End, end(kept)},
		"rolled back without an answer": {inTx("x", create(0, none, 1000, "")), end(nil)},
		"claimed soon after a transaction that moved it":  {made, inTx("x", reschedule(995, 999, 3001, OK)), w1, confirm(1100, 1110, "w1", 1, Gone), taken(3001, 3002, "w2", "t2"), deliver(3003, "w2", 1, 3001), confirm(3004, 3005, "w2", 1, OK)},
		"deleted in a transaction while a handler had it": {made, w1, inTx("x", remove(1050, 1060, OK)), confirm(1100, 1110, "w1", 1, Gone)},
		"confirmed in a transaction":                      {made, w1, confirmTx(1100, 1110, "w1", 1, "x", OK), answer(Settle, 1120, 1130, "w1", 1, OK), end(kept)},
		"confirmed in a transaction without an answer":    {made, w1, confirmTx(1100, none, "w1", 1, "x", ""), crash(1200, "w1"), end(kept)},
		"a ConfirmTx that was rolled back, and failed":    {made, attempt(1, w1), confirmTx(1100, 1110, "w1", 1, "x", Aborted), rollback(1120, 1130, "w1", 1, 0, OK), attempt(2, w2(1200)), end(nil)},
		"a ConfirmTx that was rolled back, and confirmed": {made, w1, confirmTx(1100, 1110, "w1", 1, "x", Aborted), answer(Settle, 1120, 1130, "w1", 1, Unknown), w2(1200), end(nil)},
		"a process that ends denies a ConfirmTx":          {made, w1, ending(1090, "w1"), confirmTx(1100, 1110, "w1", 1, "x", OK), answer(Settle, 1120, 1130, "w1", 1, Unknown)},
		"confirmed in two transactions of two lives":      {made, w1, confirmTx(1100, 1110, "w1", 1, "x", OK), create(1200, 1210, 1000, OK), taken(1300, 1301, "w2", "t2"), deliver(1302, "w2", 1, 1000), confirmTx(1310, 1320, "w2", 1, "y", OK)},
		"kept":                        {made, upsert(500, 510, 2005, Keep, 5, Kept), w1, w1End},
		"kept while it was confirmed": {made, w1, upsert(1050, 1200, 2005, Keep, 5, Kept), w1End},
		"replaced in flight":          {made, w1, upsert(1050, 1060, 2005, Replace, 5, Replaced), confirm(1100, 1110, "w1", 1, Gone), taken(1200, 1201, "w2", "t2"), paying(5, deliver(1202, "w2", 1, 1000)), confirm(1203, 1204, "w2", 1, OK)},
		"claimed ahead, replaced, and both are handed out by one": {made, ahead(0, 980, "w1", "t1"), upsert(985, 990, 2005, Replace, 5, Replaced), ahead(5, 992, "w1", "t2"),
			deliver(1000, "w1", 1, 1000), paying(5, deliver(1001, "w1", 2, 1000)), confirm(1002, 1003, "w1", 1, Gone), confirm(1003, 1004, "w1", 2, OK)},
		"claimed ahead, replaced, and the new one comes first": {made, ahead(0, 980, "w1", "t1"), upsert(985, 990, 2005, Replace, 5, Replaced), ahead(5, 992, "w2", "t2"),
			paying(5, deliver(1000, "w2", 1, 1000)), deliver(1001, "w1", 1, 1000), confirm(1002, 1003, "w1", 1, Gone), confirm(1003, 1004, "w2", 1, OK)},
		"pushed out":   {made, upsert(500, 510, 2005, Debounce, 5, Replaced), taken(2005, 2006, "w2", "t2"), paying(5, deliver(2007, "w2", 1, 2005)), confirm(2008, 2009, "w2", 1, OK)},
		"created anew": {made, w1, w1End, upsert(1200, 1210, 2005, Earliest, 5, Created), taken(2005, 2006, "w2", "t2"), paying(5, deliver(2007, "w2", 1, 2005)), confirm(2008, 2009, "w2", 1, OK)},
		"pushed out, perhaps, and called again": {made, upsert(500, 510, 2005, Debounce, 5, Unknown), taken(2005, 2006, "w2", "t2"), paying(5, deliver(2007, "w2", 1, 2005)), upsert(2007, 2009, 2005, Debounce, 5, Replaced), confirm(2010, 2011, "w2", 1, Gone),
			taken(2012, 2013, "w2", "t3"), paying(5, deliver(2014, "w2", 2, 2005)), confirm(2015, 2016, "w2", 2, OK)},
		"given up":               {made, discarded, end(nil, 7)},
		"given up, and requeued": {made, discarded, by(Requeue, 1300, 1310, 2006, OK), taken(2006, 2007, "w2", "t2"), deliver(2008, "w2", 1, 2006), confirm(2009, 2010, "w2", 1, OK), end(nil)},
		"buried twice, as the first answer was lost":        {made, v1, answer(Discard, 1100, 1200, "w1", 1, OK), bury(1110, 1120, 7, "w1", "discarded", 1, Unknown), bury(1130, 1190, 7, "w1", "discarded", 1, OK), end(nil, 7)},
		"buried by two, whose leases had both run out":      {made, discarded, bury(1300, 1310, 7, "w2", "attempts", 3, OK), lostClaim(1, 2, "w9", "t8"), lostClaim(1, 2, "w9", "t9"), end(nil, 7)},
		"dead of its attempts":                              {made, attempt(1, w1), rollback(1100, 1110, "w1", 1, 0, OK), taken(1150, 1151, "w2", "t2"), attempt(2, deliver(1152, "w2", 1, 1000)), rollback(1160, 1170, "w2", 1, 0, OK), attempt(3, had(7, 1200, "w1", "t3", 2)), answer(Discard, 1210, 1300, "w1", 2, OK), bury(1220, 1290, 7, "w1", "attempts", 3, OK), end(nil, 7)},
		"dead of a worker that was killed, again and again": {made, had(7, 1003, "w1", "t1", 1), crash(1100, "w1"), had(7, 4500, "w2", "t2", 1), crash(4600, "w2"), had(7, 8000, "w3", "t3", 1), crash(8100, "w3"), bury(12000, 12010, 7, "w4", "attempts", 3, OK), end(nil, 7)},
		"a loss of Redis that forgot one attempt":           {made, attempt(2, w1), rollback(1100, 1110, "w1", 1, 0, OK), hit(1120, 1130, "flushall", "", true), attempt(2, w2(1200))},
		"a loss of Redis while MySQL was away":              {made, attempt(3, w1), rollback(1100, 1110, "w1", 1, 0, OK), hit(1120, 1130, "flushall", "", true), blurring(1000, 1120, "mysqlkill", ""), attempt(1, w2(1200))},
		"a late claim took it in between":                   {made, lostClaim(100, 400, "w9", "t9"), attempt(1, w1), rollback(1100, 1110, "w1", 1, 0, OK), hit(1120, 1150, "laterequest", "", false), attempt(3, w2(4300))},
		"dead of a claim that was sent before its creation": {lostClaim(100, 400, "w9", "t9"), create(500, 510, 1000, OK), attempt(1, w1), rollback(1100, 1110, "w1", 1, 0, OK), hit(1120, 1150, "laterequest", "", false),
			attempt(3, had(7, 4300, "w1", "t3", 2)), answer(Discard, 4310, 4400, "w1", 2, OK), bury(4320, 4390, 7, "w1", "attempts", 3, OK), end(nil, 7)},
		"snoozed": {made, attempt(2, w1), snooze(1100, 1110, "w1", 1), attempt(2, w2(1200))},
		"snoozed, and another claim of it failed": {made, attempt(1, w1), snooze(1100, 1110, "w1", 1), taken(1150, 1151, "w3", "t3"), crash(1160, "w3"), attempt(2, w2(4300))},
		"expired":                                  {expiring(1500, made), taken(1600, 1601, "w1", "t1"), bury(1610, 1620, 7, "w1", "expired", 0, OK), end(nil, 7)},
		"handed out just before it expired":        {expiring(1500, made), taken(1400, 1401, "w1", "t1"), expiring(1500, deliver(1499, "w1", 1, 1000)), confirm(1603, 1604, "w1", 1, OK)},
		"handed out to a process that was stopped": {expiring(1500, made), taken(1400, 1401, "w1", "t1"), parting(1450, 2500, Stop, "w1"), expiring(1500, deliver(2501, "w1", 1, 1000)), confirm(2603, 2604, "w1", 1, OK)},
		"most come soon after their commits":       {many(fewest, lateAfterCommit(1700))},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := verdict(t, parts...)
			if !v.Kept() {
				t.Errorf("broken: %v", v.Violations)
			}
		})
	}
}

func TestTheVerdictCountsTransactionsUpsertsAndDeadLetters(t *testing.T) {
	made := create(0, 10, 1000, OK)
	v, _ := verdict(t, made, upsert(500, 510, 2005, Keep, 5, Kept), discarded, inTx("y", remove(1300, 1310, Aborted)), inTx("x", create(1400, 1410, 1300, OK)),
		taken(1510, 1511, "w2", "t2"), deliver(1512, "w2", 1, 1300), confirm(1513, 1514, "w2", 1, OK), end(kept, 7))
	if v.Dead != 1 || v.Committed != 1 || v.Aborted != 1 || v.Upserts[Kept] != 1 || v.TxLateP50 != 102*time.Millisecond || !v.Kept() {
		t.Errorf("got %+v", v)
	}
}
