// Package triggerhook fires one-off tasks, each at its own time: a reminder
// e-mail, a payment to be cancelled unless paid, a push at 18:00.
//
// # The model
//
// A task is an ID, a due time, a payload and headers. A durable store (MySQL, or a file) has one row for
// each unfinished task, and is the truth. A hot set (Redis, or the memory of one process) holds
// the tasks that are due soon, and can be rebuilt from the rows at any time. Workers claim what
// is due from the hot set, under a lease, and hand it to callers. A caller confirms a delivery,
// which deletes the row, or rolls it back, which offers the task again. Losing the hot set, a
// worker or a connection at any instant loses no task. One worker preloads the rows that come due;
// Create adds a task that is due soon to the hot set itself.
//
//	Create ──▶ row in the durable store ──preload──▶ hot set ──claim──▶ delivery
//	                    ▲                               ▲                  │
//	                    │                               └── Rollback, or ──┤
//	                    │                                  the lease ended │
//	                    └──── the row is deleted first ◀──── Confirm ──────┘
//
// A process that only creates tasks needs [New], [Scheduler.Create] or [Scheduler.Upsert], [Scheduler.Delete],
// [Scheduler.Reschedule] and, at its end, [Scheduler.Flush]. A worker calls [Scheduler.Handle];
// or it calls [Scheduler.Run] beside goroutines of its own that call [Scheduler.Consume].
//
// # A program
//
// It runs as it stands. On servers only the two constructors change, to durable.NewMySQL and
// hotset.NewRedis.
//
//	package main
//
//	import (
//		"context"
//		"fmt"
//		"log"
//		"os/signal"
//		"syscall"
//		"time"
//
//		"github.com/triggerhook/triggerhook"
//		"github.com/triggerhook/triggerhook/durable/bolt"
//		"github.com/triggerhook/triggerhook/hotset/local"
//	)
//
//	func main() {
//		ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGINT, syscall.SIGTERM)
//		defer stop()
//		store, err := bolt.Open("tasks.bolt", bolt.Options{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		defer store.Close()
//		set, err := local.New(local.Options{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		s, err := triggerhook.New(store, set, triggerhook.Options{})
//		if err != nil {
//			log.Fatal(err)
//		}
//		if err := s.Migrate(ctx); err != nil {
//			log.Fatal(err)
//		}
//		remind := &triggerhook.Task{Due: time.Now().Add(2 * time.Second), Payload: []byte("tea is ready")}
//		if err := s.Create(ctx, remind); err != nil {
//			log.Fatal(err)
//		}
//		err = s.Handle(ctx, 8, func(ctx context.Context, d *triggerhook.Delivery) error {
//			fmt.Printf("%s: %s\n", d.ID, d.Payload)
//			return nil // confirms; an error offers the task again, after a while
//		})
//		if err != nil {
//			log.Fatal(err)
//		}
//	}
//
// # What the caller does
//
//   - Call Migrate before anything else, in each process that may be the first.
//   - Make handlers idempotent. A task is delivered at least once, and sometimes more often.
//   - Settle each delivery once (Confirm, ConfirmAsync, Fail or Rollback), and stop work when its context
//     ends: others may have the task.
//   - Keep the clocks of all Redis servers within a second of each other.
//   - Open the stores. Close them after Run or Handle has returned; a process without Run calls
//     Flush first. Give MySQL a *sql.DB of its own.
//
// # What is promised
//
//  1. Create returned nil: the task survives the crash of anything and is delivered at least once.
//  2. A task is never early, by the clock of the hot set.
//  3. There is one delivery of a task while its lease lives, if no call changes the task. A second one
//     follows a delivery that did not succeed (an error, a panic, Fail, Rollback, RetryAfter, Snooze), a lease that ran
//     out, a DeliveryTimeout, or a Redis that lost data. It also follows an Update, Reschedule or Upsert that changed the task
//     while a worker had it: at the new time. The old delivery's context ends within milliseconds, or within a
//     second if the message is lost, and it can no longer confirm.
//  4. Delete returned nil: the task is not delivered. ErrClaimed: the one delivery under way may
//     still happen, and no other. After Redis lost its data Delete answers ErrClaimed for a while
//     where it cannot know whether the task had been claimed.
//  5. Late never means skipped. A backlog of any size drains, oldest first.
//
// Not promised: that side effects happen exactly once; an order among tasks of one millisecond;
// delays of rollbacks, and the last attempt, after Redis lost its data, or after an Update or Upsert that leaves
// the due time; anything about a MySQL that itself loses commits. There is no cron, no priority, no result and no routing by kind.
// docs/guarantees.md has this call by call and fault by fault, each with its test.
//
// # Producers that repeat calls
//
// [Scheduler.Create] refuses an ID that exists. [Scheduler.Upsert] does with the stored task what its first argument says, and
// tells what it did:
//
//	Keep      the stored task stays as it is: a call that is repeated after a timeout makes no second task
//	Replace   payload and headers become the new ones, due time and Expires stay; if they are the same, the task is kept
//	Earliest  the stored task stays, and is offered at the earlier of the two times
//	Debounce  payload, headers, due time and Expires become the new ones: each call pushes the task out
//
// # Find and change many
//
// A [Filter] selects tasks by the beginning of their IDs, by time and by headers. [Scheduler.List] yields what matches:
//
//	for info, err := range s.List(ctx, triggerhook.Filter{IDPrefix: "customer-42/"}) { ... }
//
// [Scheduler.DeleteWhere] and [Scheduler.RescheduleWhere] change what matches, page by page, with a dry run and a progress callback. IDs that
// begin with their owner ("customer-42/trial-ends") make all tasks of one owner quick to find. Of one task, [Scheduler.Update] changes due
// time, payload and headers.
//
// # In a transaction of your own
//
// With durable.NewMySQL, [Scheduler.CreateTx], [Scheduler.DeleteTx] and [Scheduler.RescheduleTx] change tasks in a transaction on the
// same database, which you begin and commit (a *sql.Tx, or what embeds one: sqlx.Tx, bun.Tx). An order and its
// reminder then exist together or not at all, also if the process dies right after the commit.
//
//	tx, err := db.BeginTx(ctx, nil)
//	...
//	_, err = tx.ExecContext(ctx, "INSERT INTO orders (id) VALUES (?)", id)
//	...
//	err = s.CreateTx(ctx, tx, &triggerhook.Task{ID: "remind/" + id, Due: due})
//	...
//	err = tx.Commit()
//
// A task that is due by then is delivered up to about 250 ms after the commit. A deletion cannot tell whether a
// worker has the task, because a claim may come before the commit.
//
// [Delivery.ConfirmTx] deletes a delivered task in the transaction that holds what its handler has done, so that this happens exactly
// once however often the task is delivered. Only one delivery can commit; the others get ErrGone, and roll back.
//
//	if err := d.ConfirmTx(ctx, tx); err != nil {
//		return err // and roll tx back
//	}
//	return tx.Commit()
//
// # Failures
//
// A handler that returns an error, or panics, has its task offered again after a delay that Options.Retry says (package
// retrypolicy), until Options.MaxAttempts is reached. It returns [RetryAfter] to choose the delay, [Snooze] to postpone the
// task without counting an attempt, and [Discard] to give it up. [Delivery.Fail] does the same for users of Consume.
//
//	a delivery ends with             attempt  offered again
//	nil, Confirm, ConfirmAsync       -        no: the task is done
//	an error, a panic, Goexit, Fail  counts   after the delay of Options.Retry
//	RetryAfter(d)                    counts   after d
//	Rollback(d)                      counts   after d
//	DeliveryTimeout, a lost lease    counts   at once; a task that kills its worker loses its lease
//	Snooze(d)                        no       after d
//	Discard                          counts   no: it is a dead letter
//	Reschedule, Update, Upsert       no       at the new time; without a new one, at once
//	the end of Run, before hand-out  no       at once
//
// An attempt that counts and is the last of Options.MaxAttempts makes a dead letter in place of another delivery. Reschedule, an Update
// with a new Due, Debounce and Requeue begin with attempt 1 again.
//
// # Dead letters
//
// A task ends without success when it has no attempt left (Options.MaxAttempts), when its handler gives it up ([Discard]), or when it
// would be delivered later than Task.Expires ("too late is worse than never"). It becomes a dead letter then: the durable store keeps it with the
// reason, the last error, the attempts, its times, headers and payload. [Scheduler.ListDead] lists dead letters, [Scheduler.Requeue]
// and [Scheduler.RequeueDead] make tasks of them again, and [Scheduler.PurgeDead] deletes the old ones, which nothing else does.
// An ID that is dead is free for a new task: Get answers ErrNotFound for it.
//
// # History
//
// With Options.History a process keeps what became of the tasks that it confirms, deletes, or makes dead letters: how and when each ended, its
// attempts, the worker, and the reason and last error of a dead letter, but neither payload nor headers. It is written in the
// transaction that deletes the task, so it has exactly what happened, and is purged after a retention. [Scheduler.History] reads it
// by ID, also in a process without the option. What a process without the option ends is not in it.
//
// # Pauses and limits
//
// [Scheduler.Pause] begins a pause: no process delivers a task of the namespace, until a time or until [Scheduler.Resume]. What is in hand goes on, so a
// namespace drains; what falls due collects, and comes after the pause, oldest first. With PauseOptions.Producers nothing is created either.
// Options.MaxRate limits how many tasks a second a process claims, Options.NamespaceRate how many all processes do, and
// Options.MaxInFlight how many tasks of the namespace are claimed at a time.
//
// # Errors
//
// Compare with errors.Is. An [IDError] says which of several tasks an error is about. After
// ErrUnavailable, and after an error that is not in this table, the outcome of a call that writes is unknown; a
// Create with the same tasks may be repeated.
//
//	error           when
//	ErrInvalid      any call: the input breaks a rule that the message names; nothing was stored
//	ErrExists       Create, CreateTx, Requeue: a task of that ID exists; nothing was stored
//	ErrNotFound     Delete, Reschedule, Update, Get, DeleteTx, RescheduleTx: no task of that ID exists (it may
//	                have been confirmed, or be dead); Requeue: no dead letter of that ID exists
//	ErrClaimed      Delete: it is deleted, but a worker had claimed it before, or may have
//	ErrGone         Confirm, ConfirmTx, Fail, Rollback: the delivered version no longer exists; cause of a context's end
//	ErrSettled      the same: this delivery was settled before; cause of a context's end
//	ErrRunning      Run, Handle: one of them is running
//	ErrClosed       Run, Handle, Consume: Run has begun to end, or has ended; Flush, Create and
//	                others: a store, or its client, is closed; cause of a context's end
//	ErrLeaseLost    cause of a context's end: the lease ran out, others are offered the task
//	ErrTimeout      cause of a context's end: the delivery was held for DeliveryTimeout
//	ErrAbandoned    Handle: it has returned before some of its handlers, which it names
//	ErrNotMigrated  any call: the durable store lacks its schema; call Migrate
//	ErrMismatch     New: the namespaces of the stores differ; Migrate, Run and others: the number of
//	                partitions, or the durable store, is not the one that is recorded
//	ErrRefused      any call: access is denied, or a server has a setting that the library cannot
//	                work with; waiting does not help
//	ErrTooLarge     Create, Upsert, Update, Delete, CreateTx, DeleteTx: above the limit of one call, or of the
//	                server (a payload above Options.MaxPayload is ErrInvalid)
//	ErrReadOnly     any call that writes: the server takes no writes at present
//	ErrUnavailable  any call: a server cannot be reached, or does not answer at present
//	ErrDiskFull     any call that writes: there is no room to write; it matches ErrUnavailable too
//	ErrPaused       Create, CreateTx, Upsert, Requeue, RequeueDead: Pause has told producers to wait; nothing was
//	                stored (by RequeueDead: nothing more)
//	ErrUnsupported  a call that this store cannot serve, for example with a transaction of the caller's own;
//	                nothing was stored
//
// # More
//
// The folder docs of the repository has a page for each question. Begin with docs/getting-started.md (ten minutes, from go get to
// several workers on MySQL and Redis) and docs/concepts.md (the words); docs/operations.md is for those who run it, and
// docs/upgrade.md has what stays the same between versions.
package triggerhook
