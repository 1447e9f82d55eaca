package retrypolicy_test

import (
	"errors"
	"fmt"
	"time"

	"github.com/triggerhook/triggerhook/retrypolicy"
)

// Each bound is twice the one before, and a delay is anything up to its bound.
func ExampleExponential() {
	policy := retrypolicy.Exponential{First: time.Second, Max: 10 * time.Second}
	for attempt, bound := range []time.Duration{time.Second, 2 * time.Second, 4 * time.Second, 8 * time.Second, 10 * time.Second} {
		d := policy.Delay(retrypolicy.Failure{Attempt: attempt + 1})
		fmt.Println(attempt+1, d > 0 && d <= bound)
	}
	// Output:
	// 1 true
	// 2 true
	// 3 true
	// 4 true
	// 5 true
}

func ExampleConstant() {
	policy := retrypolicy.Constant(30 * time.Second)
	fmt.Println(policy.Delay(retrypolicy.Failure{Attempt: 7}))
	// Output: 30s
}

func ExampleList() {
	policy := retrypolicy.List{time.Second, time.Minute, time.Hour}
	for attempt := 1; attempt <= 4; attempt++ {
		fmt.Println(policy.Delay(retrypolicy.Failure{Attempt: attempt}))
	}
	// Output:
	// 1s
	// 1m0s
	// 1h0m0s
	// 1h0m0s
}

var errBusy = errors.New("busy")

// A Func decides by the error, and leaves the rest to another policy.
func ExampleFunc() {
	others := retrypolicy.Constant(time.Minute)
	policy := retrypolicy.Func(func(f retrypolicy.Failure) time.Duration {
		if errors.Is(f.Err, errBusy) {
			return time.Second
		}
		return others.Delay(f)
	})
	fmt.Println(policy.Delay(retrypolicy.Failure{Attempt: 1, Err: errBusy}))
	fmt.Println(policy.Delay(retrypolicy.Failure{Attempt: 1, Err: errors.New("no route")}))
	// Output:
	// 1s
	// 1m0s
}

// New refuses what Check refuses.
func ExampleCheck() {
	fmt.Println(retrypolicy.Check(retrypolicy.Exponential{Factor: 0.5}))
	fmt.Println(retrypolicy.Check(retrypolicy.List{time.Second, time.Minute}))
	// Output:
	// invalid: Exponential.Factor is 0.5, allowed are 1 to 100
	// <nil>
}
