package main

import (
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/internal/testserver"
)

// A worker that is told to end before it has reached its servers has not failed.
func TestAWorkerThatIsStoppedAtOnceSucceeds(t *testing.T) {
	mysql, redis := testserver.Shared(t, testserver.MySQL), testserver.Shared(t, testserver.Redis)
	s := spec{DSN: mysql.DSN(mysql.Database(t)), Redis: redis.Addr, Namespace: "stopped", Partitions: 1, Handlers: 1, Lease: time.Second, Dir: t.TempDir()}
	m, err := s.open(t.Output())
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	if err := m.sch.Migrate(t.Context()); err != nil {
		t.Fatal(err)
	}
	f := fleet{killed: map[int]bool{}}
	if err := f.start(s); err != nil {
		t.Fatal(err)
	}
	if err := f.stop(time.Minute); err != nil {
		t.Error(err)
	}
}
