// Package triggerhook fires one-off tasks, each at its own time: a reminder
// e-mail, a payment to be cancelled unless paid, a push at 18:00.
//
// A durable store (MySQL, or a file) keeps every task; the near-term part of it
// is preloaded into a hot set (Redis, or this process), from which any number of
// workers claim what is due. Losing the hot set, a worker or a connection at any
// instant loses no task.
//
// A process that only creates tasks needs New, Create and Delete. A worker runs
// Run beside goroutines that call Consume, or Handle, which is both.
package triggerhook
