package web_test

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/web"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

const (
	mac1 provision.MAC = "52:54:00:00:00:01" // web-1.example.org, debian
	mac2 provision.MAC = "52:54:00:00:00:02" // web-2.example.org, debian, "once"
	mac9 provision.MAC = "52:54:00:00:00:09" // in no file
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fakeImages are statuses that a test sets.
type fakeImages struct {
	mu       sync.Mutex
	statuses map[depot.Key]depot.Status
}

func (f *fakeImages) Status(key depot.Key) depot.Status {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.statuses[key]
}

func (f *fakeImages) Kit(_ context.Context, key depot.Key) (*depot.Kit, error) {
	if kit := f.Status(key).Kit; kit != nil {
		return kit, nil
	}
	return nil, errors.New("it is still being packed")
}

func (f *fakeImages) set(key depot.Key, status depot.Status) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.statuses[key] = status
}

// bed is a server with two machines in its site.
type bed struct {
	*web.Server
	images *fakeImages
	dir    string
}

func newBed(t testing.TB) *bed { return newBedOn(t, &store.Memory{}) }

func newBedOn(t testing.TB, store store.Store) *bed {
	t.Helper()
	dir := t.TempDir()
	write(t, dir, "images/debian/etc/hostname", "x")
	write(t, dir, "machines/52:54:00:00:00:01.json", `{"image": "debian", "hostname": "web-1.example.org", "address": "10.0.0.21",
		"disk": {"serial": "S4EW"}, "config": {"args": {"password": "hunter2"}}}`)
	write(t, dir, "machines/52:54:00:00:00:02.json", `{"image": "debian", "hostname": "web-2.example.org", "install": "once"}`)
	site, err := site.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := func() time.Time { return noon }
	tracker, err := track.NewTracker(store, track.Options{Clock: clock})
	if err != nil {
		t.Fatal(err)
	}
	b := &bed{
		images: &fakeImages{statuses: map[depot.Key]depot.Status{{Image: "debian"}: {Busy: true}}}, dir: dir,
	}
	b.Server = &web.Server{
		Site: site, Tracker: tracker, Roster: roster.New(site, tracker, nil), Images: b.images, Tickets: tickets.New(store, clock),
		Version: "1.2.3", Started: noon.Add(-time.Minute), Clock: clock,
	}
	return b
}

func write(t testing.TB, dir, name, text string) {
	t.Helper()
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (b *bed) record(t testing.TB, events ...provision.Event) {
	t.Helper()
	for _, e := range events {
		if err := b.Tracker.Record(context.WithoutCancel(t.Context()), e); err != nil {
			t.Fatal(err)
		}
	}
}

// events are a machine's events, oldest first.
func (b *bed) events(t *testing.T, mac provision.MAC) []provision.Event {
	t.Helper()
	events, err := b.Tracker.Events(t.Context(), mac, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	return events
}

// firstEvent is the ID of a machine's first event.
func (b *bed) firstEvent(t *testing.T, mac provision.MAC) uint64 {
	t.Helper()
	return b.events(t, mac)[0].ID
}

func logged(mac provision.MAC, text string) provision.Event {
	return provision.Event{MAC: mac, Kind: provision.KindLog, Text: text}
}

func entered(mac provision.MAC, stage provision.Stage, at time.Duration) provision.Event {
	return provision.Event{MAC: mac, Kind: provision.KindStage, Stage: stage, Text: "begin " + string(stage), Time: noon.Add(at)}
}

// ask makes one request of a handler.
func ask(t *testing.T, h http.Handler, method, path, body string) *httptest.ResponseRecorder {
	t.Helper()
	var sent io.Reader
	if body != "" {
		sent = strings.NewReader(body)
	}
	r := httptest.NewRequestWithContext(t.Context(), method, "http://localhost"+path, sent)
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// get decodes what a path answers.
func get[T any](t *testing.T, h http.Handler, path string) (value T) {
	t.Helper()
	decode(t, ask(t, h, "GET", path, ""), http.StatusOK, &value)
	return value
}

func decode(t *testing.T, w *httptest.ResponseRecorder, status int, value any) {
	t.Helper()
	if w.Code != status {
		t.Fatalf("status %d, want %d: %s", w.Code, status, w.Body)
	}
	if got := w.Header().Get("Content-Type"); got != "application/json" {
		t.Errorf("content type %q", got)
	}
	if err := json.Unmarshal(w.Body.Bytes(), value); err != nil {
		t.Fatalf("%s: %v", w.Body, err)
	}
}

// wantRefusal checks an answer that is an error, and its sentence.
func wantRefusal(t *testing.T, w *httptest.ResponseRecorder, status int, sentence string) {
	t.Helper()
	var failure api.Failure
	decode(t, w, status, &failure)
	if !strings.Contains(failure.Error, sentence) {
		t.Errorf("%q does not say %q", failure.Error, sentence)
	}
}
