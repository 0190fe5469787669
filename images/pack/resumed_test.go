package pack

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"testing/iotest"
	"testing/synctest"
	"time"
)

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

// TestResumedTellsOfABreak: one call when the cable is back, with the place and the
// length of the break, and none for a download without one.
func TestResumedTellsOfABreak(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		content := []byte("0123456789")
		back := time.Now().Add(61 * time.Second)
		requests := 0
		h := &HTTP{URL: "http://boot.test/pack", Client: &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
			requests++
			if requests > 1 && time.Now().Before(back) {
				return nil, errors.New("no route to host")
			}
			var from, to int
			if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
				t.Fatal(err)
			}
			body := io.Reader(bytes.NewReader(content[from : to+1]))
			if requests == 1 {
				body = io.MultiReader(bytes.NewReader(content[:5]), iotest.ErrReader(io.ErrUnexpectedEOF))
			}
			return &http.Response{
				StatusCode: http.StatusPartialContent, Request: r, Body: io.NopCloser(body), ContentLength: int64(to + 1 - from),
				Header: http.Header{"Content-Range": {fmt.Sprintf("bytes %d-%d/%d", from, to, len(content))}},
			}, nil
		})}}
		var told []string
		h.Resumed = func(off int64, after time.Duration, cause error) {
			told = append(told, fmt.Sprintf("%d %s %v", off, after.Round(10*time.Second), cause))
		}
		for range 2 {
			r, err := h.Range(t.Context(), 0, int64(len(content)))
			if err != nil {
				t.Fatal(err)
			}
			if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, content) {
				t.Errorf("read %q, %v", got, err)
			}
			if err := r.Close(); err != nil {
				t.Error(err)
			}
		}
		if len(told) != 1 || !strings.HasPrefix(told[0], "5 1m0s ") {
			t.Errorf("told %q", told)
		}
	})
}
