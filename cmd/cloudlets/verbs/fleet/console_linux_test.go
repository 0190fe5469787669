package fleet

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"strings"
	"testing"
	"testing/iotest"

	"github.com/spf13/cobra"
	"golang.org/x/sys/unix"

	"cloudlets/provision"
	"cloudlets/web/api"
)

// TestEscapes: a person leaves with ~. at the beginning of a line alone, however the keys
// come.
func TestEscapes(t *testing.T) {
	for typed, want := range map[string]struct {
		passed string
		left   bool
	}{
		"~.":          {"", true},
		"ls\r~.more":  {"ls\r", true},
		"ls\n~.":      {"ls\n", true},
		"a~.b":        {"a~.b", false},
		"~~.\r":       {"~.\r", false},
		"~~~.":        {"~~.", false},
		"~x~.":        {"~x~.", false},
		"~\r~.":       {"~\r", true},
		"~":           {"~", false},
		"\x03\x1b[A~": {"\x03\x1b[A~", false},
	} {
		for name, in := range map[string]io.Reader{"at once": strings.NewReader(typed), "one by one": iotest.OneByteReader(strings.NewReader(typed))} {
			passed, err := io.ReadAll(&escapes{in: bufio.NewReader(in)})
			if string(passed) != want.passed || errors.Is(err, api.ErrLeft) != want.left || !want.left && err != nil {
				t.Errorf("%q %s: passed %q, %v", typed, name, passed, err)
			}
		}
	}
}

// TestWatchAgent: of a machine whose console nothing names, a person sees what its agent
// says from now on, and nothing that takes over their terminal.
func TestWatchAgent(t *testing.T) {
	said := []provision.Event{
		{ID: 8, Kind: provision.KindHTTP, Text: "fetched a kernel"},
		{ID: 9, Kind: provision.KindLog, Text: provision.ConsolePrefix + "network: eth0 has 10.0.0.1\x1b[2J"},
		{ID: 10, Kind: provision.KindProgress, Text: "written", Progress: &provision.Progress{Done: 1000}},
		{ID: 11, Kind: provision.KindFailed, Text: "it failed", Reason: "no disk"},
	}
	told := false
	mux := http.NewServeMux()
	mux.HandleFunc("/api/v1/machines/{machine}/events", func(w http.ResponseWriter, r *http.Request) {
		io.WriteString(w, `[{"id": 7, "mac": "52:54:00:00:00:01"}]`)
	})
	mux.HandleFunc("/api/v1/machines/{machine}/follow", func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Query().Get("after") != "7" || told {
			http.Error(w, `{"error": "that is all"}`, http.StatusGone)
			return
		}
		told = true
		for _, e := range said {
			e.MAC = "52:54:00:00:00:01"
			text, err := json.Marshal(e)
			if err != nil {
				t.Error(err)
			}
			fmt.Fprintf(w, "id: %d\ndata: %s\n\n", e.ID, text)
		}
	})
	server := httptest.NewServer(mux)
	defer server.Close()
	c := api.NewClientTransport(&http.Transport{DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{}).DialContext(ctx, "tcp", server.Listener.Addr().String())
	}})
	defer c.Close()
	var out, words strings.Builder
	cmd := &cobra.Command{}
	cmd.SetContext(t.Context())
	cmd.SetOut(&out)
	cmd.SetErr(&words)
	err := watchAgent(cmd, c, api.Detail{Machine: api.Machine{MAC: "52:54:00:00:00:01", Hostname: "node1", Stage: provision.StageAgent}})
	if err == nil || err.Error() != "that is all" {
		t.Error(err)
	}
	if want := "network: eth0 has 10.0.0.1?[2J\nwritten 1.0 kB\nit failed (no disk)\n"; out.String() != want {
		t.Errorf("it showed %q, want %q", out.String(), want)
	}
	if !strings.Contains(words.String(), "the file of node1 names no console") {
		t.Errorf("it said %q", words.String())
	}
}

// TestRawTerminal: while a console is shown, the terminal passes on Ctrl-C and shows
// nothing itself, and afterwards it is as before.
func TestRawTerminal(t *testing.T) {
	main, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer main.Close()
	if err := unix.IoctlSetPointerInt(int(main.Fd()), unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(int(main.Fd()), unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	tty, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	settings := func() unix.Termios {
		s, err := unix.IoctlGetTermios(int(tty.Fd()), unix.TCGETS)
		if err != nil {
			t.Fatal(err)
		}
		return *s
	}
	const cooked = unix.ECHO | unix.ICANON | unix.ISIG
	before := settings()
	if before.Lflag&cooked != cooked {
		t.Fatalf("the terminal is not an ordinary one: %+v", before)
	}
	restore, err := rawTerminal(tty)
	if err != nil {
		t.Fatal(err)
	}
	if raw := settings(); raw.Lflag&cooked != 0 {
		t.Errorf("the terminal is not raw: %+v", raw)
	}
	if err := restore(); err != nil {
		t.Error(err)
	}
	if after := settings(); after != before {
		t.Errorf("the terminal was %+v and is %+v", before, after)
	}
}
