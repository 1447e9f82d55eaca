package history

import (
	"bufio"
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
)

// never is the end of an act whose end no line tells.
const never int64 = math.MaxInt64

// History is a history in the form that it is judged in.
type History struct {
	tasks  map[string]*story
	leases map[lease][]renewal // claims and renewals that succeeded
	sent   map[lease]int64     // when a batch was claimed first: an answer may have been lost
	faults []*fault            // in order of their beginning
	pauses []pause
	ended  map[string]int64 // when processes ended
	ending map[string]int64 // when they were told to
	began  int64            // the first line
	// blind are the moments at which claims were sent whose members no line tells.
	blind []int64
	// committed are the transactions of callers that have committed, if ledger: the run has told all of them.
	committed map[string]bool
	ledger    bool
	// Torn counts lines that a kill cut short.
	Torn int

	open  map[call]*act
	calls map[call]int64 // when a claim or extension was sent
	live  map[call]*delivery
	hits  map[call]*fault
}

// doubt is how long after its end an act that ended as Unknown may take effect: what
// was sent may wait in a network, or for a lock.
const doubt = 10_000_000

type call struct {
	who string
	n   int64
	op  Op
	id  string
}

type lease struct{ who, token string }

// renewal is when a claim or renewal was sent, and when its answer came.
type renewal struct{ sent, told int64 }

// delivery is one task in a caller's hands.
type delivery struct {
	at        int64
	who       string
	dueMS     int64
	attempt   int
	expiresMS int64
	pay       int64
	claim     claim
	answers   []*act
}

// claim is when a delivery's task was claimed. Without a line of it: as late as
// the delivery.
type claim struct {
	who        string
	began, end int64
	token      string
	dueMS      int64 // of the version that it took; 0: not recorded, nor is pay
	pay        int64 // of that version, as ver
	ver        int64
}

type fault struct {
	kind, variant, target string
	begin, end            int64
	loses, partly         bool
	parts, blurs, prompt  bool
}

// story is all that concerns one task.
type story struct {
	id      string
	acts    []*act // all except the answers of deliveries
	got     []*delivery
	claims  []claim // in order of their ends
	left    bool
	letters []Event // its dead letters at the end
}

// Read reads a history. Lines may stand in another order than their times.
func Read(r io.Reader) (*History, error) {
	h := &History{tasks: map[string]*story{}, leases: map[lease][]renewal{}, sent: map[lease]int64{}, ended: map[string]int64{}, ending: map[string]int64{},
		committed: map[string]bool{}, open: map[call]*act{}, calls: map[call]int64{}, live: map[call]*delivery{}, hits: map[call]*fault{}}
	if err := lines(r, func(e Event, _ []byte) { h.add(e) }, func() { h.Torn++ }); err != nil {
		return nil, err
	}
	h.settle()
	return h, nil
}

// lines calls f for each line, and torn for those that are cut short.
func lines(r io.Reader, f func(Event, []byte), torn func()) error {
	in := bufio.NewReaderSize(r, 1<<20)
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if line = bytes.TrimSpace(line); len(line) > 0 {
			var e Event
			if bad := json.Unmarshal(line, &e); bad == nil {
				f(e, line)
			} else if line[0] == '{' && line[len(line)-1] != '}' {
				torn()
			} else {
				return fmt.Errorf("history, line %d: %w: %.200s", n, bad, line)
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read history: %w", err)
		}
	}
}

func (h *History) add(e Event) {
	if h.began == 0 || e.At < h.began {
		h.began = e.At
	}
	switch e.Op {
	case Create, Reschedule, Upsert, Requeue, Delete, Bury, Confirm, ConfirmTx, Settle, Rollback, Discard:
		h.addAct(e)
	case Deliver:
		d := &delivery{at: e.At, who: e.Who, dueMS: e.DueMS, attempt: e.Attempt, expiresMS: e.ExpiresMS, pay: e.Pay}
		s := h.story(e.ID)
		s.got = append(s.got, d)
		h.live[call{e.Who, e.Call, Deliver, e.ID}] = d
	case Claim, Extend:
		h.addLease(e)
	case Fault:
		h.addFault(e)
	case Halt:
		h.pauses = append(h.pauses, pause{e.Began, e.At})
	case Ending:
		h.ending[e.Target] = e.At
	case Crash:
		h.ended[e.Target] = e.At
	case Left:
		h.story(e.ID).left = true
	case Letter:
		s := h.story(e.ID)
		s.letters = append(s.letters, e)
	case Committed:
		h.committed[e.Tx] = true
	case Ledger:
		h.ledger = true
	}
}

// addLease takes a claim or an extension in.
func (h *History) addLease(e Event) {
	key := call{e.Who, e.Call, e.Op, ""}
	if !e.End {
		h.calls[key] = e.At
		if at := (lease{e.Who, e.Token}); e.Op == Claim && h.sent[at] == 0 {
			h.sent[at] = e.At
		}
		return
	}
	began, told := h.calls[key]
	delete(h.calls, key)
	if told && e.Op == Claim && e.Result != OK {
		h.blind = append(h.blind, began)
	}
	if !told || e.Result != OK {
		return
	}
	if e.Op == Claim {
		e.Tokens = []string{e.Token}
	}
	for _, t := range e.Tokens {
		h.leases[lease{e.Who, t}] = append(h.leases[lease{e.Who, t}], renewal{began, e.At})
	}
	for _, m := range e.Members {
		s := h.story(m.ID)
		s.claims = append(s.claims, claim{who: e.Who, began: h.sent[lease{e.Who, e.Token}], end: e.At, token: e.Token, dueMS: m.DueMS, pay: m.Pay, ver: m.Ver})
	}
}

