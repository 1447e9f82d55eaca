package main

import (
	"bytes"
	"io"
	"net"
	"testing"
	"testing/synctest"
	"time"
)

// Time in a bubble stands still while anything happens: what passes is the delay.
func TestTheDelayIsHalfARoundTripHoweverMuchIsUnderWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := &proxy{delay: 10 * time.Millisecond}
		client, in := net.Pipe()
		out, server := net.Pipe()
		p.wg.Go(func() { p.stream(out, in) })
		sent := bytes.Repeat([]byte("0123456789"), 100_000)
		began := time.Now()
		go func() {
			for part := sent; len(part) > 0; part = part[1000:] {
				if _, err := client.Write(part[:1000]); err != nil {
					t.Error(err)
				}
			}
			client.Close()
		}()
		got, err := io.ReadAll(server)
		if err != nil || !bytes.Equal(got, sent) {
			t.Errorf("%d bytes of %d came, %v", len(got), len(sent), err)
		}
		if took := time.Since(began); took != p.delay {
			t.Errorf("1000 pieces took %s, want %s for all of them", took, p.delay)
		}
		p.wg.Wait()
	})
}

func TestTheProxyLeadsToItsServerAndBack(t *testing.T) {
	echo, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer echo.Close()
	go func() {
		for conn, err := echo.Accept(); err == nil; conn, err = echo.Accept() {
			go func() {
				_, _ = io.Copy(conn, conn)
				conn.Close()
			}()
		}
	}()
	p, err := newProxy(echo.Addr().String(), 4*time.Millisecond)
	if err != nil {
		t.Fatal(err)
	}
	conn, err := net.Dial("tcp", p.addr())
	if err != nil {
		t.Fatal(err)
	}
	began := time.Now()
	if _, err := conn.Write([]byte("hello")); err != nil {
		t.Fatal(err)
	}
	got := make([]byte, 5)
	if _, err := io.ReadFull(conn, got); err != nil || string(got) != "hello" {
		t.Errorf("%q came back, %v", got, err)
	}
	if took := time.Since(began); took < 4*time.Millisecond {
		t.Errorf("there and back took %s, sooner than the round trip of 4 ms", took)
	}
	if err := p.Close(); err != nil {
		t.Error(err)
	}
	if n, err := conn.Read(got); n > 0 || err == nil {
		t.Errorf("the closed proxy gave %d bytes, %v", n, err)
	}
	conn.Close()
}
