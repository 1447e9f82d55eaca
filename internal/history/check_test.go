package history

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// Histories of one task, "a", with times in milliseconds; the lease is 3 s and the
// bound 10 s, of what excuses no lateness 5 s.
var limits = Limits{Lease: 3 * time.Second, Bound: 10 * time.Second, Prompt: 5 * time.Second, Drain: 1500 * time.Millisecond, Handed: 100 * time.Millisecond, MaxAttempts: 3}

const none = -1 // no end line

func both(from, to int64, e Event, result Result) []Event {
	e.At = from * 1000
	e.ID = "a"
	out := []Event{e}
	if to != none {
		e.At, e.End, e.Result = to*1000, true, result
		out = append(out, e)
	}
	return out
}

var calls int64 = 100

func by(op Op, from, to, due int64, r Result) []Event {
	calls++
	return both(from, to, Event{Who: "load", Call: calls, Op: op, DueMS: due}, r)
}
func create(from, to, due int64, r Result) []Event     { return by(Create, from, to, due, r) }
func reschedule(from, to, due int64, r Result) []Event { return by(Reschedule, from, to, due, r) }
func remove(from, to int64, r Result) []Event          { return by(Delete, from, to, 0, r) }

// called has events be of another process.
func called(who string, events []Event) []Event {
	for i := range events {
		events[i].Who = who
	}
	return events
}

func taken(began, end int64, who, token string) []Event {
	calls++
	e := Event{At: began * 1000, Who: who, Call: calls, Op: Claim, Token: token}
	out := []Event{e}
	e.At, e.End, e.Result, e.Members = end*1000, true, OK, []Member{{ID: "a"}}
	return append(out, e)
}
func takenFor(due, began, end int64, who, token string) []Event {
	out := taken(began, end, who, token)
	out[1].Members[0].DueMS = due
	return out
}
func lostClaim(began, end int64, who, token string) []Event {
	out := taken(began, end, who, token)
	out[1].Result, out[1].Members = Unknown, nil
	return out
}
func renewed(began int64, who, token string) []Event {
	calls++
	e := Event{At: began * 1000, Who: who, Call: calls, Op: Extend, Tokens: []string{token}}
	out := []Event{e}
	e.At, e.End, e.Result = began*1000+500, true, OK
	return append(out, e)
}
func deliver(at int64, who string, n, due int64) []Event {
	return []Event{{At: at * 1000, Who: who, Call: n, Op: Deliver, ID: "a", DueMS: due}}
}
func confirm(from, to int64, who string, n int64, r Result) []Event {
	return both(from, to, Event{Who: who, Call: n, Op: Confirm}, r)
}
func rollback(from, to int64, who string, n, delay int64, r Result) []Event {
	return both(from, to, Event{Who: who, Call: n, Op: Rollback, DelayMS: delay}, r)
}
func strike(from, to int64, e Event) []Event {
	calls++
	e.Who, e.Call, e.Op = "nemesis", calls, Fault
	f := both(from, to, e, OK)
	for i := range f {
		f[i].ID = ""
	}
	return f
}

// hit is a fault that loses data, or one that leaves Redis and MySQL alone.
func hit(from, to int64, kind, target string, loses bool) []Event {
	return strike(from, to, Event{Kind: kind, Target: target, Loses: loses})
}

// parting is a fault that keeps target from Redis, blurring one that loses answers
// of MySQL.
func parting(from, to int64, kind, target string) []Event {
	return strike(from, to, Event{Kind: kind, Target: target, Parts: true})
}
func blurring(from, to int64, kind, target string) []Event {
	return strike(from, to, Event{Kind: kind, Target: target, Blurs: true})
}

// prompt is a fault that excuses no lateness.
func prompt(from, to int64) []Event {
	return strike(from, to, Event{Kind: "rolling", Prompt: true})
}
func starved(from, to int64, who string) []Event {
	return []Event{{At: to * 1000, Who: who, Op: Fault, Kind: Starved, Target: who, Parts: true, Began: from * 1000}}
}
func ending(at int64, who string) []Event {
	return []Event{{At: at * 1000, Who: "nemesis", Op: Ending, Target: who}}
}
func crash(at int64, who string) []Event {
	return []Event{{At: at * 1000, Who: "nemesis", Op: Crash, Target: who}}
}

