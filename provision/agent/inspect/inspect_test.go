package inspect

import (
	"context"
	"errors"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/process1"
	"cloudlets/provision/wire"
)

// TestInspectingAgentWaits: it asks again after growing pauses, says why it waits once, and
// ends when it is told to.
func TestInspectingAgentWaits(t *testing.T) {
	asked := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked++
		if r.URL.Path != wire.InspectPath {
			t.Errorf("it asks for %s", r.URL.Path)
		}
		text := `{"wait": "it waits"}`
		if asked == 12 {
			text = `{"restart": "approved"}`
		}
		_, _ = w.Write([]byte(text))
	}))
	defer server.Close()
	var pauses []time.Duration
	var said []string
	i := inspector{
		params: wire.Params{Token: "t", MAC: "52:54:00:00:00:41", Inspect: true}, server: client.New(server.URL, process1.NewLog(t.Output())),
		look:  func(map[string]neighbour) (provision.Inspection, error) { return provision.Inspection{}, nil },
		heard: func() (map[string]neighbour, bool) { return nil, false },
		pause: func(_ context.Context, d time.Duration) error { pauses = append(pauses, d); return nil },
		say:   func(format string, _ ...any) { said = append(said, format) },
	}
	why, err := i.run(t.Context())
	if err != nil || why != "approved" || asked != 12 || len(said) != 1 {
		t.Fatalf("%q, %v after %d questions; it said %q", why, err, asked, said)
	}
	for n, p := range pauses {
		if p <= 0 || p > maxInspectWait || n == len(pauses)-1 && p < maxInspectWait/2 {
			t.Errorf("pause %d is %s", n+1, p)
		}
	}
	i.pause = func(context.Context, time.Duration) error { return errors.New("over") }
	asked = 0
	if _, err := i.run(t.Context()); err == nil {
		t.Error("it goes on after its end")
	}
}

// TestInspectingAgentOnlyReadsDisks: the file by which it looks at a disk cannot write.
func TestInspectingAgentOnlyReadsDisks(t *testing.T) {
	name := filepath.Join(t.TempDir(), "disk")
	if err := os.WriteFile(name, make([]byte, 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	f, err := openToRead(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	flags, err := unix.FcntlInt(f.Fd(), unix.F_GETFL, 0)
	if err != nil || flags&unix.O_ACCMODE != unix.O_RDONLY {
		t.Errorf("the disk is open with the flags %#x (%v)", flags, err)
	}
	if _, err := f.WriteAt([]byte("x"), 0); err == nil {
		t.Error("it can write to the disk")
	}
	// No other way to write to a disk is in the package.
	files, err := filepath.Glob("*.go")
	if err != nil || len(files) < 3 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		if strings.HasSuffix(file, "_test.go") {
			continue
		}
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, word := range []string{"os.Create", "O_WRONLY", "O_RDWR", "os.WriteFile", "NewRoot", "BLK"} {
			if strings.Contains(string(text), word) {
				t.Errorf("%s has %s", file, word)
			}
		}
	}
}
