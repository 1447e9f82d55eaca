package triggerhook_test

import (
	"cmp"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/task"
)

// names gives what is random in a run the same short name in each run: in the order in which it is first
// printed. Times are printed as offsets from the start.
type names struct {
	start time.Time

	mu          sync.Mutex
	versions    map[string][]int64 // by ID
	batches     map[string]string  // by token
	generations []int64
}

func newNames() *names {
	return &names{start: time.Now(), versions: map[string][]int64{}, batches: map[string]string{}}
}

// ref is a version of a task: a/v1.
func (n *names) ref(r task.Ref) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.Index(n.versions[r.ID], r.Ver)
	if i < 0 {
		i = len(n.versions[r.ID])
		n.versions[r.ID] = append(n.versions[r.ID], r.Ver)
	}
	return fmt.Sprintf("%s/v%d", r.ID, i+1)
}

// refs is versions in the order of their names: most calls name them in no particular order.
func (n *names) refs(all []task.Ref) string {
	if len(all) == 0 {
		return "nothing"
	}
	words := make([]string, len(all))
	for i, r := range all {
		words[i] = n.ref(r)
	}
	slices.Sort(words)
	return strings.Join(words, " ")
}

// batch is the batch of a token: b1.
func (n *names) batch(token string) string {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.batches[token] == "" {
		n.batches[token] = fmt.Sprintf("b%d", len(n.batches)+1)
	}
	return n.batches[token]
}

// generation is the generation of a number: g1.
func (n *names) generation(g int64) string {
	if g == 0 {
		return "none"
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	i := slices.Index(n.generations, g)
	if i < 0 {
		i = len(n.generations)
		n.generations = append(n.generations, g)
	}
	return fmt.Sprintf("g%d", i+1)
}

// at is a time in unix milliseconds as an offset: +1.5s.
func (n *names) at(ms int64) string {
	d := time.Duration(ms-n.start.UnixMilli()) * time.Millisecond
	if ms == 0 {
		return "the beginning"
	}
	return signed(d)
}

// since is said of an AsOf that is not of this moment.
func (n *names) since(a task.AsOf) string {
	if a.TimeUS == time.Now().UnixMicro() {
		return ""
	}
	return " as of " + n.at(a.TimeUS/1000)
}

func (n *names) cursor(c task.Cursor) string {
	if c.ID == "" {
		return n.at(c.NextMS)
	}
	return n.at(c.NextMS) + " after " + c.ID
}

func signed(d time.Duration) string {
	if d < 0 {
		return "-" + length(-d)
	}
	return "+" + length(d)
}

// length is a duration without zero minutes and seconds: 1m, not 1m0s.
func length(d time.Duration) string {
	s := d.String()
	if cut, is := strings.CutSuffix(s, "m0s"); is {
		s = cut + "m"
	}
	if cut, is := strings.CutSuffix(s, "h0m"); is {
		s = cut + "h"
	}
	return s
}

// sentinels are what errors are printed as.
var sentinels = []struct {
	err  error
	name string
}{
	{errDied, "the process is dead"},
	{triggerhook.ErrSettled, "ErrSettled"}, {triggerhook.ErrLeaseLost, "ErrLeaseLost"}, {triggerhook.ErrTimeout, "ErrTimeout"},
	{triggerhook.ErrGone, "ErrGone"}, {triggerhook.ErrClosed, "ErrClosed"}, {triggerhook.ErrInvalid, "ErrInvalid"},
	{triggerhook.ErrUnavailable, "ErrUnavailable"},
	{task.ErrOther, "of another generation"}, {task.ErrCold, "cold"}, {task.ErrStale, "stale"}, {task.ErrAborted, "aborted"},
}

// say is what an error is printed as: the names of the sentinels that it matches, each with the IDs that it names.
func say(err error) string {
	if err == nil {
		return "nil"
	}
	var words []string
	var ids *task.IDError
	if errors.As(err, &ids) {
		for _, list := range []struct {
			name string
			ids  []string
		}{{"ErrInvalid", ids.Invalid}, {"ErrExists", ids.Exists}, {"ErrNotFound", ids.NotFound}, {"ErrClaimed", ids.Claimed}} {
			if len(list.ids) > 0 {
				words = append(words, list.name+" of "+strings.Join(slices.SortedFunc(slices.Values(list.ids), cmp.Compare), " "))
			}
		}
	}
	for _, s := range sentinels {
		if errors.Is(err, s.err) && !slices.ContainsFunc(words, func(w string) bool { return strings.HasPrefix(w, s.name) }) {
			words = append(words, s.name)
			break
		}
	}
	if len(words) == 0 {
		return err.Error()
	}
	return strings.Join(words, ", ")
}
