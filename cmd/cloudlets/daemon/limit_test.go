//go:build linux

package daemon

import (
	"errors"
	"io"
	"net"
	"testing"
	"time"
)

// TestLimitConns: one connection too many waits until another one leaves.
func TestLimitConns(t *testing.T) {
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := limitConns(inner, 2)
	accepted := make(chan net.Conn)
	ended := make(chan error, 1)
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				ended <- err
				return
			}
			accepted <- conn
		}
	}()
	for range 3 {
		conn, err := net.Dial("tcp4", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
	}
	first, second := next(t, accepted), next(t, accepted)
	if _, ok := first.(io.ReaderFrom); !ok {
		t.Error("a limited TCP connection cannot send files by sendfile(2)")
	}
	if have := len(l.(*limitListener).room); have != 2 {
		t.Errorf("%d places are taken, want 2", have)
	}
	first.Close()
	first.Close() // twice leaves once
	third := next(t, accepted)
	if have := len(l.(*limitListener).room); have != 2 {
		t.Errorf("%d places are taken, want 2", have)
	}
	l.Close() // while Accept waits for room
	select {
	case err := <-ended:
		if !errors.Is(err, net.ErrClosed) {
			t.Errorf("Accept ends with %v", err)
		}
	case <-time.After(patience):
		t.Error("Close does not end an Accept that waits")
	}
	second.Close()
	third.Close()
}

func next(t *testing.T, accepted chan net.Conn) net.Conn {
	t.Helper()
	select {
	case conn := <-accepted:
		return conn
	case <-time.After(patience):
		t.Fatal("no connection is accepted")
		return nil
	}
}
