package main

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"testing"
	"testing/synctest"
	"time"
)

// echo is a server that answers each line with itself, and tells the lines that
// arrive.
func echo(t *testing.T) (addr string, lines <-chan string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	got := make(chan string, 100)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for in := bufio.NewScanner(conn); in.Scan(); {
					got <- in.Text()
					fmt.Fprintln(conn, in.Text())
				}
			}()
		}
	}()
	return l.Addr().String(), got
}

// client is a connection through p.
type client struct {
	t *testing.T
	net.Conn
}

func dial(t *testing.T, p *proxy) client {
	t.Helper()
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return client{t, conn}
}

func (c client) send(line string) {
	c.t.Helper()
	if _, err := fmt.Fprintln(c, line); err != nil {
		c.t.Fatalf("send %s: %v", line, err)
	}
}

// hears reports what comes back in that time: the line, or how it fails.
func (c client) hears(within time.Duration) (string, error) {
	c.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(within)); err != nil {
		c.t.Fatal(err)
	}
	buf := make([]byte, 100)
	n, err := c.Read(buf)
	return string(buf[:n]), err
}

func start(t *testing.T) (*proxy, <-chan string) {
	t.Helper()
	addr, got := echo(t)
	p, err := newProxy(addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.close)
	return p, got
}

const long, short = 20 * time.Second, 300 * time.Millisecond

func works(t *testing.T, p *proxy) {
	t.Helper()
	c := dial(t, p)
	c.send("works")
	if got, err := c.hears(long); got != "works\n" {
		t.Errorf("a new connection hears %q, %v", got, err)
	}
}

func TestACutEndsConnectionsAndRefusesOthers(t *testing.T) {
	p, _ := start(t)
	works(t, p)
	c := dial(t, p)
	c.send("a")
	if _, err := c.hears(long); err != nil {
		t.Fatal(err)
	}
	p.cut()
	if _, err := c.hears(long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the connection hears %v, want its end", err)
	}
	if got, err := dial(t, p).hears(long); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("another one hears %q, %v, want its end", got, err)
	}
	p.mend()
	works(t, p)
}

// The other end is there, but what is sent vanishes.
func TestAHalfOpenConnectionIsSilent(t *testing.T) {
	p, got := start(t)
	c := dial(t, p)
	c.send("a")
	if _, err := c.hears(long); err != nil {
		t.Fatal(err)
	}
	<-got
	p.forget()
	c.send("b")
	if _, err := c.hears(short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("it hears %v, want nothing", err)
	}
	select {
	case line := <-got:
		t.Errorf("the server got %q", line)
	default:
	}
	works(t, p)
}

// A late answer: what was sent has arrived, and the client does not hear of it yet.
func TestAnswersAreLate(t *testing.T) {
	p, got := start(t)
	p.slow(0, 2*time.Second)
	c := dial(t, p)
	c.send("a")
	if line := <-got; line != "a" {
		t.Errorf("the server got %q", line)
	}
	if _, err := c.hears(short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client hears %v at once", err)
	}
	if line, err := c.hears(long); line != "a\n" {
		t.Errorf("the client hears %q, %v in the end", line, err)
	}
}

// A line carries what it is given one after the other, and each part takes as long as
// the line is.
func TestALineCarriesSoMuchASecond(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := line{delay: time.Second, bytes: 100}
		for i, want := range []time.Duration{3 * time.Second, 4 * time.Second} { // 2 s for the first, 1 s more for the second
			if got := l.takes([]int{200, 100}[i]); got != want {
				t.Errorf("part %d takes %s, want %s", i, got, want)
			}
		}
		for !l.free.Before(time.Now()) {
			<-time.After(time.Until(l.free) + time.Nanosecond)
		}
		if got := l.takes(50); got != 1500*time.Millisecond {
			t.Errorf("a part that meets a free line takes %s, want 1.5s", got)
		}
		wide := line{delay: time.Second}
		if got := wide.takes(1 << 30); got != time.Second {
			t.Errorf("a part takes %s on a line that carries any number, want 1s", got)
		}
	})
}

// A line stays long whatever else is mended.
func TestANarrowLineStaysSo(t *testing.T) {
	p, got := start(t)
	p.narrow(time.Second, 1<<20)
	p.slow(time.Hour, 0)
	p.mend()
	c := dial(t, p)
	c.send("a")
	if _, err := c.hears(short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("the client hears %v at once", err)
	}
	if line := <-got; line != "a" {
		t.Errorf("the server got %q", line)
	}
	if line, err := c.hears(long); line != "a\n" {
		t.Errorf("the client hears %q, %v in the end", line, err)
	}
	p.narrow(0, 0)
	if l := p.line; l != [2]line{} {
		t.Errorf("the line is %v in the end", l)
	}
	works(t, p)
}

// Late requests: scripts arrive after their client has hung up, and nothing else
// does.
func TestScriptsAreHeldBackAndArriveWithoutTheirClient(t *testing.T) {
	p, got := start(t)
	c, other := dial(t, p), dial(t, p)
	p.holdBack()
	c.send("EVALSHA 1")
	c.send("after it")
	other.send("PING")
	if line, err := other.hears(long); line != "PING\n" {
		t.Errorf("another command hears %q, %v", line, err)
	}
	<-got
	if _, err := c.hears(short); !errors.Is(err, os.ErrDeadlineExceeded) {
		t.Errorf("a script hears %v, want nothing", err)
	}
	c.Close()
	held := p.letGo()
	if len(held) != 1 {
		t.Fatalf("%d connections hold something back, want 1", len(held))
	}
	works(t, p)
	if line := <-got; line != "works" {
		t.Errorf("the server got %q too early", line)
	}
	p.arrive(held)
	for _, want := range []string{"EVALSHA 1", "after it"} {
		if line := <-got; line != want {
			t.Errorf("the server got %q, want %q", line, want)
		}
	}
}

func TestTurnLeadsToAnotherServer(t *testing.T) {
	p, _ := start(t)
	c := dial(t, p)
	c.send("a")
	if _, err := c.hears(long); err != nil {
		t.Fatal(err)
	}
	addr, got := echo(t)
	p.turn(addr)
	if _, err := c.hears(long); !errors.Is(err, io.EOF) {
		t.Errorf("the old connection hears %v, want its end", err)
	}
	works(t, p)
	if line := <-got; line != "works" {
		t.Errorf("the other server got %q", line)
	}
}
