//go:build linux

package pack

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"golang.org/x/sync/errgroup"
)

// server serves a pack, and damages it as a test wants.
type server struct {
	data []byte
	etag string
	// mangle, if not nil, may change the bytes of an answer, which are a
	// private copy. It returns how many of them to send before cutting the
	// connection.
	mangle   func(off int64, body []byte) int
	requests atomic.Int64
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.requests.Add(1)
	var from, to int64
	if _, err := fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to); err != nil {
		http.Error(w, "no range", http.StatusBadRequest)
		return
	}
	if to >= int64(len(s.data)) {
		http.Error(w, "beyond the end", http.StatusRequestedRangeNotSatisfiable)
		return
	}
	body := bytes.Clone(s.data[from : to+1])
	n := len(body)
	if s.mangle != nil {
		n = s.mangle(from, body)
	}
	w.Header().Set("ETag", s.etag)
	w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(s.data)))
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusPartialContent)
	_, _ = w.Write(body[:n])
	if n < len(body) {
		panic(http.ErrAbortHandler)
	}
}

var quick = Retry{Patience: time.Minute, Stall: 10 * time.Second, Wait: time.Millisecond, MaxWait: time.Millisecond}

// serve starts s with a pack of src and returns a reader of it.
func (s *server) serve(t *testing.T, src memSource) (*HTTP, Info) {
	t.Helper()
	data, info := mustWrite(t, src, Options{})
	s.data, s.etag = data, `"`+info.Digest+`"`
	srv := httptest.NewServer(s)
	t.Cleanup(srv.Close)
	return &HTTP{URL: srv.URL, Client: srv.Client(), Digest: info.Digest, Retry: quick}, info
}

func TestExtractOverHTTPIsOneRequestForAllFrames(t *testing.T) {
	s := &server{}
	src := plainTree()
	h, info := s.serve(t, src)
	dir := freshDir(t)
	if _, err := extract(t, h, info.Ref, dir, ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, src, dir)
	if n := s.requests.Load(); n != 3 {
		t.Errorf("%d requests, want one for the footer, one for the table, one for the frames", n)
	}
}

func TestConnectionsThatBreakGoOnWhereTheyBroke(t *testing.T) {
	src := plainTree()
	s := &server{}
	h, info := s.serve(t, src)
	toc, err := Fetch(t.Context(), h, info.Ref)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	rng := rand.New(rand.NewPCG(1, 2))
	least, most := int64(0), int64(0) // where the next request may begin
	s.mangle = func(off int64, body []byte) int {
		mu.Lock()
		defer mu.Unlock()
		if off < least || off > most {
			t.Errorf("a request begins at byte %d, the one before sent what lies from %d to %d", off, least, most)
		}
		n := min(rng.IntN(600_000), len(body))
		if rng.IntN(4) == 0 {
			n = 0
		}
		least, most = off, off+int64(n)
		return n
	}
	s.requests.Store(0)
	dir := freshDir(t)
	stats, err := Extract(t.Context(), h, toc, dir, ExtractOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, src, dir)
	if n := s.requests.Load(); stats.Refetched != 0 || n < 10 {
		t.Errorf("%d frames were taken for damaged; %d requests, of which the test should break many", stats.Refetched, n)
	}
}

func TestServerRestartsInTheMiddle(t *testing.T) {
	src := plainTree()
	data, info := mustWrite(t, src, Options{})
	half := make(chan struct{})
	var once sync.Once
	first := &server{data: data, mangle: func(_ int64, body []byte) int {
		if len(body) < 1<<20 {
			return len(body) // the table
		}
		once.Do(func() { close(half) })
		return len(body) / 2
	}}
	srv := httptest.NewServer(first)
	addr := srv.Listener.Addr().String()
	transport := &http.Transport{}
	defer transport.CloseIdleConnections()
	gone := &countingTransport{next: transport, enough: make(chan struct{}), when: 3}

	ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
	var g errgroup.Group
	g.Go(func() error { return restart(ctx, srv, addr, half, gone.enough, &server{data: data}) })
	dir := freshDir(t)
	h := &HTTP{URL: "http://" + addr, Client: &http.Client{Transport: gone}, Digest: info.Digest, Retry: quick}
	_, err := extract(t, h, info.Ref, dir, ExtractOptions{})
	cancel()
	if err := errors.Join(err, g.Wait()); err != nil {
		t.Fatal(err)
	}
	sameTree(t, src, dir)
}

// restart stops a server when half is closed, and starts another one at the
// same address when enough is closed; by then the client has found no server.
// That second server ends with ctx.
func restart(ctx context.Context, srv *httptest.Server, addr string, half, enough <-chan struct{}, next http.Handler) error {
	defer srv.Close()
	for _, event := range []<-chan struct{}{half, enough} {
		select {
		case <-event:
			srv.Listener.Close()
			srv.CloseClientConnections()
		case <-ctx.Done():
			return errors.New("the stream ended before the server did")
		}
	}
	ln, err := net.Listen("tcp", addr)
	if err != nil {
		return err
	}
	again := httptest.NewUnstartedServer(next)
	again.Listener.Close()
	again.Listener = ln
	again.Start()
	defer again.Close()
	<-ctx.Done()
	return nil
}

