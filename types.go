package triggerhook

import (
	"github.com/triggerhook/triggerhook/consumer"
	"github.com/triggerhook/triggerhook/task"
)

// Task is a one-off task, as its caller makes it for Create, and as a Delivery and an Info show it.
//
//	type Task struct {
//		// ID is the caller's own string, 1 to 128 bytes of valid UTF-8 without NUL and not
//		// only white space. It is never trimmed. If it is empty, Create makes a UUIDv7.
//		ID string
//		// Due is the time before which the task is not delivered. One in the past is legal:
//		// the task fires at once.
//		Due time.Time
//		// Payload is the caller's own bytes, opaque to the library, at most
//		// Options.MaxPayload of them. An empty one comes back as nil.
//		Payload []byte
//		// Headers is small metadata beside the payload, such as a trace context, a tenant or
//		// a content type: keys that are not empty, keys and values of valid UTF-8, at most
//		// 8 KiB once they are encoded. An empty map comes back as nil.
//		Headers map[string]string
//		// Expires, if it is set, is the last time at which the task may be delivered, no
//		// earlier than Due. A task that would be delivered later becomes a dead letter
//		// (ReasonExpired), and no handler sees it.
//		Expires time.Time
//	}
//
// The library changes no field of a Task that it was handed, except three: Create fills an empty
// ID, and rounds Due and Expires up to the millisecond in UTC. An ID may be used again once its task is
// confirmed (see Handler) or deleted.
type Task = task.Task

// Delivery is one claimed task in a caller's hands, to be answered once: with Confirm, ConfirmAsync, Fail
// or Rollback. A second answer is ErrSettled.
//
//	type Delivery struct {
//		Task
//		// Attempt is 1 at first, and one more after each attempt that counts as failed: an error or
//		// a panic of a handler, Fail, Rollback, a timeout, a lease that ran out.
//		Attempt int
//	}
//
//	func (d *Delivery) Confirm(ctx context.Context) error
//	func (d *Delivery) ConfirmAsync()
//	func (d *Delivery) ConfirmTx(ctx context.Context, tx task.Tx) error
//	func (d *Delivery) Fail(ctx context.Context, cause error) error
//	func (d *Delivery) Rollback(ctx context.Context, delay time.Duration) error
//	func (d *Delivery) Context() context.Context
//
// Confirm ends the task. Nil: this call deleted the row, durably (or found it gone after a try whose answer was
// lost), and the task is not delivered again (unless a lease or a DeliveryTimeout had run out before, or Redis had lost
// data). ErrGone: the row was gone before, because another worker confirmed it, or because it was
// deleted or rescheduled. Confirm waits while MySQL is away, as long as Run runs; ctx bounds the
// wait and not the act. It counts also after the lease or DeliveryTimeout is over, if the row still
// exists in this version.
//
// ConfirmAsync is Confirm without its answer. A failure is logged and counted, and the task is
// delivered again. An ErrGone is logged at Info.
//
// ConfirmTx deletes the row in a transaction of the caller's own, in the same MySQL, beside what the caller writes there: that
// happens exactly once. Nil: commit, and then return nil from the Handler, or call Confirm, which answers nil if it finds the row gone.
// Any error: roll back. ErrGone: another delivery has committed, or the task was deleted or rescheduled. Whatever settles the delivery
// looks at the row first; if the transaction was not committed, the task is offered again.
//
// Fail does what Handle does for a Handler that returned cause: Options.Retry and Options.MaxAttempts, or what Snooze, Discard or
// RetryAfter in cause say.
//
// Rollback offers the task again, after delay, with Attempt one higher. Nil: it is offered again.
// ErrGone: its row is gone. Any other error: it is offered again, perhaps without its delay.
//
// Context ends when the task is no longer this caller's, and context.Cause says why: ErrLeaseLost,
// ErrGone (deleted or rescheduled), ErrTimeout (DeliveryTimeout is over), ErrClosed (the drain time
// is over) or ErrSettled (the answer has arrived). Its Deadline is DeliveryTimeout after the delivery was handed out,
// and clients of HTTP, gRPC or SQL that are given the context go by it. A lost lease ends the context earlier.
//
// A Delivery is never used again for another task, and must not be copied. One that is made by
// hand, for a test of a handler, settles to nothing.
type Delivery = consumer.Delivery

// Tx is a transaction of the caller's own on the database that has the tasks. A *sql.Tx is one, and so is what
// embeds one (sqlx.Tx, bun.Tx).
//
//	type Tx interface {
//		ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
//		QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
//		Commit() error
//		Rollback() error
//	}
//
// The library runs statements in it, and never calls Commit or Rollback. A *sql.DB is no Tx, because each of its
// statements commits by itself.
type Tx = task.Tx
