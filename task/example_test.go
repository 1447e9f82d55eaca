package task_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// The rules for IDs, for a form that is to say at once what is wrong.
func ExampleCheckID() {
	fmt.Println(task.CheckID("reminder-17"))
	fmt.Println(task.CheckID(""))
	fmt.Println(task.CheckID("a\x00b"))
	// Output:
	// <nil>
	// invalid: id is empty
	// invalid: id "a\x00b" contains NUL
}

// A due time counts in milliseconds, rounded up, so that no task is early.
func ExampleDueMS() {
	ms, err := task.DueMS(time.Unix(1, 1))
	fmt.Println(ms, err)
	_, err = task.DueMS(time.Time{})
	fmt.Println(errors.Is(err, task.ErrInvalid))
	// Output:
	// 1001 <nil>
	// true
}

// Which of 12 partitions has a task, for a look into Redis.
func ExamplePartition() {
	fmt.Printf("{orders:%d}\n", task.Partition("cancel-order-17", 12))
	// Output: {orders:9}
}

// The rule for namespaces.
func ExampleCheckNamespace() {
	fmt.Println(task.CheckNamespace("orders"))
	fmt.Println(errors.Is(task.CheckNamespace("Orders"), task.ErrInvalid))
	// Output:
	// <nil>
	// true
}

// An IDError matches the sentinel of each of its lists that is not empty.
func ExampleIDError() {
	err := fmt.Errorf("delete: %w", &task.IDError{NotFound: []string{"a"}, Claimed: []string{"b"}})
	fmt.Println(errors.Is(err, task.ErrNotFound), errors.Is(err, task.ErrClaimed), errors.Is(err, task.ErrExists))
	fmt.Println(err)
	// Output:
	// true true false
	// delete: task not found: "a"; task was already claimed: "b"
}