func halted(from, to int64) []Event {
	return []Event{{At: to * 1000, Who: "nemesis", Op: Halt, Began: from * 1000}}
}

// Usual beginnings and ends.
var (
	made  = create(0, 10, 1000, OK)
	w1    = slices.Concat(taken(1000, 1002, "w1", "t1"), deliver(1003, "w1", 1, 1000)) // w1 has it
	w1End = confirm(1100, 1110, "w1", 1, OK)
)

// w2 is a second worker that claims, is handed the task at that time and confirms.
func w2(at int64) []Event {
	return slices.Concat(taken(at-2, at-1, "w2", "t2"), deliver(at, "w2", 1, 1000), confirm(at+1, at+2, "w2", 1, OK))
}

// w2gone is the same, but the row is gone.
func w2gone(at int64) []Event {
	return slices.Concat(taken(at-2, at-1, "w2", "t2"), deliver(at, "w2", 1, 1000), confirm(at+1, at+2, "w2", 1, Gone))
}

func verdict(t *testing.T, parts ...[]Event) (*Verdict, []byte) {
	t.Helper()
	var buf bytes.Buffer
	for _, e := range slices.Concat(parts...) {
		line, err := json.Marshal(e)
		if err != nil {
			t.Fatal(err)
		}
		buf.WriteByte('\n')
		buf.Write(line)
	}
	h, err := Read(bytes.NewReader(buf.Bytes()))
	if err != nil {
		t.Fatal(err)
	}
	return h.Check(limits), buf.Bytes()
}

