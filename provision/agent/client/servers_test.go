package client

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloudlets/images/pack"
	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// fleet starts servers, each with its own answers, and a client of all of them.
func fleet(t *testing.T, handlers ...http.HandlerFunc) (*Client, []*httptest.Server, *bytes.Buffer) {
	t.Helper()
	var log bytes.Buffer
	var bases []string
	var all []*httptest.Server
	for _, h := range handlers {
		s := httptest.NewServer(h)
		t.Cleanup(s.Close)
		bases, all = append(bases, s.URL), append(all, s)
	}
	c, err := NewOf(bases, nil, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	c.Patience = time.Second
	return c, all, &log
}

func says(text string) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		fmt.Fprintf(w, "%s %s", text, body)
	}
}

func fails(status int) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) { http.Error(w, "not here", status) }
}

// TestAnotherServerGoesOn: requests go to the first server as long as it answers,
// and then to the next that does.
func TestAnotherServerGoesOn(t *testing.T) {
	c, all, log := fleet(t, says("first"), fails(http.StatusServiceUnavailable), says("third"))
	ask := func() string {
		answer, err := c.do(t.Context(), http.MethodPost, "/agent/events", []byte("report"))
		if err != nil {
			t.Error(err)
		}
		return string(answer)
	}
	for _, want := range []string{"first report", "first report"} {
		if got := ask(); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
	all[0].Close()
	for _, want := range []string{"third report", "third report"} {
		if got := ask(); got != want {
			t.Errorf("after the first died: %q, want %q", got, want)
		}
	}
	if n := strings.Count(log.String(), "going on with another server"); n != 2 {
		t.Errorf("the log says %d times that another server is asked:\n%s", n, log)
	}
	all[2].Close()
	if _, err := c.do(t.Context(), http.MethodGet, "/x", nil); err == nil {
		t.Error("nobody is there, and no error")
	}
}

// TestARefusalIsFinal: what one server refuses, no other is asked. A file that one
// does not have may be on another.
func TestARefusalIsFinal(t *testing.T) {
	c, _, _ := fleet(t, fails(http.StatusForbidden), says("second"))
	_, err := c.do(t.Context(), http.MethodPost, "/agent/claim", nil)
	if _, refused := errors.AsType[Refusal](err); !refused {
		t.Errorf("got %v", err)
	}
	c, _, _ = fleet(t, fails(http.StatusNotFound), says("second"))
	if answer, err := c.do(t.Context(), http.MethodGet, "/files/1/pack", nil); err != nil || !strings.HasPrefix(string(answer), "second") {
		t.Errorf("got %q, %v", answer, err)
	}
	c, _, _ = fleet(t, fails(http.StatusNotFound), fails(http.StatusNotFound))
	if _, err := c.do(t.Context(), http.MethodGet, "/files/1/pack", nil); err == nil || !strings.Contains(err.Error(), "not here") {
		t.Errorf("got %v", err)
	}
}

// TestAnotherServerGoesOnWithinAFile: the first server dies in the middle of a
// file. The next sends the rest, from the byte where it broke off.
func TestAnotherServerGoesOnWithinAFile(t *testing.T) {
	content := bytes.Repeat([]byte("0123456789abcdef"), 1<<14)
	var asked string
	breaking := func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Length", fmt.Sprint(len(content)))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes 0-%d/%[2]d", len(content)-1, len(content)))
		w.WriteHeader(http.StatusPartialContent)
		w.Write(content[:100_000])
		panic(http.ErrAbortHandler)
	}
	whole := func(w http.ResponseWriter, r *http.Request) {
		asked = r.Header.Get("Range")
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}
	c, _, _ := fleet(t, breaking, whole)
	source := &pack.HTTP{URL: c.Base + "/files/1/pack", Client: c.HTTP, Logger: c.log}
	body, err := source.Range(t.Context(), 0, int64(len(content)))
	if err != nil {
		t.Fatal(err)
	}
	defer body.Close()
	got, err := io.ReadAll(body)
	if err != nil || !bytes.Equal(got, content) {
		t.Fatalf("%d bytes of %d, %v", len(got), len(content), err)
	}
	if asked == "" || strings.HasPrefix(asked, "bytes=0-") {
		t.Errorf("the second was asked for %q", asked)
	}
}

// TestThePlanNamesMoreServers: the kernel command line may know only one.
func TestThePlanNamesMoreServers(t *testing.T) {
	second := httptest.NewServer(says("second"))
	t.Cleanup(second.Close)
	plan := fmt.Sprintf(`{"mac": %q, "session": "s", "servers": [%q]}`, testMAC, second.URL)
	c, all, _ := fleet(t, func(w http.ResponseWriter, _ *http.Request) { io.WriteString(w, plan) })
	if _, err := c.Claim(t.Context(), wire.Params{Servers: []string{all[0].URL}, Token: "t", MAC: testMAC}, provision.Inventory{Arch: "amd64"}); err != nil {
		t.Fatal(err)
	}
	all[0].Close()
	if answer, err := c.do(t.Context(), http.MethodGet, "/x", nil); err != nil || !strings.HasPrefix(string(answer), "second") {
		t.Errorf("got %q, %v", answer, err)
	}
}
