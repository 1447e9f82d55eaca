package task_test

import (
	"errors"
	"math/big"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/triggerhook/triggerhook/task"
)

// verdict fails unless err is nil for the legal, and ErrInvalid for all else.
func verdict(t *testing.T, what any, legal bool, err error) {
	t.Helper()
	if legal != (err == nil) || err != nil && !errors.Is(err, task.ErrInvalid) {
		t.Errorf("%q: %v, it is legal: %t", what, err, legal)
	}
}

func FuzzCheckID(f *testing.F) {
	f.Fuzz(func(t *testing.T, id string) {
		solid := strings.ContainsFunc(id, func(r rune) bool { return !unicode.IsSpace(r) })
		legal := len(id) <= 128 && solid && strings.ToValidUTF8(id, "") == id && !strings.ContainsRune(id, 0)
		verdict(t, id, legal, task.CheckID(id))
		for _, n := range []int{1, 2, 256} {
			if p := task.Partition(id, n); p < 0 || p >= n {
				t.Errorf("partition %d of %d", p, n)
			}
		}
	})
}

var namespaces = regexp.MustCompile(`\A[a-z][a-z0-9_]{0,31}\z`)

func FuzzCheckNamespace(f *testing.F) {
	f.Fuzz(func(t *testing.T, ns string) { verdict(t, ns, namespaces.MatchString(ns), task.CheckNamespace(ns)) })
}

// The oracle counts in integers of any size: nothing overflows there.
func FuzzDueMS(f *testing.F) {
	f.Fuzz(func(t *testing.T, sec, nsec int64) {
		due := time.Unix(sec, nsec)
		ns := new(big.Int).Mul(big.NewInt(due.Unix()), big.NewInt(1e9))
		ns.Add(ns, big.NewInt(int64(due.Nanosecond())))
		up, rest := new(big.Int).DivMod(ns, big.NewInt(1e6), new(big.Int))
		if rest.Sign() > 0 {
			up.Add(up, big.NewInt(1))
		}
		legal := !due.IsZero() && ns.Sign() >= 0 && up.Cmp(big.NewInt(task.MaxDue)) <= 0
		ms, err := task.DueMS(due)
		verdict(t, due, legal, err)
		if legal && up.Cmp(big.NewInt(ms)) != 0 {
			t.Errorf("DueMS of %d s and %d ns is %d, want %d", sec, nsec, ms, up)
		}
		if legal && time.UnixMilli(ms).Before(due) {
			t.Errorf("DueMS of %s is %d, which is early", due, ms)
		}
	})
}

// Errors name what is wrong, whatever the ids are.
func FuzzIDError(f *testing.F) {
	f.Fuzz(func(t *testing.T, a, b string, n uint8) {
		e := &task.IDError{Exists: []string{a, b}, NotFound: make([]string, n%6)}
		if text := e.Error(); !strings.HasPrefix(text, task.ErrExists.Error()) || strings.ContainsRune(text, '\n') {
			t.Errorf("it reads %q", text)
		}
		if !errors.Is(e, task.ErrExists) || errors.Is(e, task.ErrNotFound) != (n%6 > 0) || errors.Is(e, task.ErrClaimed) {
			t.Errorf("%+v matches the wrong sentinels", e)
		}
	})
}
