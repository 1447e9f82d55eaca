package main

import (
	"fmt"
	"testing"
	"time"

	"github.com/triggerhook/triggerhook/task"
)

// announced stages a partition that works, while another server is announced to take its
// place. The process that announced that has ended.
func (c *cell) announced() (counts task.Place) {
	c.Helper()
	c.warm()
	is := c.counting()
	was, err := is.MarshalText()
	if err != nil {
		c.Fatal(err)
	}
	is.Next = task.Place{Generation: 9, Server: "another"}
	to, err := is.MarshalText()
	if err != nil {
		c.Fatal(err)
	}
	if ok, err := c.store.SwapRecord(c.Context(), task.GenerationName(0), string(was), string(to)); !ok || err != nil {
		c.Fatalf("SwapRecord: %t, %v", ok, err)
	}
	return is.Current
}

// staysWith checks that the generation that was current is still current, and nothing is announced.
func (c *cell) staysWith(counts task.Place) {
	c.Helper()
	if is := c.counting(); is.Current != counts || is.Next != (task.Place{}) {
		c.Errorf("killed at %s, and %+v is recorded at the end, want %+v alone", c.point, is, counts)
	}
}

// The announcement stands, so that nothing may be claimed. The next worker takes it back.
func TestAWorkerKilledBeforeItVetoesIsFollowedByOneThatDoes(t *testing.T) {
	killedAt(t, "veto/swap", 1, func(c *cell) {
		counts := c.announced()
		c.create(time.Now(), "a", "b")
		c.kill(idle)
		if is := c.counting(); is.Next.Server != "another" {
			c.Errorf("recorded is %+v, want the announcement still", is)
		}
		c.next(never).delivers("a 1", "b 1")
		c.staysWith(counts)
	})
}

// The announcement is taken back: the next worker goes on where the dead one was.
func TestAWorkerKilledAfterItVetoedHasKeptTheHotSet(t *testing.T) {
	killedAt(t, "veto/end", 1, func(c *cell) {
		counts := c.announced()
		c.create(time.Now(), "a", "b")
		c.kill(idle)
		c.staysWith(counts)
		c.next(never).delivers("a 1", "b 1")
		c.staysWith(counts)
	})
}

// releasing kills a process whose hot set is in its memory, when it is done with it. It
// returns how many tasks are left.
func releasing(c *cell) (left int) {
	c.Helper()
	c.begun()
	var ids []string
	for i := range 40 {
		ids = append(ids, fmt.Sprintf("a%02d", i))
	}
	c.rows(time.Now(), ids...)
	c.InProcess = true
	c.kill(order{Work: &work{Workers: 1, Confirms: 10, Then: "keep", Stop: true}})
	c.InProcess = false
	n, _, err := c.store.Count(c.Context(), 1000)
	if err != nil || n == 0 {
		c.Fatalf("%d tasks are left, %v", n, err)
	}
	return int(n)
}

// The current generation has died with its process, which no other process can know. The next worker announces its own
// hot set, and makes it current two seconds later.
func TestAProcessKilledBeforeItReleasesItsHotSetIsFollowedAfterAWhile(t *testing.T) {
	killedAt(t, "release/record", 1, func(c *cell) {
		left := releasing(c)
		dead := c.counting()
		if dead.Current.Generation == 0 || dead.Current.Server == c.state(0).Server {
			c.Errorf("recorded is %+v, want the dead process's hot set", dead)
		}
		if all := c.next(never).ends(); len(all) != left {
			c.Errorf("%d tasks were left, and %d were delivered", left, len(all))
		}
		if is := c.counting(); is.Current.Server != c.state(0).Server || is.Next != (task.Place{}) {
			c.Errorf("recorded is %+v, want the next worker's server", is)
		}
	})
}

// Nothing counts: the next worker's hot set does at once.
func TestAProcessKilledAfterItReleasedItsHotSetIsFollowedAtOnce(t *testing.T) {
	killedAt(t, "release/end", 1, func(c *cell) {
		left := releasing(c)
		if is := c.counting(); is != (task.Generation{}) {
			c.Errorf("recorded is %+v, want that nothing counts", is)
		}
		if all := c.next(never).ends(); len(all) != left {
			c.Errorf("%d tasks were left, and %d were delivered", left, len(all))
		}
	})
}

