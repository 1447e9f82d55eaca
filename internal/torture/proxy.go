package main

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"sync"
	"time"
)

// proxy stands between one worker and one server, and does to their connections
// what networks do. Its methods may be called at any time; cut, mend, slow, narrow and
// close of a nil one do nothing, for a server that is reached without a proxy.
type proxy struct {
	listener net.Listener

	mu     sync.Mutex
	server string
	closed bool          // connections are refused
	delay  time.Duration // of what goes either way
	late   time.Duration // of answers, besides
	holds  bool          // scripts are held back
	line   [2]line       // what the connections share: of answers, and of requests
	links  map[*link]bool
}

// line is what all connections through a proxy share in one direction.
type line struct {
	delay time.Duration
	bytes int       // that it carries a second; 0: any number
	free  time.Time // when it has carried what it was given
}

// takes is how long the line takes for n bytes more.
func (l *line) takes(n int) time.Duration {
	if l.bytes == 0 {
		return l.delay
	}
	now := time.Now()
	if l.free.Before(now) {
		l.free = now
	}
	l.free = l.free.Add(time.Duration(n) * time.Second / time.Duration(l.bytes))
	return l.free.Sub(now) + l.delay
}

// link is one connection through a proxy. One that is dead keeps both ends open
// and swallows what they send, as a network does that forgot the connection. One
// that holds something back keeps its server's end open when the client hangs up.
type link struct {
	client, server net.Conn
	dead           bool     // under proxy.mu
	held           [][]byte // under proxy.mu
}

func newProxy(server string) (*proxy, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, fmt.Errorf("proxy to %s: %w", server, err)
	}
	p := &proxy{listener: l, server: server, links: map[*link]bool{}}
	go p.serve()
	return p, nil
}

func (p *proxy) addr() string { return p.listener.Addr().String() }

// serve ends with close.
func (p *proxy) serve() {
	for {
		conn, err := p.listener.Accept()
		if err != nil {
			return
		}
		go p.connect(conn)
	}
}

func (p *proxy) connect(client net.Conn) {
	p.mu.Lock()
	to, closed := p.server, p.closed
	p.mu.Unlock()
	if closed {
		client.Close()
		return
	}
	server, err := net.DialTimeout("tcp", to, time.Second)
	if err != nil {
		client.Close()
		return
	}
	l := &link{client: client, server: server}
	p.mu.Lock()
	p.links[l] = true
	if p.closed || p.server != to { // meanwhile
		l.shut()
	}
	p.mu.Unlock()
	go p.pump(l, server, client, false)
	p.pump(l, client, server, true)
	p.mu.Lock()
	if len(l.held) == 0 {
		delete(p.links, l)
	}
	p.mu.Unlock()
}

func (l *link) shut() {
	l.client.Close()
	l.server.Close()
}

// pump carries what from sends to to, until one of them closes.
func (p *proxy) pump(l *link, from, to net.Conn, requests bool) {
	defer p.hangUp(l)
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 && requests && p.keep(l, buf[:n]) {
			continue
		}
		if n > 0 && p.hold(l, n, requests) {
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// hangUp ends a link when one of its ends has gone.
func (p *proxy) hangUp(l *link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(l.held) > 0 {
		l.client.Close()
		return
	}
	l.shut()
}

// keep holds a script's call back if that is to be, and all that follows it.
func (p *proxy) keep(l *link, request []byte) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	if !p.holds && len(l.held) == 0 || p.holds && len(l.held) == 0 && !bytes.Contains(bytes.ToLower(request), []byte("evalsha")) {
		return false
	}
	l.held = append(l.held, bytes.Clone(request))
	return true
}

// holdBack makes the scripts that are called from now on not arrive. Their clients
// hang up in the end.
func (p *proxy) holdBack() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = true
}

// letGo ends that, and returns the links whose calls are still to arrive.
func (p *proxy) letGo() (held []*link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.holds = false
	for l := range p.links {
		if len(l.held) > 0 {
			l.client.Close()
			delete(p.links, l)
			held = append(held, l)
		}
	}
	return held
}

// arrive lets what was held back arrive; the connections end after it.
func (p *proxy) arrive(held []*link) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, l := range held {
		for _, part := range l.held {
			_, _ = l.server.Write(part) // the server may have gone
		}
		time.AfterFunc(time.Second, l.shut)
	}
}

// hold waits as long as the network takes for n bytes, and reports whether it carries on.
// (Answers come from the server: the pump whose from is the client carries requests.)
func (p *proxy) hold(l *link, n int, requests bool) bool {
	p.mu.Lock()
	wait := p.delay
	if requests {
		wait += p.line[1].takes(n)
	} else {
		wait += p.line[0].takes(n) + p.late
	}
	p.mu.Unlock()
	pause(context.Background(), wait)
	p.mu.Lock()
	defer p.mu.Unlock()
	return !l.dead
}

// cut closes all connections, and refuses others until mend.
func (p *proxy) cut() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed = true
	p.shut()
}

// mend ends cut and slow.
func (p *proxy) mend() {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.closed, p.delay, p.late = false, 0, 0
}

// slow delays what goes either way, and answers by late besides, until mend.
func (p *proxy) slow(delay, late time.Duration) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.delay, p.late = delay, late
}

// narrow makes the line that all connections share take that long, and carry that many
// bytes a second at most, either way; until narrow(0, 0), whatever mend does.
func (p *proxy) narrow(delay time.Duration, bytes int) {
	if p == nil {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := range p.line {
		p.line[i] = line{delay: delay, bytes: bytes}
	}
}

// forget makes the connections that there are dead, for good; new ones are well.
func (p *proxy) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	for l := range p.links {
		l.dead = true
	}
}

// turn sends all to another server from now on.
func (p *proxy) turn(server string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.server = server
	p.shut()
}

func (p *proxy) shut() {
	for l := range p.links {
		l.shut()
	}
}

func (p *proxy) close() {
	if p == nil {
		return
	}
	p.listener.Close()
	p.cut()
}

// pause waits for d or for the end of ctx.
func pause(ctx context.Context, d time.Duration) {
	if d <= 0 {
		return
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
	case <-ctx.Done():
	}
}
