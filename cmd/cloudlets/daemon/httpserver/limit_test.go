//go:build linux

package httpserver

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestLimit: one connection too many waits until another one leaves.
func TestLimit(t *testing.T) {
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	l := Limit(inner, Limits{Total: 2})
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

// dialFrom connects from an address of loopback.
func dialFrom(t *testing.T, from string, to net.Addr) net.Conn {
	t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(from)}, Timeout: patience}
	conn, err := dialer.Dial("tcp4", to.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	if err := conn.SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	return conn
}

// serveLimited serves HTTP with bounds until the test ends.
func serveLimited(t *testing.T, bounds Limits, quick bool, h http.Handler) net.Addr {
	t.Helper()
	inner, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	server := New(h, slog.New(slog.DiscardHandler))
	ended := make(chan error, 1)
	ctx, stop := context.WithCancel(context.Background())
	go func() { ended <- Serve(ctx, Limit(inner, bounds), server, 0, quick) }()
	t.Cleanup(func() {
		stop()
		<-ended
	})
	return inner.Addr()
}

func hello(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, "hello") }

// asks sends a request and returns the status of the answer.
func asks(t *testing.T, conn net.Conn) int {
	t.Helper()
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	answer, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode
}

// TestOneSourceCannotTakeAll: an address with too many connections gets an
// answer that says so, and another one is served.
func TestOneSourceCannotTakeAll(t *testing.T) {
	refused := make(chan netip.Addr, 100)
	at := serveLimited(t, Limits{Total: 100, PerSource: 3, Answer: Busy, Refused: func(a netip.Addr) { refused <- a }}, true, http.HandlerFunc(hello))
	var idle []net.Conn
	for range 3 {
		conn := dialFrom(t, "127.0.0.66", at)
		if status := asks(t, conn); status != http.StatusOK {
			t.Fatalf("status %d", status)
		}
		idle = append(idle, conn)
	}
	answer, err := http.ReadResponse(bufio.NewReader(dialFrom(t, "127.0.0.66", at)), nil)
	if err != nil || answer.StatusCode != http.StatusServiceUnavailable {
		t.Errorf("one connection too many: %v, %v", answer, err)
	}
	if got := <-refused; got.String() != "127.0.0.66" {
		t.Errorf("refused %s", got)
	}
	if status := asks(t, dialFrom(t, "127.0.0.7", at)); status != http.StatusOK {
		t.Errorf("another address gets status %d", status)
	}
	idle[0].Close()
	for { // until the server has seen the end
		answer, err := http.ReadResponse(bufio.NewReader(onceMore(t, at)), nil)
		if err == nil && answer.StatusCode == http.StatusOK {
			return
		}
	}
}

func onceMore(t *testing.T, at net.Addr) net.Conn {
	conn := dialFrom(t, "127.0.0.66", at)
	_, _ = io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
	return conn
}

// TestStrangersLeaveHalf: however many addresses attack, machines of the site
// are served.
func TestStrangersLeaveHalf(t *testing.T) {
	ours := netip.MustParseAddr("127.0.0.7")
	at := serveLimited(t, Limits{Total: 8, PerSource: 2, Answer: Busy, Known: func(a netip.Addr) bool { return a == ours }}, true, http.HandlerFunc(hello))
	served := 0
	for i := range 8 { // two from each address
		if asks(t, dialFrom(t, fmt.Sprintf("127.0.1.%d", i/2), at)) == http.StatusOK {
			served++
		}
	}
	if served != 6 { // each address may have one, and half of all is taken by then
		t.Errorf("%d connections of strangers are served, want 6 of 8", served)
	}
	if status := asks(t, dialFrom(t, ours.String(), at)); status != http.StatusOK {
		t.Errorf("a machine of the site gets status %d", status)
	}
}

// TestAReaderThatNeverReads loses its connection, also in the middle of a file
// that is sent by sendfile(2).
func TestAReaderThatNeverReads(t *testing.T) { byBoth(t, aReaderThatNeverReads) }

