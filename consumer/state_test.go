package consumer

import (
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/report"
	"github.com/triggerhook/triggerhook/task"
)

// Each way through the life of a delivery: what a step does not apply to it does not change, a batch
// ends with its last member, and what is in callers' hands is counted until nothing waits for it.
func TestEachStepOfADeliverysLife(t *testing.T) {
	names := map[life]string{claimed: "claimed", inHand: "inHand", outOfBatch: "lost", ended: "ended"}
	for _, c := range []struct {
		steps   string // the states after each step are want
		want    string
		inHand  int
		batches int
	}{
		{"", "", 0, 1},
		{"leaveHands", "claimed", 0, 1},
		{"leaveBatch", "ended", 0, 0},
		{"leaveBatch hand", "ended ended", 0, 0},
		{"leaveBatch leaveHands leaveBatch", "ended ended ended", 0, 0},
		{"hand", "inHand", 1, 1},
		{"hand leaveHands", "inHand inHand", 1, 1},
		{"hand leaveBatch", "inHand lost", 1, 0},
		{"hand leaveBatch leaveBatch", "inHand lost lost", 1, 0},
		{"hand leaveBatch hand", "inHand lost lost", 1, 0},
		{"hand leaveBatch leaveHands", "inHand lost ended", 0, 0},
		{"hand leaveBatch leaveHands leaveHands", "inHand lost ended ended", 0, 0},
	} {
		con := New(nil, nil, Options{Lease: time.Minute, Report: &report.Reporter{}})
		b := con.addBatch(0, task.Batch{Token: "t", Claims: []task.Claim{{Entry: task.Entry{Ref: task.Ref{ID: "a", Ver: 1}}}}}, time.Now(), time.Now())
		b.timer.Stop()
		d, states := b.members[0], []string{}
		for _, step := range strings.Fields(c.steps) {
			switch step {
			case "hand":
				con.hand(d)
			case "leaveBatch":
				con.leaveBatch(d)
			case "leaveHands":
				con.leaveHands(d)
			}
			states = append(states, names[d.life])
		}
		got := strings.Join(states, " ")
		if got != c.want || con.held != c.inHand || len(con.batches) != c.batches || b.left != c.batches || d.life.inBatch() != (c.batches == 1) {
			t.Errorf("after %q: states %q, %d in hand, %d batches with %d left, in its batch: %t; want %q, %d, %d, %t", c.steps, got, con.held, len(con.batches),
				b.left, d.life.inBatch(), c.want, c.inHand, c.batches, c.batches == 1)
		}
	}
}

// A delivery is settled once, and times out only while it is not settled.
func TestADeliveryIsSettledOnce(t *testing.T) {
	var s settlementState
	if !s.timeOut() || s.timeOut() || !s.is(timedOut) {
		t.Errorf("what is unsettled does not time out once: it is %d", s.v.Load())
	}
	if before := s.settle(); before != timedOut {
		t.Errorf("settled after its timeout, before it was %d, want %d", before, timedOut)
	}
	if before := s.settle(); before != settled || s.timeOut() || !s.is(settled) {
		t.Errorf("settled twice, before it was %d, want %d, and it is %d", before, settled, s.v.Load())
	}
}