// Each rule finds the histories that break it, and only that rule does.
func TestEachRuleFindsItsBadHistories(t *testing.T) {
	for name, bad := range map[string]struct {
		rule  string
		parts [][]Event
	}{
		"a millisecond before it is due":                                                     {Early, [][]Event{made, taken(998, 998, "w1", "t1"), deliver(999, "w1", 1, 1000), w1End}},
		"before a rollback's delay is over":                                                  {Early, [][]Event{made, w1, rollback(1100, 1110, "w1", 1, 500, OK), w2(1500)}},
		"at a time that no caller asked for":                                                 {Inexact, [][]Event{made, taken(1000, 1002, "w1", "t1"), deliver(1500, "w1", 1, 900), confirm(1600, 1610, "w1", 1, Gone), w2(5000)}},
		"never delivered":                                                                    {Lost, [][]Event{made}},
		"created by a call whose answer was lost, and never delivered":                       {Lost, [][]Event{create(0, 10, 1000, Unknown), create(20, 30, 1000, Exists)}},
		"the rescheduled one is never delivered":                                             {Lost, [][]Event{made, w1, reschedule(1050, 1060, 3000, OK), confirm(1100, 1110, "w1", 1, Gone)}},
		"rolled back and never seen again":                                                   {Lost, [][]Event{made, w1, rollback(1100, 1110, "w1", 1, 0, OK)}},
		"its worker was killed and no other had it":                                          {Lost, [][]Event{made, w1, crash(1100, "w1")}},
		"claimed while the namespace was paused":                                             {Paused, [][]Event{made, halted(900, 3000), w1, w1End}},
		"its row stands at the end":                                                          {Lost, [][]Event{made, w1, confirm(1100, none, "w1", 1, ""), {{Who: "nemesis", Op: Left, ID: "a"}}}},
		"delivered after Delete returned nil":                                                {Ghost, [][]Event{made, remove(500, 510, OK), w1, confirm(1100, 1110, "w1", 1, Gone)}},
		"delivered after Delete returned nil, the one before did not, and its process lives": {Ghost, [][]Event{made, called("w3", remove(500, 510, Unknown)), create(520, 530, 60000, OK), remove(550, 560, OK), w1, confirm(1100, 1110, "w1", 1, Gone)}},
		"delivered after Delete returned nil, though the process of one before died":         {Ghost, [][]Event{made, called("w3", remove(500, 510, Unknown)), crash(540, "w3"), remove(550, 560, OK), w1, confirm(1100, 1110, "w1", 1, Gone)}},
		"delivered after Delete returned nil, as it was made anew":                           {Ghost, [][]Event{made, called("w3", remove(500, 510, Unknown)), create(520, 530, 1000, OK), crash(540, "w3"), remove(550, 560, OK), w1, confirm(1100, 1110, "w1", 1, Gone)}},
		"delivered after Delete, though claimed before":                                      {Ghost, [][]Event{made, taken(1000, 1002, "w1", "t1"), remove(1010, 1020, OK), deliver(1030, "w1", 1, 1000)}},
		"claimed after Delete returned ErrClaimed":                                           {Ghost, [][]Event{made, w1, remove(1050, 1060, Claimed), confirm(1100, 1110, "w1", 1, Gone), hit(900, 1200, "flushall", "", true), w2gone(1200)}},
		"claimed at the old time after a Reschedule":                                         {Ghost, [][]Event{made, reschedule(500, 510, 3000, OK), w1, confirm(1100, 1110, "w1", 1, Gone), taken(3000, 3001, "w2", "t2"), deliver(3002, "w2", 1, 3000), confirm(3003, 3004, "w2", 1, OK)}},
		"claimed after its Confirm":                                                          {AfterDone, [][]Event{made, w1, w1End, parting(900, 5000, "delay", ""), w2gone(4500)}},
		"claimed long after its Confirm and a loss":                                          {AfterDone, [][]Event{made, w1, w1End, hit(4000, 4100, "flushall", "", true), hit(12000, 12500, "kill", "w3", false), w2gone(21000)}},
		"delivered after a Delete that met the one Create under way":                         {Ghost, [][]Event{create(0, 600, 1000, OK), remove(500, 510, OK), w1, confirm(1100, 1110, "w1", 1, Gone)}},
		"handed out by a claim that was answered after its lease":                            {Stale, [][]Event{made, parting(1000, 4100, Stop, "w1"), taken(1000, 4101, "w1", "t1"), deliver(4102, "w1", 1, 1000), confirm(4200, 4210, "w1", 1, OK)}},
		"confirmed twice":                                                                    {Untrue, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"), w2(4500), confirm(4600, 4610, "w1", 1, OK)}},
		"confirmed after its Delete had said ErrClaimed":                                     {Untrue, [][]Event{made, w1, remove(1050, 1060, Claimed), w1End}},
		"its Delete returned nil while a handler had it":                                     {Untrue, [][]Event{made, w1, remove(1050, 1060, OK), confirm(1100, 1110, "w1", 1, Gone)}},
		"its Delete returned nil after a Confirm in it was told Gone":                        {Untrue, [][]Event{made, w1, remove(1050, 1160, OK), confirm(1100, 1110, "w1", 1, Gone)}},
		"its Delete returned nil while a handler had it and kept its lease":                  {Untrue, [][]Event{made, w1, renewed(2000, "w1", "t1"), renewed(3000, "w1", "t1"), remove(5000, 5010, OK), confirm(5100, 5110, "w1", 1, Gone)}},
		"deleted after its Confirm":                                                          {Untrue, [][]Event{made, w1, w1End, remove(1200, 1210, OK)}},
		"claimed at the old time after a Reschedule, and at the new one": {Ghost, [][]Event{made, reschedule(500, 510, 3000, OK), takenFor(1000, 1000, 1001, "w1", "t1"), deliver(1010, "w1", 1, 1000),
			confirm(1100, 1110, "w1", 1, Gone), takenFor(3000, 3000, 3001, "w1", "t2"), deliver(3002, "w1", 2, 3000), confirm(3003, 3004, "w1", 2, OK)}},
		"confirmed after it was rescheduled":                   {Untrue, [][]Event{made, w1, reschedule(1050, 1060, 3000, OK), w1End, taken(3000, 3001, "w2", "t2"), deliver(3002, "w2", 1, 3000)}},
		"twice, as Redis had lost a key before it was made":    {Unexplained, [][]Event{strike(-200, -100, Event{Kind: "delkey", Loses: true, Partly: true}), made, w1, w2(2000), confirm(2500, 2510, "w1", 1, Gone)}},
		"twice, as MySQL was away":                             {Unexplained, [][]Event{made, w1, blurring(1500, 4200, "mysqlkill", ""), w2(4500), confirm(4600, 4610, "w1", 1, Gone)}},
		"twice, as Redis was away while the lease still lived": {Unexplained, [][]Event{made, parting(1100, 1900, "cut", ""), w1, renewed(2000, "w1", "t1"), w2(5500), confirm(5600, 5610, "w1", 1, Gone)}},
		"twice, and its rollback had found nothing":            {Unexplained, [][]Event{made, w1, rollback(1100, 1110, "w1", 1, 0, Gone), w2(2000)}},
		"twice, while the first lease lives":                   {Unexplained, [][]Event{made, w1, w2(2000), confirm(2500, 2510, "w1", 1, Gone)}},
		"twice, while the first lease is kept":                 {Unexplained, [][]Event{made, w1, renewed(2000, "w1", "t1"), renewed(3000, "w1", "t1"), w2(5000), parting(900, 5000, "delay", "")}},
		"twice, as a lease ran out with no fault":              {Unexplained, [][]Event{made, w1, w2(4500), confirm(4600, 4610, "w1", 1, Gone)}},
		"twice, as another worker was stopped":                 {Unexplained, [][]Event{made, w1, parting(1500, 4000, Stop, "w3"), w2(4500)}},
		"twice, as Redis lost data before":                     {Unexplained, [][]Event{hit(100, 200, "flushall", "", true), made, w1, w2(2000)}},
		"twice, while its Confirm is under way":                {Unexplained, [][]Event{made, w1, confirm(1100, 9000, "w1", 1, Unknown), ending(8000, "w1"), w2(2000)}},
		"twice, while its Confirm is under way and succeeds":   {Unexplained, [][]Event{made, w1, confirm(1100, 2500, "w1", 1, OK), w2(2000)}},
		"twice, and rolled back only then":                     {Unexplained, [][]Event{made, w1, w2(2000), rollback(2100, 2110, "w1", 1, 0, Gone)}},
		"rolled back by one whose lease had run out": {Unexplained, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"),
			taken(4300, 4301, "w2", "t2"), deliver(4302, "w2", 1, 1000), rollback(4400, 4410, "w1", 1, 0, OK),
			taken(4500, 4501, "w3", "t3"), deliver(4502, "w3", 1, 1000), confirm(4503, 4504, "w3", 1, OK), confirm(4600, 4610, "w2", 1, Gone)}},
		"later than the bound":                                              {Overdue, [][]Event{made, hit(500, 600, "kill", "", false), taken(11001, 11002, "w1", "t1"), deliver(11003, "w1", 1, 1000), confirm(11100, 11110, "w1", 1, OK)}},
		"later than the bound after a fault":                                {Overdue, [][]Event{made, hit(500, 4000, "kill", "", false), taken(14001, 14002, "w1", "t1"), deliver(14003, "w1", 1, 1000), confirm(14100, 14110, "w1", 1, OK)}},
		"a Confirm given up by a process that goes on":                      {GivenUp, [][]Event{made, w1, confirm(1100, 1200, "w1", 1, Unknown), w2(2500)}},
		"a Confirm given up before its process was told to end":             {GivenUp, [][]Event{made, w1, confirm(1100, 1200, "w1", 1, Unknown), ending(1300, "w1"), crash(2000, "w1"), w2(2500)}},
		"late within a fault that excuses no lateness":                      {Overdue, [][]Event{made, prompt(500, 9000), taken(6001, 6002, "w1", "t1"), deliver(6003, "w1", 1, 1000), confirm(6100, 6110, "w1", 1, OK)}},
		"late after a fault that excuses no lateness, and lasted":           {Overdue, [][]Event{made, prompt(500, 6100), taken(7000, 7001, "w1", "t1"), deliver(7002, "w1", 1, 1000), confirm(7100, 7110, "w1", 1, OK)}},
		"late within it, after another fault":                               {Overdue, [][]Event{made, prompt(500, 9000), hit(600, 2000, "kill", "", false), taken(7001, 7002, "w1", "t1"), deliver(7003, "w1", 1, 1000), confirm(7100, 7110, "w1", 1, OK)}},
		"late after it, and after a fault that began too late to excuse it": {Overdue, [][]Event{made, prompt(500, 6100), hit(6200, 6900, "kill", "", false), taken(7000, 7001, "w1", "t1"), deliver(7002, "w1", 1, 1000), confirm(7100, 7110, "w1", 1, OK)}},
		"later than the bound, though it goes on":                           {Overdue, [][]Event{made, prompt(9000, 12000), taken(11001, 11002, "w1", "t1"), deliver(11003, "w1", 1, 1000), confirm(11100, 11110, "w1", 1, OK)}},
		"later than the bound after a rollback":                             {Overdue, [][]Event{made, w1, rollback(1100, 1110, "w1", 1, 500, OK), w2(12000)}},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := verdict(t, bad.parts...)
			if v.Kept() || v.Broken[bad.rule] != len(v.Violations) {
				t.Errorf("found %v, want %s alone", v.Violations, bad.rule)
			}
		})
	}
}