func aReaderThatNeverReads(t *testing.T, quick bool) {
	name := filepath.Join(t.TempDir(), "pack")
	if err := errors.Join(os.WriteFile(name, nil, 0o644), os.Truncate(name, 1<<30)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan struct{}, 2)
	for kind, h := range map[string]http.HandlerFunc{
		"a file": func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name); ended <- struct{}{} },
		"a reply": func(w http.ResponseWriter, _ *http.Request) {
			io.Copy(w, struct{ io.Reader }{endless{}})
			ended <- struct{}{}
		},
	} {
		at := serveLimited(t, Limits{Total: 8, Write: 20 * time.Millisecond}, quick, h)
		conn := dialFrom(t, "127.0.0.1", at)
		if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		select {
		case <-ended:
		case <-time.After(patience):
			t.Errorf("%s is sent for ever to a client that reads nothing", kind)
		}
	}
}

type endless struct{}

func (endless) Read(p []byte) (int, error) { return len(p), nil }

// TestAWholeFileArrives although it is sent in pieces.
func TestAWholeFileArrives(t *testing.T) { byBoth(t, aWholeFileArrives) }

func aWholeFileArrives(t *testing.T, quick bool) {
	const size = 2*writePiece + 12345
	content := make([]byte, size)
	for i := range content {
		content[i] = byte(i * i >> 7)
	}
	name := filepath.Join(t.TempDir(), "pack")
	if err := os.WriteFile(name, content, 0o644); err != nil {
		t.Fatal(err)
	}
	at := serveLimited(t, Limits{Total: 8, Write: patience}, quick, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { http.ServeFile(w, r, name) }))
	for _, asked := range []string{"", "bytes=0-", "bytes=7-300006", "bytes=-300001"} {
		r, err := http.NewRequest(http.MethodGet, "http://"+at.String()+"/", nil)
		if err != nil {
			t.Fatal(err)
		}
		want := content
		switch asked {
		case "bytes=7-300006":
			want = content[7:300007]
		case "bytes=-300001":
			want = content[size-300001:]
		}
		if asked != "" {
			r.Header.Set("Range", asked)
		}
		answer, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !bytes.Equal(got, want) {
			t.Errorf("%q: %d bytes, want %d; %v", asked, len(got), len(want), err)
		}
	}
}

// TestFilesAreSent whole, and from any byte to any other, also over a connection
// that is kept.
func TestFilesAreSent(t *testing.T) {
	content := make([]byte, 5<<20+123)
	for i := range content {
		content[i] = byte(i * 2654435761 >> 13)
	}
	name := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(name, content, 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	s := &http.Server{Handler: http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(name)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		http.ServeContent(w, r, "", time.Time{}, f)
	})}
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		_ = s.Serve(Limit(l, Limits{Total: 10, Write: time.Minute}))
	}()
	t.Cleanup(func() {
		s.Close()
		<-ended
	})
	for _, part := range [][2]int{{0, len(content)}, {1, 2}, {100, len(content)}, {writePiece - 1, writePiece + 1}, {3 << 20, 4<<20 + 7}} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+l.Addr().String(), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", part[0], part[1]-1))
		answer, err := http.DefaultClient.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		got, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil || !bytes.Equal(got, content[part[0]:part[1]]) {
			t.Errorf("bytes %d to %d: %d came, %v", part[0], part[1], len(got), err)
		}
	}
}

// TestSourcesOfIPv6: machines of the site are told apart within their network, and
// strangers are not, since one of them may have many addresses.
func TestSourcesOfIPv6(t *testing.T) {
	at := func(text string) net.Addr { return net.TCPAddrFromAddrPort(netip.MustParseAddrPort(text)) }
	l := &limitListener{Limits: Limits{Known: func(a netip.Addr) bool { return a == netip.MustParseAddr("fd77::21") }}}
	for text, want := range map[string]string{
		"[fd77::21]:99": "fd77::21/128 false", "[fd77::22]:99": "fd77::/64 true", "[fd77::23]:99": "fd77::/64 true", "10.0.0.1:99": "10.0.0.1/32 true",
	} {
		source, stranger := l.sourceOf(at(text))
		if got := fmt.Sprint(source, " ", stranger); got != want {
			t.Errorf("%s: %s, want %s", text, got, want)
		}
	}
}
