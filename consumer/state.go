package consumer

import "sync/atomic"

// A delivery has two states, because its lease and its caller go on independently of each other. A
// lease may end before, while or after the caller settles the delivery, and a caller may settle
// what another worker may have by now: a late Confirm still counts. One enum would need a value for
// each pair of the two.

// life says who has a delivery. It changes under Consumer.mu:
//
//	          hand             leaveBatch               leaveHands
//	claimed ────────▶ inHand ─────────────▶ outOfBatch ────────────▶ ended
//	   │                                                               ▲
//	   └───────────────────────── leaveBatch ──────────────────────────┘
//
// Consume calls hand. The settler calls leaveBatch and leaveHands when a settlement is complete,
// and leaveBatch when it has given a delivery back after DeliveryTimeout. The claimer and the drain
// call leaveBatch for what they give back. The keeper calls leaveBatch when a lease has expired, and
// leaveHands as well if the row is gone and the caller has not settled.
type life int

const (
	claimed    life = iota // in its batch; its row is being read, it waits in the queue, or it is on its way to a caller
	inHand                 // in its batch, and in its caller's hands
	outOfBatch             // in its caller's hands, but no longer in its batch: it settles against the row alone
	ended                  // in neither
)

// inBatch reports whether the delivery is in its batch still.
func (l life) inBatch() bool { return l == claimed || l == inHand }

// leaveBatch takes d out of its batch. A batch ends with its last delivery. Under mu.
func (c *Consumer) leaveBatch(d *Delivery) {
	switch d.life {
	case claimed:
		d.life = ended
	case inHand:
		d.life = outOfBatch
	default:
		return
	}
	b := d.batch
	c.noteRoom()
	if b.left--; b.left == 0 {
		b.timer.Stop()
		delete(c.batches, b.token)
	}
}

// leaveHands notes that nothing waits for the caller of d any more, once d has left its batch.
// Under mu.
func (c *Consumer) leaveHands(d *Delivery) {
	if d.life != outOfBatch {
		return
	}
	d.life = ended
	if c.held--; c.held == 0 && c.handsEmpty != nil {
		close(c.handsEmpty)
		c.handsEmpty = nil
	}
}

// settlement says whether the caller of a delivery has settled it. It is atomic and needs no lock:
// callers do not wait for Consumer.mu, and a delivery that was made by hand has no Consumer.
//
//	             settle (the caller, or Handle for it)
//	unsettled ─────────────────────────────────────────▶ settled
//	    │                                                   ▲
//	    └── timeOut (the keeper) ──▶ timedOut ── settle ────┘
type settlement int32

const (
	unsettled settlement = iota // the caller has not settled it
	timedOut                    // the caller has not settled it within DeliveryTimeout, and the task is given back; if it settles it later, that counts
	settled                     // the caller has settled it; a second time is ErrSettled
)

// settlementState is the settlement of one delivery.
type settlementState struct{ v atomic.Int32 }

func (s *settlementState) is(v settlement) bool { return s.v.Load() == int32(v) }

// timeOut makes what is unsettled timedOut, and reports whether it was unsettled.
func (s *settlementState) timeOut() bool {
	return s.v.CompareAndSwap(int32(unsettled), int32(timedOut))
}

// settle makes it settled, and returns what it was before.
func (s *settlementState) settle() (before settlement) { return settlement(s.v.Swap(int32(settled))) }
