package triggerhook_test

import (
	"context"
	"errors"
	"fmt"
	"log"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/durable/bolt"
	"github.com/triggerhook/triggerhook/hotset/local"
)

// order is a row of the shop's own table. Its state and deadline decide: the task only makes the
// handler look at them in time.
type order struct {
	state    string // open, paid or cancelled
	deadline time.Time
}

// orders stands for that table. Each method is one statement there.
type orders struct {
	mu   sync.Mutex
	byID map[string]*order
}

// insert is INSERT IGNORE INTO orders VALUES (?, ?, ?)
func (o *orders) insert(id, state string, deadline time.Time) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	_, is := o.byID[id]
	if !is {
		o.byID[id] = &order{state, deadline}
	}
	return !is
}

// get is SELECT state, deadline FROM orders WHERE id = ?
func (o *orders) get(id string) (order, bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	row, is := o.byID[id]
	if !is {
		return order{}, false
	}
	return *row, true
}

// pay is UPDATE orders SET state = 'paid' WHERE id = ? AND state = 'open'
func (o *orders) pay(id string) bool {
	return o.change(id, func(row *order) bool {
		row.state = "paid"
		return true
	})
}

// extend is UPDATE orders SET deadline = ? WHERE id = ? AND state = 'open'
func (o *orders) extend(id string, deadline time.Time) bool {
	return o.change(id, func(row *order) bool {
		row.deadline = deadline
		return true
	})
}

// cancel is UPDATE orders SET state = 'cancelled' WHERE id = ? AND state = 'open' AND deadline <= ?
func (o *orders) cancel(id string, now time.Time) bool {
	return o.change(id, func(row *order) bool {
		if row.deadline.After(now) {
			return false
		}
		row.state = "cancelled"
		return true
	})
}

// change changes an open order, and reports whether it is open and was changed.
func (o *orders) change(id string, change func(*order) bool) bool {
	o.mu.Lock()
	defer o.mu.Unlock()
	row, is := o.byID[id]
	return is && row.state == "open" && change(row)
}

// shop cancels orders that are not paid in time.
type shop struct {
	orders *orders
	s      *triggerhook.Scheduler
}

func taskOf(order string) string { return "cancel-" + order }

// place takes an order. The task comes first: a process that dies between the two steps leaves
// a task without an order, and not an open order without a task.
func (sh *shop) place(ctx context.Context, id string, deadline time.Time) error {
	err := sh.s.Create(ctx, &triggerhook.Task{ID: taskOf(id), Due: deadline, Payload: []byte(id)})
	if err != nil && !errors.Is(err, triggerhook.ErrExists) { // a client that asks again made it before
		return err
	}
	if sh.orders.insert(id, "open", deadline) {
		return nil
	}
	if row, _ := sh.orders.get(id); row.state == "cancelled" {
		return fmt.Errorf("order %s is cancelled", id) // its handler came first
	}
	return nil // an earlier call has placed it
}

// pay marks an order as paid, which decides, and then deletes its task.
func (sh *shop) pay(ctx context.Context, id string) error {
	if !sh.orders.pay(id) {
		return fmt.Errorf("order %s is not open any more", id)
	}
	switch err := sh.s.Delete(ctx, taskOf(id)); {
	case err == nil: // the handler is not called
	case errors.Is(err, triggerhook.ErrClaimed), errors.Is(err, triggerhook.ErrNotFound):
		// The handler is about to look at the order, or has done so: it finds it paid.
	default:
		log.Printf("the handler of order %s is called in vain: %v", id, err)
	}
	return nil
}

// extend gives the customer more time: the order first, which decides, and then the task.
func (sh *shop) extend(ctx context.Context, id string, deadline time.Time) error {
	if !sh.orders.extend(id, deadline) {
		return fmt.Errorf("order %s is not open any more", id)
	}
	err := sh.s.Reschedule(ctx, taskOf(id), deadline)
	if errors.Is(err, triggerhook.ErrNotFound) { // its handler has come just before
		err = sh.s.Create(ctx, &triggerhook.Task{ID: taskOf(id), Due: deadline, Payload: []byte(id)})
	}
	return err // after an error the client asks again; until then the old time stands, or both
}

// cancel is the handler. It looks at the order again, because it may be called twice, for an
// order that is paid by now (ErrClaimed), or at its old time (Reschedule).
func (sh *shop) cancel(ctx context.Context, d *triggerhook.Delivery) error {
	id := string(d.Payload)
	if sh.orders.cancel(id, time.Now()) {
		fmt.Println("order", id, "is cancelled")
		return nil
	}
	row, is := sh.orders.get(id)
	switch {
	case is && row.state == "open": // it has more time: the task is offered again at its end
		return triggerhook.Snooze(time.Until(row.deadline)) // which counts no attempt
	case is: // paid, or cancelled before
		return nil
	case sh.orders.insert(id, "cancelled", time.Time{}): // place has not stored it yet, and must not do so any more
		return nil
	}
	return errors.New("the order was stored a moment ago") // so it is looked at again
}

// A payment that is cancelled unless it is made in time. docs/payment.md tells why each step
// stands where it does.
func Example_payment() {
	dir, err := os.MkdirTemp("", "triggerhook-example-")
	if err != nil {
		log.Fatal(err)
	}
	defer os.RemoveAll(dir)
	store, err := bolt.Open(filepath.Join(dir, "tasks.bolt"), bolt.Options{Namespace: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	defer store.Close()
	set, err := local.New(local.Options{Namespace: "orders"})
	if err != nil {
		log.Fatal(err)
	}
	s, err := triggerhook.New(store, set, triggerhook.Options{})
	if err != nil {
		log.Fatal(err)
	}
	ctx := context.Background()
	if err := s.Migrate(ctx); err != nil {
		log.Fatal(err)
	}
	sh := &shop{&orders{byID: map[string]*order{}}, s}
	working, stop := context.WithCancel(ctx)
	done := make(chan error, 1)
	called := make(chan string, 3)
	go func() {
		done <- s.Handle(working, 4, func(ctx context.Context, d *triggerhook.Delivery) error {
			defer func() { called <- string(d.Payload) }()
			return sh.cancel(ctx, d)
		})
	}()
	now := time.Now()
	for id, deadline := range map[string]time.Time{"A": now.Add(time.Hour), "B": now.Add(time.Hour), "C": now.Add(50 * time.Millisecond)} {
		if err := sh.place(ctx, id, deadline); err != nil {
			log.Fatal(err)
		}
	}
	fmt.Println("A is paid:", sh.pay(ctx, "A"))
	fmt.Println("B has more time:", sh.extend(ctx, "B", now.Add(2*time.Hour)))
	<-called // C
	fmt.Println("C is paid:", sh.pay(ctx, "C"))
	stop()
	fmt.Println("end:", <-done)
	// Unordered output:
	// A is paid: <nil>
	// B has more time: <nil>
	// order C is cancelled
	// C is paid: order C is not open any more
	// end: <nil>
}
