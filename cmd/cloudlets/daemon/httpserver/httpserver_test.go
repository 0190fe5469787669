//go:build linux

package httpserver

import (
	"bytes"
	"context"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"
)

// patience ends a test that hangs; nothing waits for it otherwise.
const patience = time.Minute

// testServer runs Serve with one handler.
type testServer struct {
	url   string
	stop  context.CancelFunc
	ended chan error
}

func startHTTP(t *testing.T, grace time.Duration, quick bool, h http.HandlerFunc) *testServer {
	t.Helper()
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	s := &testServer{url: "http://" + l.Addr().String(), stop: stop, ended: make(chan error, 1)}
	go func() { s.ended <- Serve(ctx, l, New(h, slog.New(slog.DiscardHandler)), grace, quick) }()
	return s
}

// byBoth runs a test with a lane before the server, and without.
func byBoth(t *testing.T, test func(t *testing.T, quick bool)) {
	t.Run("lane", func(t *testing.T) { test(t, true) })
	t.Run("server", func(t *testing.T) { test(t, false) })
}

// get fetches the server's only page.
func (s *testServer) get(t *testing.T) (string, error) {
	r, err := http.NewRequestWithContext(t.Context(), "GET", s.url, nil)
	if err != nil {
		return "", err
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	return string(text), err
}

// TestRequestsFinishAtTheEnd: a request that is under way when the server is
// stopped is not cancelled and gets its answer.
func TestRequestsFinishAtTheEnd(t *testing.T) { byBoth(t, requestsFinishAtTheEnd) }

func requestsFinishAtTheEnd(t *testing.T, quick bool) {
	began, stopped := make(chan struct{}), make(chan struct{})
	s := startHTTP(t, patience, quick, func(w http.ResponseWriter, r *http.Request) {
		close(began)
		<-stopped
		if err := r.Context().Err(); err != nil {
			t.Errorf("the request was cancelled: %v", err)
		}
		_, _ = io.WriteString(w, "finished")
	})
	go func() {
		<-began
		s.stop()
		close(stopped)
	}()
	if text, err := s.get(t); text != "finished" {
		t.Errorf("got %q, %v", text, err)
	}
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
}

// TestSlowRequestsAreBrokenOff, and their handlers have returned when the
// server has ended: nothing uses the store after it is closed.
func TestSlowRequestsAreBrokenOff(t *testing.T) { byBoth(t, slowRequestsAreBrokenOff) }

func slowRequestsAreBrokenOff(t *testing.T, quick bool) {
	began := make(chan struct{})
	var returned atomic.Bool
	s := startHTTP(t, time.Millisecond, quick, func(_ http.ResponseWriter, r *http.Request) {
		close(began)
		<-r.Context().Done()
		returned.Store(true)
	})
	failed := make(chan error, 1)
	go func() {
		_, err := s.get(t)
		failed <- err
	}()
	<-began
	s.stop()
	if err := <-s.ended; err != nil {
		t.Error(err)
	}
	if !returned.Load() {
		t.Error("a handler runs on after the server has ended")
	}
	if err := <-failed; err == nil {
		t.Error("a request that was broken off looks finished")
	}
}

// TestABrokenListenerEndsTheServer.
func TestABrokenListenerEndsTheServer(t *testing.T) {
	l, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	server := New(http.NotFoundHandler(), slog.New(slog.DiscardHandler))
	if err := Serve(t.Context(), l, server, patience, false); err == nil {
		t.Error("serving on a closed listener ended well")
	}
}

// TestPanicOfARequest: a fault in a handler ends one request, is one line in the
// log that a person sees, and the server goes on.
func TestPanicOfARequest(t *testing.T) {
	var said bytes.Buffer
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/fault" {
			panic("boom")
		}
		io.WriteString(w, "fine")
	})
	server := httptest.NewServer(logPanics(h, slog.New(slog.NewTextHandler(&said, nil))))
	defer server.Close()
	if answer, err := server.Client().Get(server.URL + "/fault"); err == nil {
		answer.Body.Close()
		t.Errorf("status %d", answer.StatusCode)
	}
	answer, err := server.Client().Get(server.URL + "/")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); string(body) != "fine" {
		t.Errorf("got %q", body)
	}
	server.Close() // all handlers have returned
	if log := said.String(); strings.Count(log, "level=ERROR") != 1 || !strings.Contains(log, "panic=boom") || !strings.Contains(log, "path=/fault") {
		t.Errorf("the log is %q", log)
	}
}

// TestABodyThatNeverComes: the connection ends, although the handler did not read
// the body.
func TestABodyThatNeverComes(t *testing.T) {
	server := httptest.NewServer(boundBodies(http.HandlerFunc(hello), 50*time.Millisecond))
	defer server.Close()
	conn := dialFrom(t, "127.0.0.1", server.Listener.Addr())
	if _, err := io.WriteString(conn, "GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nabc"); err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(conn) // until the server ends it, or the deadline passes
	if err != nil || !strings.HasSuffix(string(text), "hello") {
		t.Errorf("got %q, %v", text, err)
	}
}

// TestALateAnswer: the time for the body does not count against the handler.
func TestALateAnswer(t *testing.T) {
	const limit = 50 * time.Millisecond
	server := httptest.NewServer(boundBodies(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		select {
		case <-time.After(4 * limit): // longer than the limit, which is what is tested
		case <-r.Context().Done():
			body = []byte("broken off")
		}
		w.Write(body)
	}), limit))
	defer server.Close()
	answer, err := http.Post(server.URL, "text/plain", strings.NewReader("body"))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); string(text) != "body" || err != nil {
		t.Errorf("got %q, %v", text, err)
	}
}
