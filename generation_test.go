package triggerhook_test

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/triggerhook/triggerhook"
	"github.com/triggerhook/triggerhook/hotset"
	"github.com/triggerhook/triggerhook/hotset/local"
	"github.com/triggerhook/triggerhook/task"
)

// settling is a set in memory whose new generations are to be left alone for 2 s, as Redis
// has it, and which can lose its data.
type settling struct {
	hotset.Set
	mu    sync.Mutex
	fails int       // calls of Horizon
	moves int       // how many servers it has left
	began time.Time // the generation
}

func (l *settling) Horizon(ctx context.Context, p int, f task.HorizonRequest) (task.PartitionStatus, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.fails > 0 {
		l.fails--
		return task.PartitionStatus{}, fmt.Errorf("horizon: %w", task.ErrUnavailable)
	}
	f.Server = ""
	st, err := l.Set.Horizon(ctx, p, f)
	st.ReadyMS, st.Server = st.StartMS+2000, l.server()
	if st.New {
		l.began = time.Now()
	}
	return st, err
}

func (l *settling) State(ctx context.Context, p int) (task.State, error) {
	st, err := l.Set.State(ctx, p)
	st.Server = l.server()
	return st, err
}

func (l *settling) server() string { return fmt.Sprint("settling", l.moves) }

func (l *settling) loses(t *testing.T) {
	empty, err := local.New(local.Options{Partitions: l.Config().Partitions})
	if err != nil {
		t.Fatal(err)
	}
	synctest.Wait()
	l.Set = empty
}

// How long after the beginning of its generation an overdue row is delivered.
func TestOnlyTheFirstGenerationOfANamespaceLoadsOverdueRowsAtOnce(t *testing.T) {
	for name, x := range map[string]struct {
		fails   int
		run     bool // a worker has done so before
		loses   time.Duration
		another bool // process
		want    time.Duration
	}{
		"first":                               {},
		"lost soon":                           {run: true, loses: 400 * time.Millisecond, want: 2 * time.Second},
		"lost later":                          {run: true, loses: time.Minute, want: 2 * time.Second},
		"lost, and another process begins":    {run: true, loses: 400 * time.Millisecond, another: true, want: 2 * time.Second},
		"begins long after the feeder's look": {fails: 8, want: 2 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			bubbles(t, func(t *testing.T, s stores) {
				l := &settling{Set: s.set, fails: x.fails}
				s.set = l
				sch := s.scheduler(t, triggerhook.Options{Window: time.Second}) // a round each third of it
				if x.run {
					stop := run(t, sch)
					sleep(t, x.loses)
					if x.another {
						stop()
						sch = s.scheduler(t, triggerhook.Options{Window: time.Second})
					}
					l.loses(t)
				}
				due := time.Now().Add(-time.Minute).UnixMilli()
				row := task.Row{Ref: task.Ref{ID: "a", Ver: task.NewVer()}, NextMS: due, DueMS: due, CreatedMS: due}
				if err := s.store.Create(t.Context(), []task.Row{row}); err != nil {
					t.Fatal(err)
				}
				if !x.run || x.another {
					run(t, sch)
				}
				d, err := sch.Consume(t.Context())
				if err != nil {
					t.Fatal(err)
				}
				if got := time.Since(l.began); got.Truncate(time.Second) != x.want {
					t.Errorf("delivered %s after its generation began, want %s", got, x.want)
				}
				if err := d.Confirm(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
