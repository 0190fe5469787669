package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/agent/client/clienttest"
	"cloudlets/provision/agent/install"
	"cloudlets/provision/wire"
)

const testMAC provision.MAC = "52:54:00:00:00:01"

func clientOf(f clienttest.Server) *client.Client {
	c := client.New("http://boot.test/", slog.New(slog.DiscardHandler))
	c.HTTP = &http.Client{Transport: f}
	return c
}

var someParams = wire.Params{Servers: []string{"http://boot.test"}, Token: "token", MAC: testMAC}

// posted collects the events that a server was sent.
type posted struct {
	mu     sync.Mutex
	events []provision.Event
	posts  int
}

func (p *posted) take(t *testing.T, body []byte) {
	p.mu.Lock()
	defer p.mu.Unlock()
	var events []provision.Event
	if err := json.Unmarshal(body, &events); err != nil {
		t.Errorf("%s: %v", body, err)
	}
	p.posts++
	p.events = append(p.events, events...)
}

func (p *posted) texts() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	var texts []string
	for _, e := range p.events {
		if e.Progress != nil {
			e.Text = fmt.Sprint(e.Progress.Done)
		}
		texts = append(texts, e.Text)
	}
	return strings.Join(texts, " ")
}

func logged(text string) provision.Event {
	return provision.Event{Kind: provision.KindLog, Text: text}
}

func progressed(done int64) provision.Event {
	return provision.Event{Kind: provision.KindProgress, Progress: &provision.Progress{Done: done, Total: 100}}
}

func TestReportsWaitForAServerThatIsAway(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got posted
		back := time.Now().Add(2 * time.Minute)
		c := clientOf(func(r *http.Request, body []byte) (int, string) {
			if time.Now().Before(back) {
				return 0, ""
			}
			got.take(t, body)
			return 204, ""
		})
		var seen bytes.Buffer
		r := newReporter(t.Context(), testMAC, c, &console{out: &seen}, notCalledOff(t))
		r.report(logged("first"))
		synctest.Wait() // it is being sent, in vain
		for i := range int64(50) {
			r.report(progressed(i))
		}
		r.report(logged("last"))
		r.close()
		if texts := got.texts(); texts != "first 49 last" {
			t.Errorf("the server got %q", texts)
		}
		for _, e := range got.events {
			if e.MAC != testMAC || e.Time.IsZero() {
				t.Errorf("got %+v", e)
			}
		}
		if !strings.Contains(seen.String(), "first") || !strings.Contains(seen.String(), "last") {
			t.Errorf("the console shows %q", seen.String())
		}
	})
}

func TestReportsNeverWaitAndAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithCancel(t.Context())
		c := clientOf(func(*http.Request, []byte) (int, string) { return 0, "" })
		r := newReporter(ctx, testMAC, c, &console{out: io.Discard}, notCalledOff(t))
		start := time.Now()
		for i := range 10 * maxPending {
			r.report(logged(fmt.Sprint(i)))
		}
		if time.Since(start) > 0 {
			t.Error("reporting waited")
		}
		r.mu.Lock()
		if n := len(r.pending); n > maxPending {
			t.Errorf("%d events are kept", n)
		}
		r.mu.Unlock()
		cancel()
		r.close()
	})
}

func TestReporterMayBeUsedAfterItsEnd(t *testing.T) {
	var got posted
	c := clientOf(func(_ *http.Request, body []byte) (int, string) { got.take(t, body); return 204, "" })
	r := newReporter(t.Context(), testMAC, c, &console{out: io.Discard}, notCalledOff(t))
	r.fail(errors.New("the disk burns"), false, "attempt 1 of 1", false)
	r.close()
	r.report(logged("late"))
	if texts := got.texts(); texts != "the disk burns" {
		t.Errorf("the server got %q", texts)
	}
	if e := got.events[0]; e.Kind != provision.KindFailed || e.Stage != provision.StageFailed {
		t.Errorf("got %+v", e)
	}
}

func TestDoneIsTheLastWordAndIsHeard(t *testing.T) {
	var got posted
	c := clientOf(func(_ *http.Request, body []byte) (int, string) { got.take(t, body); return 204, "" })
	r := newReporter(t.Context(), testMAC, c, &console{out: io.Discard}, notCalledOff(t))
	r.report(logged("before"))
	if err := r.done(install.Result{Disk: provision.DiskInfo{Name: "vda", Serial: "X"}}); err != nil {
		t.Fatal(err)
	}
	if texts := got.texts(); texts != "before the disk vda is complete, verified and bootable" {
		t.Errorf("the server got %q", texts)
	}
	if last := got.events[len(got.events)-1]; last.Kind != provision.KindDone || !strings.Contains(last.Facts["disk"], "serial X") {
		t.Errorf("got %+v", last)
	}
	c = clientOf(func(*http.Request, []byte) (int, string) { return 403, "the session has ended" })
	r = newReporter(t.Context(), testMAC, c, &console{out: io.Discard}, notCalledOff(t))
	wantError(t, r.done(install.Result{}), "the session has ended")
}

// notCalledOff fails the test when the install is called off.
func notCalledOff(t *testing.T) func(error) {
	return func(err error) { t.Errorf("the install was called off: %v", err) }
}

func TestARefusedReportCallsTheInstallOff(t *testing.T) {
	c := clientOf(func(*http.Request, []byte) (int, string) { return 403, "ann took the install back" })
	why := make(chan error, 2)
	r := newReporter(t.Context(), testMAC, c, &console{out: io.Discard}, func(err error) { why <- err })
	r.report(logged("still at it"))
	r.close()
	if err := <-why; err.Error() != "ann took the install back" {
		t.Errorf("the install was called off because of %q", err)
	}
	if err := r.permit(t.Context(), "begin to write"); err == nil || !strings.Contains(err.Error(), "ann took the install back") {
		t.Errorf("permit gave %v", err)
	}
}

func wantError(t testing.TB, err error, words ...string) {
	t.Helper()
	if err == nil {
		t.Errorf("no error, want one that says %q", words)
		return
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("the error says %q, and should say %q", err, word)
		}
	}
}

// TestTheReportIsSent as it is, and in words.
func TestTheReportIsSent(t *testing.T) {
	r := provision.Report{
		Fetched: 2000, Written: 1000, Files: 10, Stages: []provision.StageSeconds{{Stage: provision.StageAgent, Seconds: 3600}, {Stage: provision.StageBootable, Seconds: 2}},
		Digests: []string{"sha256:image", "sha256:overlay"},
	}
	var got posted
	reporter := newReporter(t.Context(), testMAC, clientOf(func(_ *http.Request, body []byte) (int, string) { got.take(t, body); return 204, "" }), &console{out: io.Discard}, notCalledOff(t))
	if err := reporter.done(install.Result{Report: r}); err != nil {
		t.Fatal(err)
	}
	last := got.events[len(got.events)-1]
	sent, _ := json.Marshal(last.Report)
	want, _ := json.Marshal(r)
	if string(sent) != string(want) || !strings.Contains(last.Reason, "read back: sha256:image") || !strings.Contains(last.Reason, "bootable ") {
		t.Errorf("the server was told %s, and %q", sent, last.Reason)
	}
}
