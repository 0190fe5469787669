package web_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// daemon serves a handler on a unix socket.
type daemon struct {
	t      *testing.T
	server *http.Server
	done   chan error
}

func startDaemon(t *testing.T, socket string, h http.Handler) *daemon {
	t.Helper()
	listener, err := net.Listen("unix", socket)
	if err != nil {
		t.Fatal(err)
	}
	d := &daemon{t, &http.Server{Handler: h}, make(chan error, 1)}
	go func() { d.done <- d.server.Serve(listener) }()
	t.Cleanup(d.stop)
	return d
}

func (d *daemon) stop() {
	if d.server == nil {
		return
	}
	d.server.Close()
	if err := <-d.done; !errors.Is(err, http.ErrServerClosed) {
		d.t.Error(err)
	}
	d.server = nil
}

func newClient(t *testing.T, b *bed) *api.Client {
	t.Helper()
	socket := filepath.Join(t.TempDir(), "sock")
	startDaemon(t, socket, b.Handler())
	c := api.NewClient(socket)
	t.Cleanup(c.Close)
	return c
}

func deadline(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	t.Cleanup(cancel)
	return ctx
}

func TestClientReadsWhatTheServerTells(t *testing.T) {
	b := newBed(t)
	b.record(t, logged(mac1, "one"), logged(mac1, "two"))
	write(t, b.dir, "machines/52:54:00:00:00:07.json", "{")
	b.Site.Reload()
	c, h, ctx := newClient(t, b), b.Handler(), t.Context()
	check := func(what string, want, got any, err error) {
		t.Helper()
		if diff := cmp.Diff(want, got); diff != "" || err != nil {
			t.Errorf("%s: %v\n%s", what, err, diff)
		}
	}
	table, err := c.Machines(ctx, roster.Query{})
	check("machines", get[api.MachinePage](t, h, "/api/v1/machines").Machines, table, err)
	detail, err := c.Machine(ctx, "web-1")
	check("machine", get[api.Detail](t, h, "/api/v1/machines/web-1"), detail, err)
	first := b.firstEvent(t, mac1)
	events, err := c.Events(ctx, "web-1", first, 5)
	check("events", get[[]provision.Event](t, h, fmt.Sprintf("/api/v1/machines/web-1/events?after=%d&limit=5", first)), events, err)
	images, err := c.Images(ctx)
	check("images", get[[]api.Image](t, h, "/api/v1/images"), images, err)
	problems, err := c.Problems(ctx)
	check("problems", get[[]jsontext.Problem](t, h, "/api/v1/problems"), problems, err)
	status, err := c.Status(ctx)
	check("status", get[api.Status](t, h, "/api/v1/status"), status, err)
	if len(table) != 2 || len(events) != 1 || len(images) != 1 || len(problems) != 1 || status.Version != "1.2.3" {
		t.Errorf("%d machines, %d events, %d images, %d problems, version %s", len(table), len(events), len(images), len(problems), status.Version)
	}
}

func TestClientArmsAndCancels(t *testing.T) {
	b := newBed(t)
	c := newClient(t, b)
	if d, err := c.Install(t.Context(), "web-1", api.Order{By: "ann"}); err != nil || !d.Armed || d.ArmedBy != "ann" {
		t.Errorf("%+v, %v", d, err)
	}
	if d, err := c.Cancel(t.Context(), "web-1", "bob"); err != nil || d.Armed {
		t.Errorf("%+v, %v", d, err)
	}
	d, err := c.Machine(t.Context(), "web-1")
	if err != nil || !strings.Contains(d.Next.Reason, "cancelled") {
		t.Errorf("after that: %+v, %v", d.Next, err)
	}
}

func TestClientGetsTheServersSentences(t *testing.T) {
	c := newClient(t, newBed(t))
	_, err := c.Machine(t.Context(), "no/such machine?")
	refused, ok := errors.AsType[*api.RefusedError](err)
	if !ok || refused.Status != http.StatusNotFound || !strings.HasPrefix(err.Error(), `no machine is called "no/such machine?"`) {
		t.Errorf("got %v", err)
	}
	_, err = c.Cancel(t.Context(), string(mac1), "ann")
	if refused, ok := errors.AsType[*api.RefusedError](err); !ok || refused.Status != http.StatusConflict {
		t.Errorf("got %v", err)
	}
	err = c.Follow(deadline(t), "web-7", 0, func(provision.Event) error { return nil })
	if _, ok := errors.AsType[*api.RefusedError](err); !ok {
		t.Errorf("follow got %v", err)
	}
}

