package main

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

// proxy stands between clients and a server and delays each byte by half a round
// trip each way. It does not limit how many are under way, so that what a longer
// way costs is waiting, not throughput.
type proxy struct {
	listener net.Listener
	delay    time.Duration

	wg     sync.WaitGroup
	mu     sync.Mutex // guards what follows
	target string
	conns  map[net.Conn]bool
	ended  bool
}

// late is a piece of a stream, and when it is to arrive.
type late struct {
	bytes []byte
	at    time.Time
}

// underway is how many pieces of a connection may be on their way: of 32 KiB each
// more than a loopback can send in any round trip worth measuring.
const underway = 1 << 14

func newProxy(target string, rtt time.Duration) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("delay of %s: %w", target, err)
	}
	p := &proxy{listener: l, target: target, delay: rtt / 2, conns: map[net.Conn]bool{}}
	p.wg.Go(p.accept)
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// turn leads to another server from now on, and ends the connections to the one before.
func (p *proxy) turn(target string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.target = target
	for c := range p.conns {
		_ = c.Close()
	}
}

func (p *proxy) leadsTo() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.target
}

func (p *proxy) accept() {
	for {
		client, err := p.listener.Accept()
		if err != nil {
			return
		}
		server, err := net.Dial("tcp", p.leadsTo())
		if err != nil {
			_ = client.Close()
			continue
		}
		if !p.keep(client, server) {
			return
		}
		p.wg.Go(func() { p.stream(server, client) })
		p.wg.Go(func() { p.stream(client, server) })
	}
}

// keep notes connections for Close to close, unless that was called before.
func (p *proxy) keep(conns ...net.Conn) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, c := range conns {
		p.conns[c] = true
		if p.ended {
			_ = c.Close()
		}
	}
	return !p.ended
}

// stream copies from one side to the other until one of them closes.
func (p *proxy) stream(to, from net.Conn) {
	pieces := make(chan late, underway)
	p.wg.Go(func() {
		for piece := range pieces {
			wait(time.Until(piece.at))
			if _, err := to.Write(piece.bytes); err != nil {
				_ = from.Close() // ends the reading, and so the range
			}
		}
		_ = to.Close()
	})
	defer close(pieces)
	for {
		buf := make([]byte, 32<<10)
		n, err := from.Read(buf)
		if n > 0 {
			pieces <- late{buf[:n:n], time.Now().Add(p.delay)}
		}
		if err != nil {
			return
		}
	}
}

func wait(d time.Duration) {
	if d > 0 {
		t := time.NewTimer(d)
		<-t.C
	}
}

// Close ends the listener and all connections.
func (p *proxy) Close() error {
	err := p.listener.Close()
	p.mu.Lock()
	p.ended = true
	for c := range p.conns {
		if e := c.Close(); e != nil && !errors.Is(e, net.ErrClosed) && !errors.Is(e, io.EOF) {
			err = errors.Join(err, e)
		}
	}
	p.mu.Unlock()
	p.wg.Wait()
	return err
}