// What the promises allow breaks no rule, and is counted by cause.
func TestWhatThePromisesAllowPasses(t *testing.T) {
	for name, good := range map[string]struct {
		cause string
		parts [][]Event
	}{
		"delivered and confirmed": {"", [][]Event{made, w1, w1End}},
		"deleted":                 {"", [][]Event{made, remove(500, 510, OK)}},
		"left by a Delete whose process died, made anew and deleted": {"", [][]Event{made, called("w3", remove(500, 510, Unknown)), create(520, 530, 60000, OK), crash(540, "w3"), remove(550, 560, OK), w1, confirm(1100, 1110, "w1", 1, Gone)}},
		"deleted, perhaps": {"", [][]Event{made, remove(500, none, "")}},
		"created, perhaps": {"", [][]Event{create(0, none, 1000, "")}},
		"created, perhaps, and delivered while the call was under way": {"", [][]Event{create(0, 2000, 1000, Unknown), w1, w1End}},
		"claimed after a pause":                                          {"", [][]Event{made, halted(500, 999), w1, w1End}},
		"claimed by a call that was sent before the pause":               {"", [][]Event{made, halted(1001, 3000), w1, w1End}},
		"claimed in a pause that a cut hid from its worker":              {"", [][]Event{made, parting(700, 1500, "cut", "w1"), halted(900, 3000), w1, w1End}},
		"claimed before a Delete that said so":                           {"", [][]Event{made, taken(1000, 1002, "w1", "t1"), remove(1010, 1020, Claimed), deliver(1030, "w1", 1, 1000), confirm(1100, 1110, "w1", 1, Gone)}},
		"delivered while the Delete is under way":                        {"", [][]Event{made, remove(500, 1500, OK), w1, confirm(1100, 1110, "w1", 1, Gone)}},
		"delivered in a process that was stopped before it could say so": {"", [][]Event{made, taken(1000, 1002, "w1", "t1"), parting(1002, 6000, Stop, "w1"), remove(5000, 5010, OK), deliver(6001, "w1", 1, 1000), confirm(6100, 6110, "w1", 1, Gone)}},
		"rescheduled between its claim and its delivery, and claimed anew": {"", [][]Event{made, takenFor(1000, 1000, 1001, "w1", "t1"), reschedule(1002, 1003, 1004, OK), takenFor(1004, 1005, 1006, "w1", "t2"),
			deliver(1010, "w1", 1, 1000), confirm(1011, 1012, "w1", 1, Gone), deliver(1013, "w1", 2, 1004), confirm(1014, 1015, "w1", 2, OK)}},
		"rescheduled in flight":                     {"", [][]Event{made, w1, reschedule(1050, 1060, 3000, OK), confirm(1100, 1110, "w1", 1, Gone), taken(3000, 3001, "w2", "t2"), deliver(3002, "w2", 1, 3000), confirm(3003, 3004, "w2", 1, OK)}},
		"deleted after its rollback":                {"", [][]Event{made, w1, rollback(1100, 1110, "w1", 1, 500, OK), remove(1200, 1210, OK)}},
		"deleted while its rollback is under way":   {"", [][]Event{made, w1, remove(1050, 1150, OK), rollback(1100, 1110, "w1", 1, 500, Gone)}},
		"deleted after its worker's end":            {"", [][]Event{made, w1, crash(1500, "w1"), remove(1600, 1610, OK)}},
		"deleted after its worker's lease":          {"", [][]Event{made, w1, parting(1500, 5000, Stop, "w1"), remove(3990, 4010, OK), confirm(5100, 5110, "w1", 1, Gone)}},
		"deleted after Redis had lost who had it":   {"", [][]Event{made, w1, hit(1100, 1110, "delkey", "", true), remove(1200, 1210, OK), confirm(1300, 1310, "w1", 1, Gone)}},
		"deleted while a handler had one of before": {"", [][]Event{made, w1, remove(1010, 1020, Claimed), create(1030, 1040, 2000, OK), remove(1100, 1110, OK), confirm(1300, 1310, "w1", 1, Gone)}},
		"rolled back":                                                               {RolledBack, [][]Event{made, w1, rollback(1100, 1110, "w1", 1, 500, OK), w2(1620)}},
		"its worker's place was cut off":                                            {LeaseFault + "cut", [][]Event{made, taken(1000, 1002, "w1.7", "t1"), deliver(1003, "w1.7", 1, 1000), parting(1500, 4200, "cut", "w1"), w2(4500), confirm(4600, 4610, "w1.7", 1, Gone)}},
		"its worker was killed":                                                     {LeaseCrash, [][]Event{made, w1, crash(1500, "w1"), w2(4500)}},
		"killed while it confirmed":                                                 {LeaseCrash, [][]Event{made, w1, confirm(1100, none, "w1", 1, ""), crash(1500, "w1"), w2(4500)}},
		"its worker was stopped":                                                    {LeaseFault + Stop, [][]Event{made, w1, parting(1500, 9000, Stop, "w1"), w2(4500), confirm(9100, 9110, "w1", 1, Gone)}},
		"confirmed after its lease had run out":                                     {LeaseFault + Stop, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"), taken(4300, 4301, "w2", "t2"), confirm(4290, 4298, "w1", 1, OK), deliver(4302, "w2", 1, 1000), confirm(4303, 4304, "w2", 1, Gone)}},
		"no process reached Redis":                                                  {LeaseFault + "cut", [][]Event{made, w1, parting(1500, 4200, "cut", ""), w2(4500)}},
		"Redis lost data":                                                           {LostData, [][]Event{made, w1, hit(1500, 1600, "flushall", "", true), w2(2500)}},
		"the answer of its Confirm is unknown":                                      {UnknownEnd, [][]Event{made, w1, ending(1190, "w1"), confirm(1100, 1200, "w1", 1, Unknown), w2(2500)}},
		"created again as the answer was unknown":                                   {CreatedAgain, [][]Event{create(0, 1200, 1000, Unknown), w1, w1End, create(1300, 1310, 1000, OK), w2(1320)}},
		"confirmed twice, as an answer of MySQL was lost":                           {LeaseFault + Stop, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"), w2(4500), confirm(4600, 4610, "w1", 1, OK), blurring(4600, 4605, "mysqlkill", "")}},
		"deleted, and made anew as an answer of MySQL was lost":                     {"", [][]Event{create(0, 600, 1000, OK), remove(500, 510, OK), blurring(100, 200, "mysqlkill", ""), w1, w1End}},
		"claimed by a call whose answer was lost":                                   {LeaseFault + Stop, [][]Event{made, lostClaim(1000, 2000, "w1", "t1"), parting(900, 3890, "cut", "w1"), taken(3900, 3950, "w1", "t1"), deliver(3960, "w1", 1, 1000), parting(5000, 7000, Stop, "w1"), w2(7000), confirm(7100, 7110, "w1", 1, Gone)}},
		"its process was not let run":                                               {LeaseFault + Starved, [][]Event{made, w1, starved(1500, 4200, "w1"), w2(4500), confirm(4600, 4610, "w1", 1, Gone)}},
		"its tombstone was lost soon after its Confirm":                             {LostData, [][]Event{made, w1, w1End, hit(3000, 3100, "delkey", "", true), w2gone(4500)}},
		"deleted and created again":                                                 {"", [][]Event{made, remove(500, 510, OK), create(600, 610, 1000, OK), w1, w1End}},
		"its lease was not renewed in time":                                         {LeaseFault + Stop, [][]Event{made, w1, parting(1500, 4900, Stop, "w1"), renewed(5000, "w1", "t1"), w2(4500), confirm(5100, 5110, "w1", 1, Gone)}},
		"its own worker claimed it again":                                           {LeaseFault + Stop, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"), taken(4500, 4501, "w1", "t3"), deliver(4502, "w1", 2, 1000), confirm(4600, 4610, "w1", 2, OK)}},
		"rolled back, and the delay was lost with Redis":                            {RolledBack, [][]Event{made, w1, rollback(1100, 1110, "w1", 1, 500, OK), hit(1200, 1210, "flushall", "", true), w2(1400)}},
		"rolled back by a call whose answer was lost, and gone when it tried again": {RolledBack, [][]Event{made, w1, parting(1100, 3000, "latereply", "w1"), w2(2000), rollback(1100, 2800, "w1", 1, 500, Gone)}},
		"held by two since Redis lost data, and one lets it go": {LostData, [][]Event{made, w1, hit(1100, 1110, "delkey", "", true),
			taken(1200, 1201, "w2", "t2"), deliver(1202, "w2", 1, 1000), renewed(2100, "w2", "t2"), renewed(3100, "w2", "t2"),
			taken(4100, 4101, "w3", "t3"), deliver(4102, "w3", 1, 1000), confirm(4103, 4104, "w3", 1, OK), confirm(4200, 4210, "w2", 1, Gone), confirm(4200, 4210, "w1", 1, Gone)}},
		"found over by its holder as a renewal succeeded": {LeaseFault + Starved, [][]Event{made, w1, starved(1500, 4100, "w1"), renewed(4110, "w1", "t1"),
			taken(7200, 7201, "w2", "t2"), deliver(7202, "w2", 1, 1000), confirm(7203, 7204, "w2", 1, OK), confirm(7300, 7310, "w1", 1, Gone)}},
		"found over by its holder as the answer to a renewal came": {LeaseFault + Starved, [][]Event{made, w1, starved(1500, 3990, "w1"), renewed(3999, "w1", "t1"),
			taken(7000, 7001, "w2", "t2"), deliver(7002, "w2", 1, 1000), confirm(7003, 7004, "w2", 1, OK), confirm(7100, 7110, "w1", 1, Gone)}},
		"its record was lost before it was claimed": {LostData, [][]Event{made, strike(500, 600, Event{Kind: "delkey", Loses: true, Partly: true}), w1, w2(2000), confirm(2500, 2510, "w1", 1, Gone)}},
		"rolled back too late":                      {RolledBack, [][]Event{made, w1, parting(1500, 4200, Stop, "w1"), rollback(4300, 4310, "w1", 1, 500, OK), w2(4400)}},
		"rolled back by one of two who hold it since Redis lost data": {RolledBack, [][]Event{made, w1, hit(1100, 1110, "flushall", "", true),
			taken(1200, 1201, "w2", "t2"), deliver(1202, "w2", 1, 1000), rollback(1300, 1310, "w1", 1, 0, OK),
			taken(1400, 1401, "w3", "t3"), deliver(1402, "w3", 1, 1000), confirm(1403, 1404, "w3", 1, OK), confirm(1500, 1510, "w2", 1, Gone)}},
		"late within a fault that excuses no lateness, by less than its bound":     {"", [][]Event{made, prompt(500, 9000), taken(5900, 5902, "w1", "t1"), deliver(5903, "w1", 1, 1000), confirm(6100, 6110, "w1", 1, OK)}},
		"late after a fault that excuses no lateness, as another one came in time": {"", [][]Event{made, prompt(500, 9000), hit(5900, 6900, "kill", "", false), taken(7000, 7001, "w1", "t1"), deliver(7002, "w1", 1, 1000), confirm(7100, 7110, "w1", 1, OK)}},
		"late after a fault that excuses no lateness, and was short":               {"", [][]Event{made, prompt(500, 5000), taken(7000, 7001, "w1", "t1"), deliver(7002, "w1", 1, 1000), confirm(7100, 7110, "w1", 1, OK)}},
		"late within it, through another fault":                                    {"", [][]Event{made, prompt(500, 9000), hit(600, 6000, "kill", "", false), taken(7001, 7002, "w1", "t1"), deliver(7003, "w1", 1, 1000), confirm(7100, 7110, "w1", 1, OK)}},
		"late through a fault":                                                     {"", [][]Event{made, hit(500, 9000, "mysql", "", false), taken(18000, 18002, "w1", "t1"), deliver(18003, "w1", 1, 1000), confirm(18100, 18110, "w1", 1, OK)}},
	} {
		t.Run(name, func(t *testing.T) {
			v, _ := verdict(t, good.parts...)
			if !v.Kept() {
				t.Errorf("broken: %v", v.Violations)
			}
			if good.cause != "" && (v.Duplicates == 0 || v.Causes[good.cause] == 0) {
				t.Errorf("%d duplicates by cause %v, want some by %q", v.Duplicates, v.Causes, good.cause)
			}
		})
	}
}

func TestTheVerdictHasTheFigures(t *testing.T) {
	v, _ := verdict(t, made, w1, hit(1500, 1600, "flushall", "", true), w2(2500), hit(3000, 3100, "kill", "w1", false))
	if v.Tasks != 1 || v.Delivered != 1 || v.Deliveries != 2 || v.Confirmed != 1 || v.Duplicates != 1 {
		t.Errorf("got %+v", v)
	}
	if v.LateMax != 3*time.Millisecond || v.LateP99 != v.LateMax {
		t.Errorf("late at most %s, p99 %s, want 3ms", v.LateMax, v.LateP99)
	}
	if v.Faults["flushall"] != 1 || v.Faults["kill"] != 1 {
		t.Errorf("faults %v", v.Faults)
	}
	v, _ = verdict(t, made, hit(1500, 2000, "flushall", "", true), w2(2500))
	if got := v.Worst["flushall"]; got != 500*time.Millisecond {
		t.Errorf("worst lateness after flushall %s, want 500ms", got)
	}
}

// The story has the task's lines, its batches' and the faults', and no others.
func TestTheStoryIsWhole(t *testing.T) {
	other := Event{At: 5, Who: "load", Op: Create, ID: "b"}
	_, file := verdict(t, hit(1, 2, "early", "", false), made, []Event{other}, w1, renewed(1500, "w1", "t1"), renewed(1500, "w1", "t9"), crash(1600, "w1"), w2(4500))
	got, err := Story(bytes.NewReader(file), "a")
	if err != nil {
		t.Fatal(err)
	}
	var ops []string
	for line := range strings.Lines(strings.Join(got, "\n")) {
		var e Event
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			t.Fatal(err)
		}
		ops = append(ops, string(e.Op))
	}
	want := "fault fault create create claim claim deliver extend extend crash claim claim deliver confirm confirm"
	if strings.Join(ops, " ") != want {
		t.Errorf("got  %v\nwant %s", ops, want)
	}
}

// What several recorders write can be read; a line that a kill cut short is left
// out, and spoils no other.
func TestRecordersShareAFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "history")
	open := func(who string) *Recorder {
		t.Helper()
		r, err := Open(path, who)
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	a, b := open("w1"), open("w2")
	n := a.Call()
	due := Now()/1000 - 1
	a.Write(Event{Op: Create, Call: n, ID: "a", DueMS: due})
	a.Write(Event{Op: Create, Call: n, ID: "a", DueMS: due, End: true, Result: OK})
	if _, err := a.file.WriteString("\n" + `{"at":1,"who":"w1","op":"del`); err != nil {
		t.Fatal(err)
	}
	b.Write(Event{Op: Deliver, Call: 1, ID: "a", DueMS: due}, Event{Op: Confirm, Call: 1, ID: "a"})
	b.Write(Event{Op: Confirm, Call: 1, ID: "a", End: true, Result: OK})
	for _, r := range []*Recorder{a, b} {
		if err := r.Close(); err != nil {
			t.Error(err)
		}
	}
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	h, err := Read(f)
	if err != nil {
		t.Fatal(err)
	}
	if v := h.Check(limits); !v.Kept() || v.Confirmed != 1 || h.Torn != 1 {
		t.Errorf("torn %d, %+v", h.Torn, v)
	}
	if _, err := Read(strings.NewReader("nonsense")); err == nil {
		t.Error("a file that is no history is read")
	}
	a.Write(Event{Op: Create})
	if err := a.Close(); err == nil {
		t.Error("Close does not tell of a write that failed")
	}
}
