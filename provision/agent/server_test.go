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
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// fakeServer answers without a network, so that time can be the test's.
type fakeServer func(r *http.Request, body []byte) (status int, answer string)

func (f fakeServer) RoundTrip(r *http.Request) (*http.Response, error) {
	body, err := io.ReadAll(r.Body)
	if err != nil {
		return nil, err
	}
	status, answer := f(r, body)
	if status == 0 {
		return nil, errors.New("connection refused")
	}
	w := httptest.NewRecorder()
	w.WriteHeader(status)
	_, _ = w.WriteString(answer)
	response := w.Result()
	response.Request = r
	return response, nil
}

func clientOf(f fakeServer) *client {
	c := newClient("http://boot.test/", slog.New(slog.DiscardHandler))
	c.http = &http.Client{Transport: f}
	return c
}

var someParams = wire.Params{Servers: []string{"http://boot.test"}, Token: "token", MAC: testMAC}

func TestClaimIsRepeatedUntilItIsAnswered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var nonces []string
		c := clientOf(func(r *http.Request, body []byte) (int, string) {
			var claim wire.ClaimRequest
			if err := json.Unmarshal(body, &claim); err != nil || claim.Token != "token" || claim.MAC != testMAC || r.URL.Path != wire.ClaimPath {
				t.Errorf("claimed %s (%v) at %s", body, err, r.URL)
			}
			nonces = append(nonces, claim.Nonce)
			return []int{0, 503, 429, 200}[len(nonces)-1], `{"mac": "52:54:00:00:00:01", "session": "secret", "image": "debian"}`
		})
		plan, err := c.claim(t.Context(), someParams, provision.Inventory{})
		if err != nil || plan.Image != "debian" || c.session != "secret" {
			t.Errorf("got %+v, %v", plan, err)
		}
		if len(nonces) != 4 || nonces[0] == "" || nonces[0] != nonces[3] {
			t.Errorf("the nonces of the tries are %q: a claim whose answer was lost could not be told from another's", nonces)
		}
	})
}

func TestClaimThatIsRefusedIsNotRepeated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		tries := 0
		c := clientOf(func(*http.Request, []byte) (int, string) {
			tries++
			return 403, "the token was used at 10:00\n"
		})
		_, err := c.claim(t.Context(), someParams, provision.Inventory{})
		wantError(t, err, "claim the plan of "+string(testMAC), "http://boot.test", "the token was used at 10:00")
		if tries != 1 {
			t.Errorf("asked %d times", tries)
		}
	})
}

func TestClaimRefusesThePlanOfAnotherMachine(t *testing.T) {
	c := clientOf(func(*http.Request, []byte) (int, string) { return 200, `{"mac": "52:54:00:00:00:99", "wipe": true}` })
	_, err := c.claim(t.Context(), someParams, provision.Inventory{})
	wantError(t, err, "52:54:00:00:00:99", "nothing is written")
	c = clientOf(func(*http.Request, []byte) (int, string) { return 200, `<html>` })
	_, err = c.claim(t.Context(), someParams, provision.Inventory{})
	wantError(t, err, "read the plan of "+string(testMAC))
}

func TestAskingEndsWithPatience(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := clientOf(func(*http.Request, []byte) (int, string) { return 0, "" })
		start := time.Now()
		_, err := c.post(t.Context(), wire.EventsPath, nil)
		wantError(t, err, "gave up", "connection refused")
		if waited := time.Since(start); waited < patience-maxWait || waited > patience+maxWait {
			t.Errorf("gave up after %s", waited)
		}
	})
}

func TestAskingEndsWithItsContext(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		c := clientOf(func(*http.Request, []byte) (int, string) { return 500, "" })
		start := time.Now()
		if _, err := c.post(ctx, wire.EventsPath, nil); !errors.Is(err, context.DeadlineExceeded) || time.Since(start) > 2*time.Second {
			t.Errorf("got %v after %s", err, time.Since(start))
		}
	})
}

func TestARefusalWithoutWordsSaysWhatWasAsked(t *testing.T) {
	c := clientOf(func(*http.Request, []byte) (int, string) { return 404, "" })
	_, err := c.fetch(t.Context(), wire.Blob{Path: "/core.img"})
	wantError(t, err, "GET /core.img", "404")
}

func TestFetchChecksTheDigest(t *testing.T) {
	right := []byte("right")
	blob := wire.Blob{Path: "/b", Digest: digestOf(right)}
	tries := 0
	c := clientOf(func(*http.Request, []byte) (int, string) {
		if tries++; tries == 1 {
			return 200, "wrong"
		}
		return 200, string(right)
	})
	if got, err := c.fetch(t.Context(), blob); err != nil || !bytes.Equal(got, right) {
		t.Errorf("got %q, %v", got, err)
	}
	c = clientOf(func(*http.Request, []byte) (int, string) { return 200, "wrong" })
	_, err := c.fetch(t.Context(), blob)
	wantError(t, err, "/b", digestOf([]byte("wrong")), blob.Digest)
}

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
	if err := r.done(Result{Disk: provision.DiskInfo{Name: "vda", Serial: "X"}}); err != nil {
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
	wantError(t, r.done(Result{}), "the session has ended")
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
