package install

import (
	"bytes"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"cloudlets/provision/agent/client"
	"cloudlets/provision/wire"
)

// ordinary is how many bytes of any other answer are read at most.
const ordinary = 16 << 20

// TestFetchLarge: a file that is larger than any other answer comes whole, though the
// connection breaks off, and though it came damaged at first.
func TestFetchLarge(t *testing.T) {
	right := noise(3, ordinary+4<<20)
	wrong := bytes.Clone(right)
	wrong[len(wrong)-1]++
	requests := 0
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		content := right
		switch requests++; requests {
		case 1: // it breaks off
			http.ServeContent(&brokenOff{w, ordinary + 1<<20}, r, "", time.Time{}, bytes.NewReader(content))
			return
		case 2: // and what comes then is damaged
			content = wrong
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(content))
	}))
	defer server.Close()
	i := &installer{Job: Job{HTTP: server.Client(), Log: slog.New(slog.DiscardHandler)}, server: client.New(server.URL, slog.New(slog.DiscardHandler))}
	blob := wire.Blob{Path: "/mirror.img", Size: int64(len(right)), Digest: digestOf(right)}
	if got, err := i.fetchLarge(t.Context(), blob); err != nil || !bytes.Equal(got, right) || requests != 3 {
		t.Errorf("after %d requests got %d bytes, %v", requests, len(got), err)
	}
	if _, err := i.server.Fetch(t.Context(), blob); err == nil || !strings.Contains(err.Error(), "more than 16") {
		t.Errorf("an answer that is too large: got %v", err)
	}
	blob.Digest = digestOf(wrong)
	_, err := i.fetchLarge(t.Context(), blob)
	wantError(t, err, "/mirror.img", "its digest is "+digestOf(right), "3 times")
	blob.Size = maxLarge + 1
	_, err = i.fetchLarge(t.Context(), blob)
	wantError(t, err, "/mirror.img", "at most 256")
}

// brokenOff ends an answer after so many bytes.
type brokenOff struct {
	http.ResponseWriter
	left int
}

func (b *brokenOff) Write(p []byte) (int, error) {
	if b.left -= len(p); b.left < 0 {
		panic(http.ErrAbortHandler)
	}
	return b.ResponseWriter.Write(p)
}
