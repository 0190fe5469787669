package web_test

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// reader reads one stream as it comes.
type reader struct {
	t     *testing.T
	lines *bufio.Scanner
	stop  func()
}

// item is one message of a stream.
type item struct {
	id, name, data string
}

// openStream opens a stream of a server on loopback.
func openStream(t *testing.T, h http.Handler, path, lastID string) *reader {
	t.Helper()
	server := httptest.NewServer(h)
	t.Cleanup(server.Close)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+path, nil)
	if err != nil {
		t.Fatal(err)
	}
	if lastID != "" {
		r.Header.Set("Last-Event-ID", lastID)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	stop := func() { cancel(); answer.Body.Close() }
	t.Cleanup(stop)
	if answer.StatusCode != http.StatusOK || answer.Header.Get("Content-Type") != "text/event-stream" {
		t.Fatalf("%s: %s, %s", path, answer.Status, answer.Header.Get("Content-Type"))
	}
	lines := bufio.NewScanner(answer.Body)
	lines.Buffer(nil, 16<<20)
	return &reader{t, lines, stop}
}

// next is the next message of a kind that is listened to.
func (r *reader) next(name string) item {
	r.t.Helper()
	var m item
	for r.lines.Scan() {
		key, value, _ := strings.Cut(r.lines.Text(), ": ")
		switch key {
		case "id":
			m.id = value
		case "event":
			m.name = value
		case "data":
			m.data = value
		case "":
			if m.data != "" && m.name == name {
				return m
			}
			m = item{}
		}
	}
	r.t.Fatalf("the stream ended: %v", r.lines.Err())
	return m
}

func (r *reader) event() (provision.Event, string) {
	r.t.Helper()
	m := r.next("")
	return parse[provision.Event](r.t, m), m.id
}

func parse[T any](t *testing.T, m item) (value T) {
	t.Helper()
	if err := json.Unmarshal([]byte(m.data), &value); err != nil {
		t.Fatalf("%s: %v", m.data, err)
	}
	return value
}

func (r *reader) wantTexts(texts ...string) (lastID string) {
	r.t.Helper()
	for _, want := range texts {
		e, id := r.event()
		if e.Text != want {
			r.t.Fatalf("event %q, want %q", e.Text, want)
		}
		lastID = id
	}
	return lastID
}

func followPath(mac provision.MAC) string { return "/api/v1/machines/" + string(mac) + "/follow" }

func TestFollowTellsWhatWasAndThenWhatComes(t *testing.T) {
	b := newBed(t)
	b.record(t, logged(mac1, "one"), logged(mac2, "of the other"), logged(mac1, "two"))
	r := openStream(t, b.Handler(), followPath(mac1), "")
	r.wantTexts("one", "two")
	b.record(t, logged(mac2, "of the other again"), logged(mac1, "three"))
	r.wantTexts("three")
}

func TestFollowAfterAnEvent(t *testing.T) {
	b := newBed(t)
	b.record(t, logged(mac1, "one"), logged(mac1, "two"), logged(mac1, "three"))
	second := b.events(t, mac1)[1].ID
	openStream(t, b.Handler(), fmt.Sprintf("%s?after=%d", followPath(mac1), second), "").wantTexts("three")
	wantRefusal(t, ask(t, b.Handler(), "GET", followPath(mac1)+"?after=x", ""), http.StatusBadRequest, "is not a number")
}

func TestFollowByNameAndBeforeAnythingHappened(t *testing.T) {
	b := newBed(t)
	r := openStream(t, b.Handler(), "/api/v1/machines/web-1/follow", "")
	b.record(t, logged(mac1, "one"))
	r.wantTexts("one")
}

func TestFollowAllMachinesInOrder(t *testing.T) {
	b := newBed(t)
	b.record(t, logged(mac2, "one"), logged(mac1, "two"), logged(mac2, "three"))
	r := openStream(t, b.Handler(), "/api/v1/events", "")
	r.wantTexts("one", "two", "three")
	b.record(t, logged(mac1, "four"))
	r.wantTexts("four")
}