// countingTransport counts the requests that did not reach a server.
type countingTransport struct {
	next   http.RoundTripper
	failed atomic.Int64
	when   int64
	enough chan struct{}
}

func (c *countingTransport) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := c.next.RoundTrip(r)
	if err != nil && c.failed.Add(1) == c.when {
		close(c.enough)
	}
	return resp, err
}

func TestSilentConnectionIsMadeAnew(t *testing.T) {
	data, info := mustWrite(t, plainTree(), Options{})
	var requests atomic.Int64
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if requests.Add(1) == 3 { // the frames: half of them, then silence
			var from, to int
			_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
			w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, to, len(data)))
			w.WriteHeader(http.StatusPartialContent)
			_, _ = w.Write(data[from : (from+to)/2])
			w.(http.Flusher).Flush()
			<-r.Context().Done()
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}))
	defer srv.Close()
	retry := quick
	retry.Stall = 300 * time.Millisecond
	h := &HTTP{URL: srv.URL, Client: srv.Client(), Digest: info.Digest, Retry: retry}
	dir := freshDir(t)
	if _, err := extract(t, h, info.Ref, dir, ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	sameTree(t, plainTree(), dir)
}

func TestOneFlippedBitIsFetchedAgain(t *testing.T) {
	var flipped atomic.Bool
	s := &server{}
	s.mangle = func(off int64, body []byte) int {
		if off < 2_000_000 && off+int64(len(body)) > 2_000_000 && flipped.CompareAndSwap(false, true) {
			body[2_000_000-off] ^= 0x10
		}
		return len(body)
	}
	src := plainTree()
	h, info := s.serve(t, src)
	dir := freshDir(t)
	stats, err := extract(t, h, info.Ref, dir, ExtractOptions{})
	if err != nil {
		t.Fatal(err)
	}
	sameTree(t, src, dir)
	if stats.Refetched != 1 {
		t.Errorf("%d frames were fetched again, want 1", stats.Refetched)
	}
}

func TestBitFlippedEveryTimeIsAnError(t *testing.T) {
	s := &server{}
	s.mangle = func(off int64, body []byte) int {
		if at := 2_000_000 - off; at >= 0 && at < int64(len(body)) {
			body[at] ^= 0x10
		}
		return len(body)
	}
	h, info := s.serve(t, plainTree())
	dir := freshDir(t)
	_, err := extract(t, h, info.Ref, dir, ExtractOptions{})
	if err == nil || !strings.Contains(err.Error(), "/lib/") || !strings.Contains(err.Error(), "chunk at") {
		t.Fatalf("want an error that names file and chunk, got %v", err)
	}
	if n := s.requests.Load(); n != 3+maxRefetch {
		t.Errorf("%d requests, want %d", n, 3+maxRefetch)
	}
}

func TestAnswersThatEndItAtOnce(t *testing.T) {
	data, info := mustWrite(t, plainTree(), Options{})
	status := func(code int) http.HandlerFunc {
		return func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(code) }
	}
	ranged := func(contentRange, etag string) http.HandlerFunc {
		return func(w http.ResponseWriter, r *http.Request) {
			if contentRange == "" {
				var from, to int64
				_, _ = fmt.Sscanf(r.Header.Get("Range"), "bytes=%d-%d", &from, &to)
				contentRange = fmt.Sprintf("bytes %d-%d/*", from, to)
			}
			w.Header().Set("Content-Range", contentRange)
			w.Header().Set("ETag", etag)
			w.WriteHeader(http.StatusPartialContent)
		}
	}
	for name, test := range map[string]struct {
		handler http.HandlerFunc
		want    string
	}{
		"not there":        {status(404), "404"},
		"not allowed":      {status(403), "403"},
		"no ranges":        {func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write(data) }, "does not serve ranges"},
		"shorter":          {status(416), "the pack is shorter"},
		"other range":      {ranged("bytes 0-47/1000", ""), "Content-Range"},
		"no range":         {ranged("nonsense", ""), "nonsense"},
		"another pack":     {ranged("", `"sha256:0000"`), "sha256:0000"},
		"redirect to file": {func(w http.ResponseWriter, r *http.Request) { http.Redirect(w, r, "file:///etc/passwd", 302) }, "file"},
	} {
		t.Run(name, func(t *testing.T) {
			var requests atomic.Int64
			srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				requests.Add(1)
				test.handler(w, r)
			}))
			defer srv.Close()
			retry := quick
			if name == "redirect to file" { // an error of the client itself, which looks like any other error
				retry.Patience = time.Nanosecond
			}
			h := &HTTP{URL: srv.URL, Client: srv.Client(), Digest: info.Digest, Retry: retry}
			_, err := Fetch(t.Context(), h, info.Ref)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("got %v, want an error with %q", err, test.want)
			}
			if n := requests.Load(); n != 1 {
				t.Errorf("%d requests, want 1", n)
			}
		})
	}
}

