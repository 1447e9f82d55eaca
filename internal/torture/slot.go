package main

import (
	"encoding/json"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/triggerhook/triggerhook/internal/history"
	"github.com/triggerhook/triggerhook/internal/testserver"
)

// slot is a place for a worker process, with proxies of its own. Its processes are
// called w1.1, w1.2 and so on, a life each.
type slot struct {
	st           *stage
	name         string
	n            int
	mysql, redis *proxy // redis is nil if it is reached without one

	busy sync.Mutex // held by the fault that has the process in its hands

	mu    sync.Mutex
	lives int
	life  life
	brief bool // its next lives hold no delivery for long
}

// life is one process.
type life struct {
	who  string
	proc *testserver.Process
	in   io.WriteCloser
}

func newSlot(st *stage, n int) (*slot, error) {
	sl := &slot{st: st, n: n, name: fmt.Sprintf("w%d", n)}
	var err error
	if sl.mysql, err = newProxy(st.mysqlAddr); err != nil {
		return nil, err
	}
	if st.topology().direct {
		return sl, nil
	}
	if sl.redis, err = newProxy(st.redisAt.Addr); err != nil {
		sl.mysql.close()
		return nil, err
	}
	return sl, nil
}

// now is the life that is.
func (sl *slot) now() life {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	return sl.life
}

// who is the name of the life that is.
func (sl *slot) who() string { return sl.now().who }

// start begins a life.
func (sl *slot) start() error {
	sl.mu.Lock()
	defer sl.mu.Unlock()
	sl.lives++
	st := sl.st
	cfg := *st.workerConfig
	cfg.Addr = sl.mysql.addr()
	sp := spec{Who: fmt.Sprintf("%s.%d", sl.name, sl.lives), MySQL: cfg.FormatDSN(), Redis: sl.redisAt(), Namespace: st.ns, Partitions: st.parts,
		HotTasks: st.hotTasks(), History: st.path, Seed: st.seed, Rate: st.rate / float64(st.workers), Brief: sl.brief}
	arg, err := json.Marshal(sp)
	if err != nil {
		return fmt.Errorf("describe worker: %w", err)
	}
	log, err := os.OpenFile(filepath.Join(st.dir, sl.name+".log"), os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("log of %s: %w", sl.name, err)
	}
	defer log.Close()
	fmt.Fprintf(log, "--- %s begins\n", sp.Who)
	cmd := exec.Command(st.exe, "--worker", string(arg))
	cmd.Stdout, cmd.Stderr = log, log
	in, err := cmd.StdinPipe()
	if err != nil {
		return fmt.Errorf("start %s: %w", sp.Who, err)
	}
	proc, err := testserver.Spawn(cmd)
	if err == nil {
		sl.life = life{sp.Who, proc, in}
	}
	return err
}

// redisAt is how the process reaches Redis. Each place asks another Sentinel first, so that
// they hear of a failover from different ones.
func (sl *slot) redisAt() redisAt {
	if sl.redis != nil {
		return redisAt{Addr: sl.redis.addr()}
	}
	at := sl.st.redisAt
	if k := len(at.Sentinels); k > 0 {
		at.Sentinels = append(slices.Clone(at.Sentinels[sl.n%k:]), at.Sentinels[:sl.n%k]...)
	}
	return at
}

// tell sends the process a line; one that has ended does not hear it.
func (sl *slot) tell(line string) { _, _ = io.WriteString(sl.now().in, line+"\n") }

func (sl *slot) signal(sig syscall.Signal) { sl.now().proc.Signal(sig) }

// end waits for the process's end and records it.
func (l life) end(st *stage) {
	<-l.proc.Ended()
	st.rec.Write(history.Event{Op: history.Crash, Target: l.who})
}

func (sl *slot) kill() {
	sl.signal(syscall.SIGKILL)
	sl.now().end(sl.st)
}

// drain has the process end in good order, which is to take no longer than that.
func (sl *slot) drain(within time.Duration) error { return sl.now().drain(sl.st, within) }

func (l life) drain(st *stage, within time.Duration) error {
	st.rec.Write(history.Event{Op: history.Ending, Target: l.who})
	_, _ = io.WriteString(l.in, "drain\n")
	t := time.NewTimer(within)
	defer t.Stop()
	select {
	case <-l.proc.Ended():
	case <-t.C:
		l.proc.Signal(syscall.SIGKILL)
		l.end(st)
		return fmt.Errorf("%s did not drain within %s", l.who, within)
	}
	l.end(st)
	if state := l.proc.State(); !state.Success() {
		return fmt.Errorf("%s ended with %s: see its log in %s", l.who, state, st.dir)
	}
	return nil
}

func (sl *slot) close() {
	if proc := sl.now().proc; proc != nil {
		proc.Signal(syscall.SIGKILL)
		<-proc.Ended()
	}
	sl.mysql.close()
	sl.redis.close()
}