func TestARepeatedEventComesWithItsCount(t *testing.T) {
	b := newBed(t)
	r := openStream(t, b.Handler(), followPath(mac1), "")
	b.record(t, logged(mac1, "again"))
	r.wantTexts("again") // or the stream might begin after the repetition
	b.record(t, logged(mac1, "again"), logged(mac1, "more"))
	r.wantTexts("more")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := b.Tracker.Run(ctx); err != nil { // writes what waits, and tells counts
		t.Fatal(err)
	}
	e, id := r.event()
	all := b.events(t, mac1)
	if e.ID != all[0].ID || e.Count != 2 || id != fmt.Sprint(all[1].ID) {
		t.Errorf("got %+v with the ID %s on the wire", e, id)
	}
}

// gateStore holds updates up while its gate is closed.
type gateStore struct {
	store.Store
	gate    sync.Mutex
	waiting chan struct{}
}

func (s *gateStore) Update(ctx context.Context, write func(store.Tx) error) error {
	select {
	case s.waiting <- struct{}{}:
	default:
	}
	s.gate.Lock()
	defer s.gate.Unlock()
	return s.Store.Update(ctx, write)
}

// An event that is on its way to the disk is told after others with higher
// IDs. Who lost the connection between the two still gets it.
func TestResumeMissesNothingThatCameLate(t *testing.T) {
	store := &gateStore{Store: &store.Memory{}, waiting: make(chan struct{}, 1)}
	b := newBedOn(t, store)
	r := openStream(t, b.Handler(), followPath(mac1), "")
	b.record(t, logged(mac1, "before"))
	r.wantTexts("before")

	store.gate.Lock()
	select {
	case <-store.waiting: // of what the stream wrote when it began
	default:
	}
	armed := make(chan error, 1)
	go func() {
		armed <- b.Tracker.Record(t.Context(), provision.Event{MAC: mac1, Kind: provision.KindArmed, By: "ann", Text: "armed"})
	}()
	<-store.waiting // "armed" has its ID
	b.record(t, logged(mac1, "meanwhile"))
	last := r.wantTexts("meanwhile")
	r.stop()
	store.gate.Unlock()
	if err := <-armed; err != nil {
		t.Fatal(err)
	}
	openStream(t, b.Handler(), followPath(mac1), last).wantTexts("before", "armed", "meanwhile")
}

func TestResumeWithNonsense(t *testing.T) {
	b := newBed(t)
	r := httptest.NewRequestWithContext(t.Context(), "GET", followPath(mac1), nil)
	r.Header.Set("Last-Event-ID", "yesterday")
	w := httptest.NewRecorder()
	b.Handler().ServeHTTP(w, r)
	wantRefusal(t, w, http.StatusBadRequest, `"yesterday" is not a number`)
}

// stuckWriter is a reader that takes nothing until it is let go.
type stuckWriter struct {
	header http.Header
	stuck  chan struct{} // closed at the first write
	gone   chan struct{} // closed by the test
	once   sync.Once
	mu     sync.Mutex
	text   strings.Builder
	enough func(string) bool
	done   context.CancelFunc
}

func (w *stuckWriter) Header() http.Header { return w.header }
func (w *stuckWriter) WriteHeader(int)     {}
func (w *stuckWriter) Flush()              {}

