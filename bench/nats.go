package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"github.com/nats-io/nats-server/v2/server"
	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// natsEnv makes this program a NATS server, as natsSpec says.
const natsEnv = "TRIGGERHOOK_BENCH_NATS"

const (
	natsReady = 30 * time.Second
	// natsAnswer is how long a call may take: more than the usual 5 s, because publishers of a rate that the server cannot do wait.
	natsAnswer = stuck
	// natsMost is how many tasks a measurement has at most, unless the flags say another number: JetStream flushes one message after another.
	natsMost = 20_000
	// natsInFlight is how many messages a worker may have in hand.
	natsInFlight = 1000
)

// natsSpec is what a server is told.
type natsSpec struct {
	Dir       string // of its data
	Unflushed bool   // writes are answered before they are flushed, which happens each 2 minutes (its default)
}

// natsMain is a NATS server until ctx ends: JetStream on disk.
func natsMain(ctx context.Context, text string) error {
	var spec natsSpec
	if err := json.Unmarshal([]byte(text), &spec); err != nil {
		return fmt.Errorf("read spec: %w", err)
	}
	dir := spec.Dir
	s, err := server.NewServer(&server.Options{ServerName: "bench", Host: "127.0.0.1", Port: server.RANDOM_PORT, JetStream: true,
		StoreDir: dir, SyncAlways: !spec.Unflushed, NoSigs: true, NoLog: true})
	if err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	s.Start()
	defer s.WaitForShutdown()
	defer s.Shutdown()
	if !s.ReadyForConnections(natsReady) {
		return errors.New("start NATS: it takes no connections")
	}
	part := filepath.Join(dir, "addr.part")
	if err := os.WriteFile(part, []byte(s.Addr().String()), 0o600); err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	if err := os.Rename(part, filepath.Join(dir, "addr")); err != nil {
		return fmt.Errorf("start NATS: %w", err)
	}
	<-ctx.Done()
	return nil
}

// natsServer is a process of this program that is a NATS server.
type natsServer struct {
	addr string
	dir  string
	cmd  *exec.Cmd
	proc *testserver.Process
}

// startNATS starts one with empty data.
func startNATS(ctx context.Context, unflushed bool) (s *natsServer, err error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	s = &natsServer{cmd: exec.Command(self)}
	// A later run removes a folder of this name if its process is gone.
	if s.dir, err = os.MkdirTemp("", fmt.Sprintf("triggerhook-%d-nats-", os.Getpid())); err != nil {
		return nil, fmt.Errorf("data folder of NATS: %w", err)
	}
	log, err := os.Create(filepath.Join(s.dir, "log"))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("log of NATS: %w", err), s.Close())
	}
	defer log.Close()
	spec, err := json.Marshal(natsSpec{s.dir, unflushed})
	if err != nil {
		return nil, errors.Join(fmt.Errorf("start NATS: %w", err), s.Close())
	}
	s.cmd.Env, s.cmd.Stdout, s.cmd.Stderr = append(os.Environ(), natsEnv+"="+string(spec)), log, log
	if s.proc, err = testserver.Spawn(s.cmd); err != nil {
		return nil, errors.Join(fmt.Errorf("start NATS: %w", err), s.Close())
	}
	ctx, cancel := context.WithTimeout(ctx, natsReady)
	defer cancel()
	err = until(ctx, 10*time.Millisecond, func() (bool, error) {
		text, err := os.ReadFile(filepath.Join(s.dir, "addr"))
		s.addr = string(text)
		if errors.Is(err, os.ErrNotExist) && s.proc.State() == nil {
			return false, nil
		}
		return true, err
	})
	if err != nil {
		said, _ := os.ReadFile(log.Name())
		return nil, errors.Join(fmt.Errorf("start NATS: %w: %s", err, said), s.Close())
	}
	return s, nil
}

// PID is the server's process.
func (s *natsServer) PID() int { return s.cmd.Process.Pid }

// Close ends the server and removes its data.
func (s *natsServer) Close() error {
	if s.proc != nil {
		s.proc.Signal(os.Interrupt)
		<-s.proc.Ended()
	}
	return os.RemoveAll(s.dir)
}

// natsAt is NATS with message schedules: a message with a header "@at TIME", which the server publishes to another subject of its
// stream once it is due. Workers consume that subject. Each schedule has a subject of its own, because a later one replaces it.
type natsAt struct {
	conn   *nats.Conn
	js     jetstream.JetStream
	stream jetstream.Stream
	worker jetstream.Consumer
	name   string
	fresh  bool
}

// The headers of a schedule.
const (
	natsSchedule = "Nats-Schedule"
	natsTarget   = "Nats-Schedule-Target"
	natsID       = "Bench-Id" // is kept in what the server publishes
)

func openNATS(ctx context.Context, j job, fresh bool) (system, error) {
	conn, err := nats.Connect("nats://" + j.Clients.NATS)
	if err != nil {
		return nil, fmt.Errorf("open NATS: %w", err)
	}
	n := &natsAt{conn: conn, name: j.Name, fresh: fresh}
	if n.js, err = jetstream.New(conn, jetstream.WithDefaultTimeout(natsAnswer)); err == nil {
		err = n.open(ctx)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("open NATS: %w", err), n.close())
	}
	return n, nil
}

