package retrypolicy_test

import (
	"errors"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/retrypolicy"
	"github.com/triggerhook/triggerhook/task"
)

// Full jitter: each delay lies in (0, bound], also where the bound no longer fits into a number; and delays are
// spread over all of that.
func TestExponentialSpreadsDelaysBelowItsBound(t *testing.T) {
	for _, c := range []struct {
		policy  retrypolicy.Exponential
		attempt int
		bound   time.Duration
	}{
		{retrypolicy.Exponential{}, 1, time.Second},
		{retrypolicy.Exponential{}, 2, 2 * time.Second},
		{retrypolicy.Exponential{}, 12, 2048 * time.Second},
		{retrypolicy.Exponential{}, 13, time.Hour},
		{retrypolicy.Exponential{}, math.MaxInt, time.Hour},
		{retrypolicy.Exponential{}, 0, time.Second},
		{retrypolicy.Exponential{}, -5, time.Second},
		{retrypolicy.Exponential{First: time.Minute, Factor: 1}, 100, time.Minute},
		{retrypolicy.Exponential{First: time.Millisecond, Factor: 10, Max: time.Second}, 3, 100 * time.Millisecond},
		{retrypolicy.Exponential{Max: 300 * time.Millisecond}, 1, 300 * time.Millisecond},
		{retrypolicy.Exponential{First: retrypolicy.MaxDelay, Max: retrypolicy.MaxDelay, Factor: 100}, 50, retrypolicy.MaxDelay},
	} {
		low, high := 0, 0
		for range 2000 {
			d := c.policy.Delay(retrypolicy.Failure{Attempt: c.attempt})
			if d <= 0 || d > c.bound {
				t.Fatalf("%+v, attempt %d: a delay of %s, want one in (0, %s]", c.policy, c.attempt, d, c.bound)
			}
			if d <= c.bound/4 {
				low++
			} else if d > c.bound*3/4 {
				high++
			}
		}
		if low < 300 || high < 300 { // 500 each on average
			t.Errorf("%+v, attempt %d: %d of 2000 delays are in the lowest quarter and %d in the highest, want about 500", c.policy, c.attempt, low, high)
		}
	}
}

func TestAListEndsWithItsLastDelay(t *testing.T) {
	l := retrypolicy.List{time.Second, time.Minute, time.Hour}
	for attempt, want := range map[int]time.Duration{-1: l[0], 0: l[0], 1: l[0], 2: l[1], 3: l[2], 4: l[2], math.MaxInt: l[2]} {
		if got := l.Delay(retrypolicy.Failure{Attempt: attempt}); got != want {
			t.Errorf("attempt %d: %s, want %s", attempt, got, want)
		}
	}
}

// other is a policy of a user's own.
type other struct{}

func (*other) Delay(retrypolicy.Failure) time.Duration { return time.Second }

// Each policy that cannot be used is refused, with its value and the rule.
func TestBadPoliciesAreRefused(t *testing.T) {
	var noPolicy *other
	var noExponential *retrypolicy.Exponential
	for _, c := range []struct {
		policy retrypolicy.Policy
		want   string // in the error; empty: there is none
	}{
		{nil, ""},
		{&other{}, ""},
		{retrypolicy.Exponential{}, ""},
		{&retrypolicy.Exponential{}, ""},
		{retrypolicy.Exponential{First: time.Hour, Max: time.Second}, ""}, // each delay is bounded by Max
		{retrypolicy.Exponential{First: time.Millisecond, Max: retrypolicy.MaxDelay, Factor: 100}, ""},
		{retrypolicy.Constant(time.Second), ""},
		{retrypolicy.List{time.Second}, ""},
		{retrypolicy.Func(func(retrypolicy.Failure) time.Duration { return 0 }), ""}, // its answers are looked at one by one
		{noPolicy, "nil *retrypolicy_test.other"},
		{noExponential, "nil *retrypolicy.Exponential"},
		{retrypolicy.Exponential{First: -1}, "First is -1ns, allowed are 1ms to"},
		{retrypolicy.Exponential{First: time.Microsecond}, "First is 1µs"},
		{retrypolicy.Exponential{Max: -time.Second}, "Max is -1s"},
		{retrypolicy.Exponential{Max: retrypolicy.MaxDelay + 1}, "Max is 8760h0m0.000000001s"},
		{retrypolicy.Exponential{Factor: 0.5}, "Factor is 0.5, allowed are 1 to 100"},
		{retrypolicy.Exponential{Factor: 101}, "Factor is 101"},
		{retrypolicy.Exponential{Factor: math.NaN()}, "Factor is NaN"},
		{retrypolicy.Exponential{Factor: math.Inf(1)}, "Factor is +Inf"},
		{retrypolicy.Constant(0), "Constant is 0s"},
		{retrypolicy.Constant(-5), "Constant is -5ns"},
		{retrypolicy.List{}, "List is empty"},
		{retrypolicy.List(nil), "List is empty"},
		{retrypolicy.List{time.Second, 0}, "List[1] is 0s"},
		{retrypolicy.Func(nil), "Func is nil"},
	} {
		err := retrypolicy.Check(c.policy)
		switch {
		case c.want == "" && err != nil:
			t.Errorf("%#v is refused: %v", c.policy, err)
		case c.want != "" && (!errors.Is(err, task.ErrInvalid) || !strings.Contains(err.Error(), c.want)):
			t.Errorf("%#v: %v, want ErrInvalid with %q", c.policy, err, c.want)
		}
	}
}