func (w *stuckWriter) Write(p []byte) (int, error) {
	if strings.Contains(string(p), "data:") {
		w.once.Do(func() { close(w.stuck) })
		<-w.gone
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.text.Write(p)
	if w.enough(string(p)) {
		w.done()
	}
	return len(p), nil
}

// The tracker gives up on a reader that lags behind; it still gets every event.
func TestASlowReaderMissesNothing(t *testing.T) {
	b := newBed(t)
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	defer cancel()
	w := &stuckWriter{
		header: http.Header{}, stuck: make(chan struct{}), gone: make(chan struct{}), done: cancel,
		enough: func(text string) bool { return strings.Contains(text, "event 999\"") },
	}
	ended := make(chan struct{})
	b.record(t, logged(mac1, "event 0"))
	go func() {
		defer close(ended)
		b.Handler().ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", followPath(mac1), nil))
	}()
	<-w.stuck
	for i := 1; i < 1000; i++ { // many more than a subscription queues
		b.record(t, logged(mac1, fmt.Sprint("event ", i)))
	}
	close(w.gone)
	<-ended
	for i := range 1000 {
		if n := strings.Count(w.text.String(), fmt.Sprintf("event %d\"", i)); n != 1 {
			t.Fatalf("event %d came %d times", i, n)
		}
	}
}

func TestAnIdleStreamShowsThatItIsAlive(t *testing.T) {
	b := newBed(t)
	b.Heartbeat = time.Millisecond
	for _, path := range []string{followPath(mac1), "/api/v1/live"} {
		r := openStream(t, b.Handler(), path, "")
		for r.lines.Scan() && r.lines.Text() != ":" {
		}
		if err := r.lines.Err(); err != nil {
			t.Errorf("%s: %v", path, err)
		}
	}
}

func TestStreamsAreBounded(t *testing.T) {
	b := newBed(t)
	server := httptest.NewServer(b.Handler())
	t.Cleanup(server.Close)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	open := func(i int) *http.Response { // so many from one address are allowed
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 1, byte(1+i/16))}}
		transport := &http.Transport{DialContext: dialer.DialContext}
		t.Cleanup(transport.CloseIdleConnections)
		r, err := http.NewRequestWithContext(ctx, "GET", server.URL+"/api/v1/events", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer
	}
	for i := range 512 {
		if answer := open(i); answer.StatusCode != http.StatusOK {
			t.Fatalf("stream %d: %s", i, answer.Status)
		}
	}
	if answer := open(512); answer.StatusCode != http.StatusServiceUnavailable || answer.Header.Get("Retry-After") == "" {
		t.Errorf("one too many: %s", answer.Status)
	}
}

// TestStreamsEndWhenTheServerStops, although their requests go on.
func TestStreamsEndWhenTheServerStops(t *testing.T) {
	for _, path := range []string{"/api/v1/events", "/api/v1/live", "/api/v1/machines/" + string(mac1) + "/follow"} {
		b := newBed(t)
		stopping := make(chan struct{})
		b.Stopping = stopping
		r := openStream(t, b.Handler(), path, "")
		close(stopping)
		for r.lines.Scan() { // what was sent before
		}
		if err := r.lines.Err(); err != nil {
			t.Errorf("%s: the stream was broken off: %v", path, err)
		}
	}
}

// TestStreamsOfOneAddress are few, so that one visitor cannot keep out others.
func TestStreamsOfOneAddress(t *testing.T) {
	b := newBed(t)
	server := httptest.NewServer(b.Handler())
	t.Cleanup(server.Close) // after the streams
	from := func(addr string) int {
		dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
		transport := &http.Transport{DialContext: dialer.DialContext}
		t.Cleanup(transport.CloseIdleConnections)
		r, err := http.NewRequestWithContext(t.Context(), "GET", server.URL+"/api/v1/live", nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := transport.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { answer.Body.Close() })
		return answer.StatusCode
	}
	for i := range 16 {
		if status := from("127.0.0.66"); status != http.StatusOK {
			t.Fatalf("stream %d: status %d", i+1, status)
		}
	}
	if status := from("127.0.0.66"); status != http.StatusServiceUnavailable {
		t.Errorf("one stream too many: status %d", status)
	}
	if status := from("127.0.0.7"); status != http.StatusOK {
		t.Errorf("another address: status %d", status)
	}
}