func TestPackReplacedWhileItIsRead(t *testing.T) {
	s := &server{}
	h, info := s.serve(t, plainTree())
	s.etag = `"abc"`
	toc, err := Fetch(t.Context(), h, info.Ref)
	if err != nil {
		t.Fatal(err)
	}
	s.etag = `"def"`
	_, err = Extract(t.Context(), h, toc, freshDir(t), ExtractOptions{})
	if err == nil || !strings.Contains(err.Error(), "replaced") {
		t.Errorf("got %v", err)
	}
}

func TestPatienceEnds(t *testing.T) {
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(503) }))
	defer srv.Close()
	retry := quick
	retry.Patience = 20 * time.Millisecond
	h := &HTTP{URL: srv.URL, Client: srv.Client(), Retry: retry}
	_, err := h.Range(t.Context(), 0, 10)
	if err == nil || !strings.Contains(err.Error(), "at byte 0") || !strings.Contains(err.Error(), "503") {
		t.Errorf("got %v", err)
	}
}

// TestBusyServerIsAskedWhenItWants: a server that says how long it wants a client to stay away
// is asked no earlier, and once more before patience ends.
func TestBusyServerIsAskedWhenItWants(t *testing.T) {
	for name, test := range map[string]struct {
		after            string
		earliest, latest time.Duration // of the second request
		patience         time.Duration
	}{
		"half a minute":        {"30", 30 * time.Second, 45 * time.Second, time.Minute},
		"longer than patience": {"50", 20 * time.Second, 20 * time.Second, 20 * time.Second},
		"no number":            {"soon", 0, time.Second, time.Minute},
	} {
		synctest.Test(t, func(t *testing.T) {
			s := &server{data: make([]byte, 10)}
			begun, asked := time.Now(), []time.Duration(nil)
			retry := quick
			retry.Patience = test.patience
			h := &HTTP{URL: "http://server", Retry: retry, Client: &http.Client{Transport: transport(func(r *http.Request) (*http.Response, error) {
				w := httptest.NewRecorder()
				if asked = append(asked, time.Since(begun)); len(asked) == 1 {
					w.Header().Set("Retry-After", test.after)
					w.WriteHeader(http.StatusServiceUnavailable)
				} else {
					s.ServeHTTP(w, r)
				}
				return w.Result(), nil
			})}}
			body, err := h.Range(t.Context(), 0, 10)
			if err != nil {
				t.Fatalf("%s: %v", name, err)
			}
			body.Close()
			if len(asked) != 2 || asked[1] < test.earliest || asked[1] > test.latest {
				t.Errorf("%s: the server was asked after %s", name, asked)
			}
		})
	}
}

type transport func(*http.Request) (*http.Response, error)

func (f transport) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }

func TestCancelEndsWaiting(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		w.WriteHeader(503)
		cancel()
	}))
	defer srv.Close()
	h := &HTTP{URL: srv.URL, Client: srv.Client(), Retry: Retry{Wait: time.Hour, MaxWait: time.Hour}}
	if _, err := h.Range(ctx, 0, 10); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestWrongDigest(t *testing.T) {
	s := &server{}
	h, info := s.serve(t, plainTree())
	h.Digest = ""
	want := Ref{Digest: digest{}.String(), Size: info.Size}
	_, err := Fetch(t.Context(), h, want)
	if err == nil || !strings.Contains(err.Error(), want.Digest) || !strings.Contains(err.Error(), info.Digest) {
		t.Errorf("got %v", err)
	}
}

// shortRanger ends a stream early without an error.
type shortRanger struct {
	Local
	cut int64
}

func (s shortRanger) Range(ctx context.Context, off, n int64) (io.ReadCloser, error) {
	return s.Local.Range(ctx, off, max(0, min(n, s.cut-off)))
}

func TestStreamCutShortIsAnError(t *testing.T) {
	data, info := mustWrite(t, plainTree(), Options{})
	whole := Local{bytes.NewReader(data)}
	toc, err := Fetch(t.Context(), whole, info.Ref)
	if err != nil {
		t.Fatal(err)
	}
	disk := freshDir(t)
	last := toc.frames[len(toc.frames)-1].end
	for _, cut := range []int64{0, 1, last / 3, last - 1} {
		_, err := Extract(t.Context(), shortRanger{whole, cut}, toc, subDir(t, disk), ExtractOptions{})
		if !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("cut at %d of %d: %v", cut, last, err)
		}
	}
}