func TestClientWithoutADaemon(t *testing.T) {
	socket := filepath.Join(t.TempDir(), "sock")
	c := api.NewClient(socket)
	want := "no cloudlets daemon answers at " + socket + "; start it with `cloudlets serve` or name its socket with --socket"
	_, err := c.Machines(t.Context(), roster.Query{})
	if !errors.Is(err, api.ErrNoDaemon) || !strings.HasSuffix(err.Error(), want) {
		t.Errorf("no socket: %v", err)
	}
	err = c.Follow(deadline(t), "", 0, nil)
	if !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("follow: %v", err)
	}

	listener, err := net.ListenUnix("unix", &net.UnixAddr{Name: socket, Net: "unix"})
	if err != nil {
		t.Fatal(err)
	}
	listener.SetUnlinkOnClose(false)
	listener.Close() // as a daemon that was killed leaves its socket
	if _, err := os.Stat(socket); err != nil {
		t.Fatal(err)
	}
	if _, err := c.Machines(t.Context(), roster.Query{}); !errors.Is(err, api.ErrNoDaemon) {
		t.Errorf("a dead socket: %v", err)
	}
}

// roundTripper answers with what is no daemon's.
type roundTripper func(*http.Request) (*http.Response, error)

func (f roundTripper) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestClientOfSomethingElse(t *testing.T) {
	for status, want := range map[int]string{200: "read the daemon's answer to GET status", 502: "gave no reason"} {
		c := api.NewClientTransport(roundTripper(func(*http.Request) (*http.Response, error) {
			return &http.Response{StatusCode: status, Status: http.StatusText(status), Body: readCloser("<html>")}, nil
		}))
		if _, err := c.Status(t.Context()); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%d: %v, want %q", status, err, want)
		}
	}
	c := api.NewClientTransport(roundTripper(func(*http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Body: readCloser("data: {\n\n")}, nil
	}))
	err := c.Follow(deadline(t), "", 0, func(provision.Event) error { return nil })
	if err == nil || !strings.Contains(err.Error(), "read an event of the daemon") {
		t.Errorf("follow: %v", err)
	}
}

type stringCloser struct{ *strings.Reader }

func (stringCloser) Close() error { return nil }

func readCloser(text string) stringCloser { return stringCloser{strings.NewReader(text)} }

var errEnough = errors.New("enough")

// collect follows until a text comes, and returns all texts before it.
func collect(ctx context.Context, c *api.Client, machine string, after uint64, until string) (texts []string, err error) {
	err = c.Follow(ctx, machine, after, func(e provision.Event) error {
		if e.Text == until {
			return errEnough
		}
		texts = append(texts, e.Text)
		return nil
	})
	if errors.Is(err, errEnough) {
		return texts, nil
	}
	return texts, fmt.Errorf("follow ended with %w", err)
}

func TestClientFollows(t *testing.T) {
	b := newBed(t)
	c := newClient(t, b)
	b.record(t, logged(mac1, "one"), logged(mac2, "two"), logged(mac1, "three"), logged(mac1, "end"))
	for _, want := range []struct {
		machine string
		after   uint64
		texts   []string
	}{{"web-1", 0, []string{"one", "three"}}, {"web-1", b.firstEvent(t, mac1), []string{"three"}}, {"", 0, []string{"one", "two", "three"}}} {
		texts, err := collect(deadline(t), c, want.machine, want.after, "end")
		if diff := cmp.Diff(want.texts, texts); diff != "" || err != nil {
			t.Errorf("%q after %d: %v\n%s", want.machine, want.after, err, diff)
		}
	}
}

func TestFollowEndsWithItsContext(t *testing.T) {
	b := newBed(t)
	c := newClient(t, b)
	b.record(t, logged(mac1, "one"))
	ctx, cancel := context.WithCancel(deadline(t))
	err := c.Follow(ctx, "web-1", 0, func(provision.Event) error { cancel(); return nil })
	if !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

// The daemon is killed and started again; what happened meanwhile is told, and
// nothing twice.
func TestFollowOutlivesTheDaemon(t *testing.T) {
	b := newBed(t)
	socket := filepath.Join(t.TempDir(), "sock")
	first := startDaemon(t, socket, b.Handler())
	c := api.NewClient(socket)
	t.Cleanup(c.Close)
	b.record(t, logged(mac1, "one"))

	var texts []string
	err := c.Follow(deadline(t), "web-1", 0, func(e provision.Event) error {
		texts = append(texts, e.Text)
		switch e.Text {
		case "one":
			first.stop()
			b.record(t, logged(mac1, "two"))
			startDaemon(t, socket, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if last := r.Header.Get("Last-Event-ID"); last != fmt.Sprint(e.ID) {
					t.Errorf("the client goes on after event %q, want %d", last, e.ID)
				}
				b.Handler().ServeHTTP(w, r)
			}))
		case "two":
			return errEnough
		}
		return nil
	})
	if !errors.Is(err, errEnough) || len(texts) != 2 {
		t.Errorf("%v, then %v", texts, err)
	}
}
