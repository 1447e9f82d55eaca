// Package retrypolicy has the policies of triggerhook.Options.Retry: how long a task waits after an attempt that
// failed, until it is offered again.
//
//	triggerhook.Options{
//		Retry:       retrypolicy.Exponential{First: 5 * time.Second, Max: 10 * time.Minute},
//		MaxAttempts: 10,
//	}
//
// Exponential, with full jitter, is the default. Constant and List say each delay in advance. Func decides by the
// attempt, the error and the task. A handler may also choose the delay of one failure itself: it returns
// triggerhook.RetryAfter, or triggerhook.Snooze.
package retrypolicy

import (
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// MaxDelay is the longest delay that a Policy may answer.
const MaxDelay = 365 * 24 * time.Hour

// Failure is an attempt that failed.
type Failure struct {
	Task    task.Task // the task as its handler got it; its payload and headers are not to be changed
	Attempt int       // which attempt failed: 1 at first
	Err     error     // what the handler returned, or a panic as an error; never nil
}

// Policy says how long a task waits after a failure.
type Policy interface {
	// Delay returns how long from now the task is offered again. It is called once a failure, by many goroutines at
	// once, and should be quick. If it panics, ends its goroutine, or answers a delay that is not positive or is above
	// MaxDelay, the delay of the zero Exponential is used, and the log says so.
	Delay(f Failure) time.Duration
}

// Exponential waits up to First after the first failure, and up to Factor times as long after each further one, never
// longer than Max. The delay is random between zero and that bound ("full jitter"), so that tasks that failed together
// do not come back together. Zero fields have their defaults.
type Exponential struct {
	First  time.Duration // the bound after the first failure: 1 s, at least 1 ms
	Max    time.Duration // the highest bound: 1 h, at most MaxDelay
	Factor float64       // by which the bound grows: 2, from 1 to 100
}

// Delay implements Policy.
func (e Exponential) Delay(f Failure) time.Duration {
	e = e.withDefaults()
	bound := float64(e.First) * math.Pow(e.Factor, float64(max(f.Attempt, 1)-1)) // may be +Inf
	return 1 + time.Duration(rand.Int64N(int64(min(bound, float64(e.Max)))))
}

func (e Exponential) withDefaults() Exponential {
	if e.First == 0 {
		e.First = time.Second
	}
	if e.Max == 0 {
		e.Max = time.Hour
	}
	if e.Factor == 0 {
		e.Factor = 2
	}
	return e
}

func (e Exponential) check() error {
	e = e.withDefaults()
	if err := within("Exponential.First", e.First); err != nil {
		return err
	}
	if err := within("Exponential.Max", e.Max); err != nil {
		return err
	}
	if !(e.Factor >= 1 && e.Factor <= 100) { // not a number is neither
		return fmt.Errorf("%w: Exponential.Factor is %v, allowed are 1 to 100", task.ErrInvalid, e.Factor)
	}
	return nil
}

// Constant waits for the same time after each failure.
type Constant time.Duration

// Delay implements Policy.
func (c Constant) Delay(Failure) time.Duration { return time.Duration(c) }

func (c Constant) check() error { return within("Constant", time.Duration(c)) }

// List waits for its first element after the first failure, its second after the second, and so on. The last one
// counts for all further failures.
type List []time.Duration

// Delay implements Policy.
func (l List) Delay(f Failure) time.Duration { return l[min(max(f.Attempt, 1), len(l))-1] }

func (l List) check() error {
	if len(l) == 0 {
		return fmt.Errorf("%w: List is empty, at least one delay is needed", task.ErrInvalid)
	}
	for i, d := range l {
		if err := within(fmt.Sprintf("List[%d]", i), d); err != nil {
			return err
		}
	}
	return nil
}

// Func is a function as a Policy. It decides by what it likes: the attempt, the error, a header of the task.
type Func func(Failure) time.Duration

// Delay implements Policy.
func (f Func) Delay(failure Failure) time.Duration { return f(failure) }

func (f Func) check() error {
	if f == nil {
		return fmt.Errorf("%w: Func is nil", task.ErrInvalid)
	}
	return nil
}

// Check returns nil if p can be used, and otherwise an error that matches task.ErrInvalid and names what is wrong. Nil is
// the default policy. It knows the rules of the policies of this package; of another one it refuses a nil pointer.
// triggerhook.New calls it.
func Check(p Policy) error {
	if v := reflect.ValueOf(p); p != nil && v.Kind() == reflect.Pointer && v.IsNil() {
		return fmt.Errorf("%w: the policy is a nil %T", task.ErrInvalid, p)
	}
	if own, is := p.(interface{ check() error }); is {
		return own.check()
	}
	return nil
}

func within(name string, d time.Duration) error {
	if d < time.Millisecond || d > MaxDelay {
		return fmt.Errorf("%w: %s is %s, allowed are 1ms to %s", task.ErrInvalid, name, d, MaxDelay)
	}
	return nil
}
