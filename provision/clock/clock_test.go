package clock

import (
	"bytes"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloudlets/testdata/needs"
)

// wrong is a clock that is wrong by some time. It notes what it is set to.
type wrong struct {
	by   time.Duration
	sets []time.Time
	fail error
	said bytes.Buffer
}

func (w *wrong) clock() Clock {
	return Clock{
		Now:  func() time.Time { return time.Now().Add(w.by) },
		Step: func(now time.Time) error { w.sets = append(w.sets, now); return w.fail },
		Log:  slog.New(slog.NewTextHandler(&w.said, nil)),
	}
}

func (w *wrong) check(t *testing.T, by string) {
	t.Helper()
	// The server's clock is that of this host, so that a right clock is within the
	// tolerance of it, however slow the host is.
	if len(w.sets) != 1 || time.Since(w.sets[0]).Abs() > time.Hour {
		t.Errorf("the clock is set to %v at %s", w.sets, time.Now())
	}
	if !strings.Contains(w.said.String(), "by="+by) {
		t.Errorf("the log does not name %s: %s", by, w.said.String())
	}
}

// inside, in the environment, marks the process of the test that is in the namespace.
const inside = "CLOUDLETS_CLOCK_INSIDE"

// TestChrony asks a real server, in a network namespace. chronyd leaves this host's
// clock alone (-x).
func TestChrony(t *testing.T) {
	needs.Root(t)
	if os.Getenv(inside) == "" {
		cmd := exec.CommandContext(t.Context(), needs.Tool(t, "unshare", "util-linux"), "--net", os.Args[0], "-test.run=^TestChrony$", "-test.v")
		cmd.Env = append(os.Environ(), inside+"=1")
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Errorf("in a namespace: %v\n%s", err, out)
		}
		return
	}
	if out, err := exec.CommandContext(t.Context(), needs.Tool(t, "ip", "iproute2"), "link", "set", "lo", "up").CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	program, err := filepath.Abs(needs.Made(t, "../../bin/chrony/usr/sbin/chronyd", "bin/chrony"))
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	cmd := exec.Command(program, "-x", "-d", "-u", "root", "local stratum 1", "allow all", "cmdport 0", "bindcmdaddress /", "pidfile "+dir+"/pid")
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		if t.Failed() {
			t.Log(log.String())
		}
	})
	for _, server := range []string{"127.0.0.1", "::1"} {
		w := wrong{by: -30 * 365 * 24 * time.Hour}
		limit := time.Now().Add(time.Minute)
		for len(w.sets) == 0 && time.Now().Before(limit) { // until chronyd is up
			err = w.clock().Correct(t.Context(), []netip.Addr{netip.MustParseAddr(server)}, nil)
		}
		if err != nil {
			t.Error(err)
		}
		w.check(t, server)
	}
}

func TestDateOfHTTP(t *testing.T) {
	server := httptest.NewServer(http.NotFoundHandler())
	defer server.Close()
	w := wrong{by: 24 * time.Hour}
	if err := w.clock().Correct(t.Context(), nil, []string{"https://127.0.0.1:1", server.URL}); err != nil {
		t.Error(err)
	}
	w.check(t, server.URL)
}

func TestARightClockStays(t *testing.T) {
	w := wrong{}
	for _, by := range []time.Duration{0, tolerated, -tolerated} {
		if err := w.clock().step(by, "a server"); err != nil || len(w.sets) > 0 {
			t.Errorf("a clock that is wrong by %s is set to %v, %v", by, w.sets, err)
		}
	}
}

// TestNoTime: the error says for each server why it did not help.
func TestNoTime(t *testing.T) {
	w := wrong{}
	for base, want := range map[string]string{
		"http://127.0.0.1:1":  "ask http://127.0.0.1:1 for the time",
		"https://127.0.0.1:1": "https://127.0.0.1:1 has a certificate",
		"":                    "name one by DHCP",
	} {
		var bases []string
		if base != "" {
			bases = []string{base}
		}
		err := w.clock().Correct(t.Context(), nil, bases)
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "option 42") || strings.Contains(err.Error(), "%!") {
			t.Errorf("with the server %q the error is %v; want %q", base, err, want)
		}
	}
	w.fail = errors.New("not permitted")
	if err := w.clock().step(time.Hour, "x"); fmt.Sprint(err) == "" || !strings.Contains(err.Error(), "set the clock to") {
		t.Errorf("the error is %v", err)
	}
}