// claimOf is the claim that handed d out: the last one of that process and task before d,
// and of the version that has d's time and payload. A worker may claim the next version while the one
// before waits in its queue, or until it is due.
func (s *story) claimOf(d *delivery) claim {
	last := claim{who: d.who, began: d.at, end: d.at}
	for _, c := range s.claims {
		if c.who == d.who && c.end <= d.at && (c.dueMS == 0 || c.dueMS == d.dueMS && c.pay == d.pay) && (last.token == "" || c.end > last.end) {
			last = c
		}
	}
	return last
}

// claimBefore is the claim by which the worker that made burial a had the version, if a line tells.
func (s *story) claimBefore(a *act) (last claim) {
	for _, c := range s.claims {
		if c.who == a.who && c.ver == a.ver && c.end <= a.begin {
			last = c
		}
	}
	return last
}

func (h *History) story(id string) *story {
	s := h.tasks[id]
	if s == nil {
		s = &story{id: id}
		h.tasks[id] = s
	}
	return s
}

func (h *History) addAct(e Event) {
	key := call{e.Who, e.Call, e.Op, e.ID}
	if e.End {
		if a := h.open[key]; a != nil { // else its beginning was torn off
			a.end, a.told, a.result = e.At, e.At, e.Result
			if a.result == Unknown {
				a.end += doubt
			}
			delete(h.open, key)
		}
		return
	}
	a := newAct(e)
	h.open[key] = a
	if a.answers() {
		if d := h.live[call{e.Who, e.Call, Deliver, e.ID}]; d != nil {
			d.answers = append(d.answers, a)
		}
		return
	}
	s := h.story(e.ID)
	s.acts = append(s.acts, a)
}

func (h *History) addFault(e Event) {
	key := call{e.Who, e.Call, Fault, ""}
	if e.End {
		if f := h.hits[key]; f != nil {
			f.end = e.At
		}
		return
	}
	f := &fault{kind: e.Kind, variant: e.Variant, target: e.Target, begin: e.At, end: never, loses: e.Loses, partly: e.Partly, parts: e.Parts, blurs: e.Blurs,
		prompt: e.Prompt}
	if e.Began > 0 {
		f.begin, f.end = e.Began, e.At
	}
	h.hits[key] = f
	h.faults = append(h.faults, f)
}

// settle orders all by time, finds the claim of each delivery and of each burial, and what became of transactions.
func (h *History) settle() {
	slices.SortStableFunc(h.faults, func(a, b *fault) int { return cmp.Compare(a.begin, b.begin) })
	for _, all := range h.leases {
		slices.SortFunc(all, func(a, b renewal) int { return cmp.Compare(a.sent, b.sent) })
	}
	for key, sent := range h.calls {
		if key.op == Claim { // its process died before the answer came
			h.blind = append(h.blind, sent)
		}
	}
	slices.Sort(h.blind)
	for _, s := range h.tasks {
		slices.SortStableFunc(s.acts, func(a, b *act) int { return cmp.Compare(a.begin, b.begin) })
		slices.SortStableFunc(s.got, func(a, b *delivery) int { return cmp.Compare(a.at, b.at) })
		slices.SortStableFunc(s.claims, func(a, b claim) int { return cmp.Compare(a.end, b.end) })
		for _, a := range s.acts {
			h.decide(a)
			if a.op == Bury {
				a.claim = s.claimBefore(a)
			}
		}
		for _, d := range s.got {
			d.claim = s.claimOf(d)
			for _, a := range d.answers {
				h.decide(a)
			}
		}
	}
	h.open, h.calls, h.sent, h.live, h.hits = nil, nil, nil, nil, nil
}

// Story returns the lines that concern the task called id, in the order in which
// they were written: its own, those of the batches that it was in, and the faults
// and crashes from its first line on until its last.
func Story(r io.Reader, id string) ([]string, error) {
	var out, waiting []string
	tokens := map[string]bool{}
	claims := map[call]string{} // beginnings of claims whose members are not known yet
	err := lines(r, func(e Event, line []byte) {
		if key := (call{e.Who, e.Call, Claim, ""}); e.Op == Claim && !e.End {
			claims[key] = string(line)
			return
		}
		mine := e.ID == id || slices.ContainsFunc(e.Members, func(m Member) bool { return m.ID == id })
		if mine && e.Op == Claim {
			tokens[e.Token] = true
			e.Members = slices.DeleteFunc(e.Members, func(m Member) bool { return m.ID != id })
			line, _ = json.Marshal(e) // it was read from JSON
			line = append([]byte(claims[call{e.Who, e.Call, Claim, ""}]+"\n"), line...)
		}
		delete(claims, call{e.Who, e.Call, e.Op, ""})
		mine = mine || slices.ContainsFunc(e.Tokens, func(t string) bool { return tokens[t] })
		switch {
		case mine:
			out = append(append(out, waiting...), string(line))
			waiting = nil
		case (e.Op == Fault || e.Op == Ending || e.Op == Crash) && (len(out) > 0 || e.Op == Fault):
			waiting = append(waiting, string(line))
		}
		if len(out) == 0 && len(waiting) > before {
			waiting = waiting[1:]
		}
	}, func() {})
	return out, err
}

// before is how many faults of the time before a task's first line its story has.
const before = 6
