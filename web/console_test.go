package web_test

import (
	"bufio"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/power"
	"cloudlets/provision/power/desk"
	"cloudlets/web/api"
)

// parrot is a console that says what is typed, until a line says what else to do.
type parrot struct{ refuse error }

func (p parrot) Join(ctx context.Context, ready func() (io.Reader, io.Writer, error)) error {
	if p.refuse != nil {
		return p.refuse
	}
	in, out, err := ready()
	if err != nil {
		return err
	}
	lines := make(chan string)
	go func() {
		defer close(lines)
		for r := bufio.NewScanner(in); r.Scan(); {
			lines <- r.Text()
		}
	}()
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case line, more := <-lines:
			switch {
			case !more || line == "end":
				return nil
			case line == "break":
				return errors.New("the cable is broken")
			}
			if _, err := io.WriteString(out, strings.Repeat(line, 20_000)+"\n"); err != nil {
				return err
			}
		}
	}
}

// person types on a console.
type person struct {
	typed *io.PipeWriter
	shown *bufio.Reader
	ended chan error
}

func sit(ctx context.Context, c *api.Client, machine string) *person {
	in, typed := io.Pipe()
	shown, out := io.Pipe()
	p := &person{typed, bufio.NewReaderSize(shown, 1<<20), make(chan error, 1)}
	go func() {
		p.ended <- c.Console(ctx, machine, "ann", func() (io.Reader, io.Writer, error) { return in, out, nil })
		out.Close()
	}()
	return p
}

// TestConsole: a console is carried through the socket, as long as both ends want it, and
// the machine's trace says who had it.
func TestConsole(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "machines/52:54:00:00:00:03.json", `{"image": "debian", "power": {"console": ["/bin/serial", "hunter2"]}}`)
	b.Site.Reload()
	const mac3 provision.MAC = "52:54:00:00:00:03"
	var refusal error
	b.Power = desk.New(desk.Options{
		OpenConsole: func(*provision.Spec) (power.Console, error) { return parrot{refusal}, nil },
		Record:      func(ctx context.Context, e provision.Event) { _ = b.Tracker.Record(ctx, e) },
		Stagger:     func() time.Duration { return 0 },
	})
	stopping := make(chan struct{})
	b.Stopping = stopping
	server := httptest.NewServer(b.Handler())
	t.Cleanup(server.Close)
	c := api.NewClientTransport(&http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}})
	t.Cleanup(c.Close)
	says := func(p *person, word string) {
		t.Helper()
		if _, err := io.WriteString(p.typed, word+"\n"); err != nil {
			t.Fatal(err)
		}
		if got, err := p.shown.ReadString('\n'); err != nil || got != strings.Repeat(word, 20_000)+"\n" {
			t.Errorf("it showed %.20q… of %d bytes (%v)", got, len(got), err)
		}
	}

	p := sit(t.Context(), c, string(mac3))
	says(p, "hello")
	p.typed.CloseWithError(api.ErrLeft)
	if err := <-p.ended; err != nil {
		t.Errorf("the person left: %v", err)
	}
	for word, want := range map[string]string{"end": "", "break": "the console ended: the cable is broken"} {
		p = sit(t.Context(), c, string(mac3))
		says(p, "x")
		io.WriteString(p.typed, word+"\n")
		if err := <-p.ended; want == "" && err != nil || want != "" && (err == nil || err.Error() != want) {
			t.Errorf("%s: %v", word, err)
		}
	}
	ctx, cancel := context.WithCancel(t.Context())
	p = sit(ctx, c, string(mac3))
	says(p, "x")
	cancel()
	if err := <-p.ended; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	refusal = errors.New("no such port")
	if err := <-sit(t.Context(), c, string(mac3)).ended; err == nil || !strings.Contains(err.Error(), "open the console of "+string(mac3)+": no such port") {
		t.Error(err)
	}
	if err := <-sit(t.Context(), c, string(mac1)).ended; err == nil || !strings.Contains(err.Error(), `"ipmi" or "console"`) {
		t.Error(err)
	}
	path := "/api/v1/machines/" + string(mac3) + "/console?by=ann"
	wantRefusal(t, ask(t, b.Handler(), "POST", path, ""), http.StatusUpgradeRequired, "cloudlets console")
	wantRefusal(t, ask(t, b.ReadOnly(), "POST", path, ""), http.StatusForbidden, "read-only")

	refusal = nil
	p = sit(t.Context(), c, string(mac3))
	says(p, "x")
	close(stopping)
	if err := <-p.ended; err == nil || !strings.Contains(err.Error(), "the server is being stopped") {
		t.Errorf("the server stopped: %v", err)
	}
	var told []string
	for _, e := range b.events(t, mac3) {
		if e.Kind == provision.KindPower && e.By == "ann" {
			told = append(told, e.Text)
		}
	}
	if all := strings.Join(told, "; "); !strings.HasPrefix(all, "its console is opened; its console is left") || strings.Contains(all, "hunter2") {
		t.Errorf("the trace says %q", all)
	}
}