// longer has a worker with a longer Lease than any before die; the next one has that too.
func longer(c *cell, want task.Lease) {
	c.Helper()
	c.rows(time.Now(), "a", "b")
	c.Lease = 3 * time.Second
	c.kill(idle)
	c.leased(want)
}

// leased checks what is recorded of leases.
func (c *cell) leased(want task.Lease) {
	c.Helper()
	all, err := c.store.Records(c.Context())
	if err != nil {
		c.Fatal(err)
	}
	if got, err := all.Lease(); got != want || err != nil {
		c.Errorf("killed at %s, and recorded is %+v, %v, want %+v", c.point, got, err, want)
	}
}

// waits has the next worker deliver what is left, at least 2 s after it began.
func (c *cell) waits() {
	c.Helper()
	began := time.Now()
	for _, d := range c.next(never).delivers("a 1", "b 1") {
		if waited := d.at.Sub(began); waited < 2*time.Second {
			c.Errorf("killed at %s, and the next worker delivered after %s, want 2 s or more: not all processes that delete know of its Lease", c.point, waited)
		}
	}
	c.leased(task.Lease{EffectiveMS: 3000, AnnouncedMS: 3000})
}

// Nothing happened: the next worker announces its Lease.
func TestAWorkerKilledBeforeItAnnouncesItsLeaseIsFollowedByOneThatDoes(t *testing.T) {
	killedAt(t, "lease/announce", 1, func(c *cell) {
		longer(c, task.Lease{EffectiveMS: 1000, AnnouncedMS: 1000})
		c.waits()
	})
}

// The Lease is announced. The next worker cannot tell for how long, so it waits for itself.
func TestAWorkerKilledBeforeItMakesItsLeaseEffectiveIsFollowedByOneThatWaits(t *testing.T) {
	killedAt(t, "lease/effective", 1, func(c *cell) {
		longer(c, task.Lease{EffectiveMS: 1000, AnnouncedMS: 3000})
		c.waits()
	})
}

// The Lease is effective: the next worker uses it.
func TestAWorkerKilledAfterItMadeItsLeaseEffectiveHasRecordedIt(t *testing.T) {
	killedAt(t, "lease/end", 1, func(c *cell) {
		longer(c, task.Lease{EffectiveMS: 3000, AnnouncedMS: 3000})
		c.next(never).delivers("a 1", "b 1")
		c.leased(task.Lease{EffectiveMS: 3000, AnnouncedMS: 3000})
	})
}

// killSilent is kill of an idle process whose hot set answers nothing.
func (c *cell) killSilent() {
	c.Helper()
	c.Silent = true
	c.kill(idle)
	c.Silent = false
}

// Nothing is announced. The next worker, whose server answers, announces that one.
func TestAWorkerKilledBeforeItAnnouncesAnOutageIsFollowedAfterAWhile(t *testing.T) {
	killedAt(t, "vacate/announce", 1, func(c *cell) {
		c.elsewhere()
		c.rows(time.Now(), "a", "b")
		c.killSilent()
		if g := c.counting(); g.Current.Server != "gone" || g.Next != (task.Place{}) {
			c.Errorf("recorded is %+v", g)
		}
		c.next(never).delivers("a 1", "b 1")
	})
}

// Whichever server answers may take over. The next worker's does, 2 s after it has read that.
func TestAWorkerKilledAfterItAnnouncedAnOutageIsFollowedByAnyServer(t *testing.T) {
	killedAt(t, "vacate/end", 1, func(c *cell) {
		c.elsewhere()
		c.rows(time.Now(), "a", "b")
		c.killSilent()
		if g := c.counting(); g.Current.Server != "gone" || g.Next.Server != task.Anywhere {
			c.Errorf("recorded is %+v", g)
		}
		c.next(never).delivers("a 1", "b 1")
	})
}