func (n *natsAt) open(ctx context.Context) (err error) {
	n.stream, err = n.js.CreateOrUpdateStream(ctx, jetstream.StreamConfig{Name: n.name, Subjects: []string{n.name + ".>"},
		Storage: jetstream.FileStorage, Retention: jetstream.WorkQueuePolicy, AllowMsgSchedules: true})
	if err != nil {
		return fmt.Errorf("create stream: %w", err)
	}
	n.worker, err = n.stream.CreateOrUpdateConsumer(ctx, jetstream.ConsumerConfig{Durable: "workers", FilterSubject: n.due(),
		AckPolicy: jetstream.AckExplicitPolicy, MaxAckPending: natsInFlight})
	if err != nil {
		return fmt.Errorf("create consumer: %w", err)
	}
	return nil
}

func (n *natsAt) due() string               { return n.name + ".due" }
func (n *natsAt) schedule(id string) string { return n.name + ".at." + id }

// message is a task as NATS takes it. One for at once needs no schedule.
func (n *natsAt) message(it item) *nats.Msg {
	if it.now {
		return &nats.Msg{Subject: n.due(), Data: it.payload, Header: nats.Header{natsID: {it.id}}}
	}
	return &nats.Msg{Subject: n.schedule(it.id), Data: it.payload, Header: nats.Header{natsID: {it.id}, natsTarget: {n.due()},
		natsSchedule: {"@at " + it.due.UTC().Format(time.RFC3339Nano)}}}
}

func (n *natsAt) create(ctx context.Context, items []item) error {
	if len(items) != 1 {
		return cannot("a call of NATS publishes one message here: its batches were not tried")
	}
	_, err := n.js.PublishMsg(ctx, n.message(items[0]))
	return err
}

func (n *natsAt) delete(ctx context.Context, ids []string) error {
	if len(ids) != 1 {
		return cannot("NATS has no call that deletes the messages of many subjects that have no common pattern")
	}
	return n.stream.Purge(ctx, jetstream.WithPurgeSubject(n.schedule(ids[0])))
}

// fill does not wait for one answer before the next message.
func (n *natsAt) fill(ctx context.Context, count int, at func(int) item) error {
	return each(ctx, count, 500, 4, func(ctx context.Context, from, to int) error {
		var acks []jetstream.PubAckFuture
		for _, it := range items(from, to, at) {
			ack, err := n.js.PublishMsgAsync(n.message(it), jetstream.WithStallWait(natsReady))
			if err != nil {
				return fmt.Errorf("publish: %w", err)
			}
			acks = append(acks, ack)
		}
		for _, ack := range acks {
			select {
			case <-ack.Ok():
			case err := <-ack.Err():
				return fmt.Errorf("publish: %w", err)
			case <-ctx.Done():
				return ctx.Err()
			}
		}
		return nil
	})
}

func (n *natsAt) start(context.Context) error { return nil }

func (n *natsAt) hot(context.Context) (int, error) {
	return 0, cannot("NATS has one store: its figures are those from rows")
}

func (n *natsAt) consume(ctx context.Context, c consumption) error {
	failed := make(chan error, 1)
	fail := func(err error) {
		select {
		case failed <- err:
		default: // the first is enough
		}
	}
	work, err := n.worker.Consume(func(m jetstream.Msg) {
		c.deliver(m.Headers().Get(natsID), time.Now())
		if err := m.Ack(); err != nil {
			fail(fmt.Errorf("acknowledge: %w", err))
		}
	}, jetstream.ConsumeErrHandler(func(_ jetstream.ConsumeContext, err error) {
		if !strings.Contains(err.Error(), "heartbeat") { // a busy server sends them late
			fail(fmt.Errorf("consume: %w", err))
		}
	}))
	if err != nil {
		return fmt.Errorf("consume: %w", err)
	}
	select {
	case <-ctx.Done():
		err = nil
	case err = <-failed:
	}
	work.Drain()
	<-work.Closed()
	return errors.Join(err, n.conn.Flush())
}

// settled is what the consumer has delivered less what is not acknowledged.
func (n *natsAt) settled(ctx context.Context) (int, error) {
	_ = pause(ctx, 10*time.Millisecond) // so that the server is not kept busy by being asked
	info, err := n.worker.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask NATS: %w", err)
	}
	return int(info.Delivered.Consumer) - info.NumAckPending, nil
}

func (n *natsAt) left(ctx context.Context, _ int) (int, error) {
	info, err := n.stream.Info(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask NATS: %w", err)
	}
	return int(info.State.Msgs), nil
}

func (n *natsAt) calls() int64 { return -1 }

// close removes the stream, if this process made it.
func (n *natsAt) close() (err error) {
	if n.fresh && n.stream != nil {
		ctx, cancel := context.WithTimeout(context.Background(), natsReady)
		defer cancel()
		err = n.js.DeleteStream(ctx, n.name)
	}
	n.conn.Close()
	return err
}
