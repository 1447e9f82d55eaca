package triggerhook

import "github.com/triggerhook/triggerhook/task"

// Sentinel errors, to be compared with errors.Is.
var (
	ErrInvalid     = task.ErrInvalid     // the input breaks a rule that the message names; nothing was stored
	ErrExists      = task.ErrExists      // a task of that ID exists; nothing was stored
	ErrNotFound    = task.ErrNotFound    // no task of that ID exists
	ErrClaimed     = task.ErrClaimed     // deleted, but a worker had claimed it before, or may have
	ErrGone        = task.ErrGone        // the delivered version no longer exists
	ErrSettled     = task.ErrSettled     // this delivery was settled before
	ErrRunning     = task.ErrRunning     // Run or Handle is running
	ErrClosed      = task.ErrClosed      // Run or Handle has begun to drain, or has returned; or a store, or its client, is closed
	ErrLeaseLost   = task.ErrLeaseLost   // cause of the end of a Delivery's Context: its lease has ended
	ErrTimeout     = task.ErrTimeout     // cause of the end of a Delivery's Context: DeliveryTimeout has passed
	ErrAbandoned   = task.ErrAbandoned   // Handle has returned before some of its handlers
	ErrNotMigrated = task.ErrNotMigrated // call Migrate
	ErrMismatch    = task.ErrMismatch    // the namespace, the partitions or the durable store is another one than is recorded
	ErrRefused     = task.ErrRefused     // the server denies access, or has a setting that the library cannot work with
	ErrTooLarge    = task.ErrTooLarge    // above the limit of one call, or of what the server takes
	ErrReadOnly    = task.ErrReadOnly    // the server takes no writes at present
	ErrUnavailable = task.ErrUnavailable // the server does not answer at present
	ErrDiskFull    = task.ErrDiskFull    // the server has no room to write at present; matches ErrUnavailable too
	ErrPaused      = task.ErrPaused      // Pause has told producers to wait; nothing was stored
	ErrUnsupported = task.ErrUnsupported // the store does not have what the call needs
)

// IDError names the tasks of a call that an error is about. Get it with errors.As.
//
//	type IDError struct {
//		Invalid  []string // ErrInvalid; a task without an ID has an empty one here
//		Exists   []string // ErrExists
//		NotFound []string // ErrNotFound
//		Claimed  []string // ErrClaimed
//	}
type IDError = task.IDError
