//go:build linux

package lane

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// patience ends a test that hangs; nothing waits for it otherwise.
const patience = time.Minute

// bed is one handler behind two servers: with a lane, and without.
type bed struct {
	lane       *Listener
	with, bare string // their addresses
	taken      atomic.Int64
	large      string        // a file
	waits      chan struct{} // a handler waits
	goOn       chan struct{} // and ends /look
	ended      chan error    // of the context of a request for /wait
}

func newBed(t testing.TB, limit time.Duration) *bed {
	t.Helper()
	b := &bed{large: filepath.Join(t.TempDir(), "large"), waits: make(chan struct{}, 1), goOn: make(chan struct{}, 1), ended: make(chan error, 1)}
	if err := os.WriteFile(b.large, bytes.Repeat([]byte("0123456789abcdef"), 1<<16), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, lane := range []bool{true, false} {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		server := &http.Server{Handler: b.handler(t), ReadHeaderTimeout: limit, IdleTimeout: limit}
		if b.bare = l.Addr().String(); lane {
			b.with = b.bare
			b.lane = Listen(t.Context(), l, server)
			l = b.lane
		}
		served := make(chan struct{})
		go func() { defer close(served); _ = server.Serve(l) }()
		t.Cleanup(func() {
			_ = server.Close()
			<-served
			if lane {
				b.lane.Abort()
				b.lane.Shutdown(context.Background()) // all of its goroutines end
			}
		})
	}
	return b
}

func (b *bed) handler(t testing.TB) http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /small", func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/octet-stream")
		w.Header().Set("Cache-Control", "public, max-age=31536000, immutable")
		w.Header().Set("ETag", `"sha256:5"`)
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader("a small file"))
	})
	mux.HandleFunc("GET /dated", func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "x.txt", time.Unix(1e9, 0), strings.NewReader("a dated file"))
	})
	mux.HandleFunc("GET /large", func(w http.ResponseWriter, r *http.Request) {
		f, err := os.Open(b.large)
		if err != nil {
			t.Error(err)
			return
		}
		defer f.Close()
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, f)
	})
	mux.HandleFunc("GET /memory", func(w http.ResponseWriter, r *http.Request) { // longer than a buffer
		w.Header().Set("Content-Type", "application/octet-stream")
		http.ServeContent(w, r, "", time.Time{}, strings.NewReader(strings.Repeat("memory!", 30000)))
	})
	for path, answer := range map[string]func(http.ResponseWriter){
		"/error":     func(w http.ResponseWriter) { http.Error(w, "there is nothing", http.StatusNotFound) },
		"/busy":      func(w http.ResponseWriter) { w.Header().Set("Connection", "close"); http.Error(w, "busy", 503) },
		"/silent":    func(http.ResponseWriter) {},
		"/none":      func(w http.ResponseWriter) { w.WriteHeader(http.StatusNoContent) },
		"/unchanged": func(w http.ResponseWriter) { w.Header().Set("Content-Type", "x/y"); w.WriteHeader(304) },
		"/odd":       func(w http.ResponseWriter) { w.WriteHeader(299); io.WriteString(w, "odd") },
		"/untyped":   func(w http.ResponseWriter) { io.WriteString(w, "<html>"); io.WriteString(w, "text") },
		"/full":      func(w http.ResponseWriter) { w.Write(make([]byte, 2048)) },
		"/long":      func(w http.ResponseWriter) { w.Write(bytes.Repeat([]byte("long "), 1000)) },
		"/length":    func(w http.ResponseWriter) { w.Header().Set("Content-Length", "4"); io.WriteString(w, "four") },
		"/short":     func(w http.ResponseWriter) { w.Header().Set("Content-Length", "9"); io.WriteString(w, "five") },
		"/over": func(w http.ResponseWriter) {
			w.Header().Set("Content-Length", "4")
			io.WriteString(w, "four")
			if _, err := io.WriteString(w, "more"); !errors.Is(err, http.ErrContentLength) {
				t.Errorf("more than the length: %v", err)
			}
		},
		"/wrong": func(w http.ResponseWriter) { w.Header().Set("Content-Length", "x"); io.WriteString(w, "body") },
		"/lines": func(w http.ResponseWriter) {
			w.Header().Set("X", "a\r\nb")
			w.Header().Set("a", " b ")
			io.WriteString(w, "body")
		},
		"/late": func(w http.ResponseWriter) {
			w.WriteHeader(200)
			w.Header().Set("X", "late")
			io.WriteString(w, "body")
		},
		"/broken": func(http.ResponseWriter) { panic(http.ErrAbortHandler) },
	} {
		mux.HandleFunc("GET "+path, func(w http.ResponseWriter, _ *http.Request) { answer(w) })
	}
	mux.HandleFunc("GET /wait", func(w http.ResponseWriter, r *http.Request) {
		done := r.Context().Done()
		b.waits <- struct{}{}
		<-done
		b.ended <- r.Context().Err()
	})
	mux.HandleFunc("GET /look", func(w http.ResponseWriter, r *http.Request) {
		_ = r.Context().Done()
		b.waits <- struct{}{}
		<-b.goOn
		io.WriteString(w, "looked")
	})
	mux.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) {
		addr, _ := r.Context().Value(http.LocalAddrContextKey).(net.Addr)
		_, at := r.Context().Value(http.ServerContextKey).(*http.Server)
		fmt.Fprintln(w, r.Method, r.URL, r.RequestURI, r.Proto, r.Host, r.Header, r.ContentLength, addr != nil, at, r.RemoteAddr != "", r.TLS)
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if _, in := w.(*answer); in {
			b.taken.Add(1)
		}
		mux.ServeHTTP(w, r)
	})
}

func dial(t testing.TB, at string) *net.TCPConn {
	t.Helper()
	conn, err := net.Dial("tcp", at)
	if err == nil {
		err = conn.SetDeadline(time.Now().Add(patience))
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	return conn.(*net.TCPConn)
}

var dateLine = regexp.MustCompile(`Date: [^\r]*\r\n`)

// ask sends what a client says, which then ends its side, and returns all that the
// server says, without the date.
func ask(t testing.TB, at, text string) string {
	t.Helper()
	conn := dial(t, at)
	defer conn.Close()
	_, err := io.WriteString(conn, text)
	if err == nil {
		err = conn.CloseWrite()
	}
	said, readErr := io.ReadAll(conn)
	if errors.Is(readErr, os.ErrDeadlineExceeded) {
		t.Fatalf("%q is not answered: %v, %v", text, err, readErr)
	}
	return dateLine.ReplaceAllString(string(said), "Date\r\n")
}

// plainRequests are answered by the lane.
var plainRequests = []string{
	"GET /small HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /small HTTP/1.1\r\nHost: 10.0.0.1:80\r\n\r\n",
	"GET /small HTTP/1.1\r\nConnection: keep-alive\r\nUser-Agent: iPXE/1.21.1+ (gd7e3)\r\nHost: 10.0.0.1\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: 10.0.0.1\r\nAccept: */*\r\nUser-Agent: UefiHttpBoot/1.0\r\n\r\n",
	"GET /large HTTP/1.1\r\nHost: [fd77::1]:80\r\nUser-Agent: GRUB 2.06\r\nRange: bytes=100-\r\n\r\n",
	"GET /large HTTP/1.1\r\nhost: x\r\nuser-agent: Go-http-client/1.1\r\nAccept-Encoding: gzip\r\n\r\n",
	"GET /large HTTP/1.1\r\nHost: x\r\nRange: bytes=1048570-1048579\r\n\r\n",
	"GET /large HTTP/1.1\r\nHost: x\r\nRange: bytes=99999999-\r\n\r\n",
	"HEAD /large HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nRange: bytes=2-4\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nRange: bytes=-3\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nRange: furlongs=1\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nRange: bytes=2-4\r\nIf-Range: \"sha256:5\"\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nRange: bytes=2-4\r\nIf-Range: \"another\"\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"sha256:5\"\r\n\r\n",
	"HEAD /small HTTP/1.1\r\nHost: x\r\nIf-None-Match: \"sha256:5\"\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nIf-Match: \"another\"\r\n\r\n",
	"GET /dated HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /dated HTTP/1.1\r\nHost: x\r\nIf-Modified-Since: Sun, 09 Sep 2001 01:46:40 GMT\r\n\r\n",
	"GET /dated HTTP/1.1\r\nHost: x\r\nIf-Unmodified-Since: Sun, 09 Sep 2000 01:46:40 GMT\r\n\r\n",
	"GET /memory HTTP/1.1\r\nHost: x\r\n\r\n", "GET /memory HTTP/1.1\r\nHost: x\r\nRange: bytes=7-199999\r\n\r\n",
	"GET /error HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /error HTTP/1.1\r\nHost: x\r\n\r\n", "GET /busy HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /silent HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /silent HTTP/1.1\r\nHost: x\r\n\r\n", "GET /none HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /unchanged HTTP/1.1\r\nHost: x\r\n\r\n", "GET /odd HTTP/1.1\r\nHost: x\r\n\r\n", "GET /untyped HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /untyped HTTP/1.1\r\nHost: x\r\n\r\n", "GET /full HTTP/1.1\r\nHost: x\r\n\r\n", "GET /long HTTP/1.1\r\nHost: x\r\n\r\n",
	"HEAD /long HTTP/1.1\r\nHost: x\r\n\r\n", "GET /length HTTP/1.1\r\nHost: x\r\n\r\n", "HEAD /length HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /short HTTP/1.1\r\nHost: x\r\n\r\n", "GET /over HTTP/1.1\r\nHost: x\r\n\r\n", "GET /wrong HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /lines HTTP/1.1\r\nHost: x\r\n\r\n", "GET /late HTTP/1.1\r\nHost: x\r\n\r\n", "GET /broken HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer abc\r\nAccept: \r\n\r\n", "GET /a/../b//c/. HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /boot/52:54:00:00:00:01/script HTTP/1.1\r\nHost: x\r\n\r\n",
}

// otherRequests are left to the server.
var otherRequests = []string{
	"GET /small HTTP/1.0\r\n\r\n", "GET /small HTTP/1.0\r\nHost: x\r\nConnection: keep-alive\r\n\r\n", "GET /small HTTP/1.1\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: \r\n\r\n", "GET /small HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "GET /small HTTP/1.1\r\nHost: x y\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n", "GET /small HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "GET /small HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "GET /small HTTP/1.1\r\nHost: x\r\nExpect: 100-continue\r\n\r\n",
	"POST /small HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nabc", "GET http://x/small HTTP/1.1\r\nHost: x\r\n\r\n", "GET //small HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /sm%61ll HTTP/1.1\r\nHost: x\r\n\r\n", "GET /small?x=1 HTTP/1.1\r\nHost: x\r\n\r\n", "GET * HTTP/1.1\r\nHost: x\r\n\r\n", "GET  /small HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /small HTTP/1.1 \r\nHost: x\r\n\r\n", "GET /small HTTP/2.0\r\nHost: x\r\n\r\n", "get /small HTTP/1.1\r\nHost: x\r\n\r\n",
	"GET /small HTTP/1.1\nHost: x\n\n", "GET /small HTTP/1.1\r\nHost : x\r\n\r\n", "GET /small HTTP/1.1\r\nHost: x\r\n folded: y\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nAccept: a\x00b\r\n\r\n", "GET /small HTTP/1.1\r\nHost: x\r\nAccept:  two\r\n\r\n", "GET /small HTTP/1.1\r\nHost: x\r\nX-Unknown: y\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\nRange: bytes=0-1\r\nRange: bytes=3-4\r\n\r\n", "GET /small HTTP/1.1\r\nHost: x\r\nPragma: no-cache\r\n\r\n",
	"GET /small HTTP/1.1\r\nHost: x\r\n\r\nGET /dated HTTP/1.1\r\nHost: x\r\n\r\n", "GET /small HTTP/1.1\r\nHost: x\r\n", "\r\nGET /small HTTP/1.1\r\nHost: x\r\n\r\n", "GET", "\x16\x03\x01",
	"GET /small HTTP/1.1\r\nHost: x\r\nUser-Agent: " + strings.Repeat("long", 1000) + "\r\n\r\n",
}

// TestSameAnswers: a lane changes no byte of any answer but the date.
func TestSameAnswers(t *testing.T) {
	b := newBed(t, patience)
	for want, requests := range map[int64][]string{1: plainRequests, 0: otherRequests} {
		for _, text := range requests {
			b.taken.Store(0)
			with, bare := ask(t, b.with, text), ask(t, b.bare, text)
			if with != bare {
				t.Errorf("%.200q:\nwith a lane %.600q\nwithout     %.600q", text, with, bare)
			}
			if got := b.taken.Load(); got != want {
				t.Errorf("%.200q: the lane took %d, want %d", text, got, want)
			}
		}
	}
}

// FuzzSameAnswers is the same for whatever a client may send.
func FuzzSameAnswers(f *testing.F) {
	for _, text := range append(plainRequests, otherRequests...) {
		f.Add(text)
	}
	b := newBed(f, time.Second)
	f.Fuzz(func(t *testing.T, text string) {
		if strings.Contains(text, "wait") || strings.Contains(text, "look") || strings.Contains(text, ",") { // these have no end, and a boundary at random
			return
		}
		if with, bare := ask(t, b.with, text), ask(t, b.bare, text); with != bare {
			t.Errorf("%q:\nwith a lane %q\nwithout     %q", text, with, bare)
		}
	})
}

// FuzzParse: what is plain is the same to net/http.
func FuzzParse(f *testing.F) {
	for _, text := range append(plainRequests, otherRequests...) {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, head []byte) {
		got, plain := parse(head)
		if !plain {
			return
		}
		rest := bytes.NewReader(head)
		in := bufio.NewReader(rest)
		want, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("%q is plain, and %v", head, err)
		}
		if in.Buffered() > 0 || rest.Len() > 0 || !reflect.DeepEqual(got, want) {
			t.Errorf("%q:\nis  %+v\nnot %+v", head, want, got)
		}
	})
}

// TestKeptConnection: one connection has many requests, of which the server gets
// those from the first that is not plain on.
func TestKeptConnection(t *testing.T) {
	b := newBed(t, patience)
	conn := dial(t, b.with)
	in := bufio.NewReader(conn)
	for i, path := range []string{"/small", "/large", "/error", "/untyped", "/long", "/small?", "/small"} {
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatalf("request %d, %s: %v", i, path, err)
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			t.Errorf("request %d, %s: %v", i, path, err)
		}
	}
	if got := b.taken.Load(); got != 5 {
		t.Errorf("the lane took %d requests, want 5", got)
	}
}

// TestHeadsInParts are left to the server, and so are its rules for slow clients.
func TestHeadsInParts(t *testing.T) {
	b := newBed(t, 200*time.Millisecond)
	conn := dial(t, b.with)
	if _, err := io.WriteString(conn, "GET /small HT"); err != nil {
		t.Fatal(err)
	}
	if said, err := io.ReadAll(conn); err != nil && !errors.Is(err, io.EOF) || b.taken.Load() != 0 {
		t.Errorf("half a head: %q, %v; the lane took %d", said, err, b.taken.Load())
	}
}

// TestOneBoundOfTheFirstHead: the time of a client that sends half a head counts from
// the beginning of its connection, and not again from when the server gets it.
func TestOneBoundOfTheFirstHead(t *testing.T) {
	ours, theirs := net.Pipe()
	defer ours.Close()
	defer theirs.Close()
	under := &deadlines{Conn: ours}
	first, later := time.Now().Add(time.Minute), time.Now().Add(time.Hour)
	c := &readAhead{Conn: under, first: first}
	for _, until := range []time.Time{later, later, {}} { // of the head, of the body, of the wait for the next request
		if err := c.SetReadDeadline(until); err != nil {
			t.Fatal(err)
		}
	}
	if want := []time.Time{first, later, {}}; !reflect.DeepEqual(under.set, want) {
		t.Errorf("the deadlines are %v, want %v", under.set, want)
	}

	l := &Listener{conns: make(chan accepted, 1), first: time.Minute}
	given := &conn{Conn: under, lane: l, first: first}
	given.giveAway([]byte("GET"))
	if err := (<-l.conns).conn.SetReadDeadline(later); err != nil {
		t.Fatal(err)
	}
	if got := under.set[len(under.set)-1]; !got.Equal(first) {
		t.Errorf("the server may read the head until %v, want %v", got, first)
	}
}

// deadlines notes the read deadlines of a connection.
type deadlines struct {
	net.Conn
	set []time.Time
}

func (d *deadlines) SetReadDeadline(t time.Time) error {
	d.set = append(d.set, t)
	return d.Conn.SetReadDeadline(t)
}

func (*deadlines) ReadFrom(io.Reader) (int64, error)     { return 0, errors.ErrUnsupported }
func (*deadlines) SyscallConn() (syscall.RawConn, error) { return nil, errors.ErrUnsupported }

// TestSilentConnections end.
func TestSilentConnections(t *testing.T) {
	b := newBed(t, time.Millisecond)
	if said, err := io.ReadAll(dial(t, b.with)); len(said) > 0 || err != nil {
		t.Errorf("a silent connection: %q, %v", said, err)
	}
}

// TestHangUp ends the context of a request.
func TestHangUp(t *testing.T) {
	b := newBed(t, patience)
	conn := dial(t, b.with)
	if _, err := io.WriteString(conn, "GET /wait HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-b.waits
	conn.Close()
	select {
	case err := <-b.ended:
		if !errors.Is(err, context.Canceled) {
			t.Errorf("the context ended with %v", err)
		}
	case <-time.After(patience):
		t.Error("a handler waits for a client that is gone")
	}
	if b.taken.Load() != 1 {
		t.Error("the lane did not take it")
	}
}

// TestRequestWhileOneWaits: the byte that the watch for the end of a client reads is
// the first of its next request.
func TestRequestWhileOneWaits(t *testing.T) {
	b := newBed(t, patience)
	conn := dial(t, b.with)
	in := bufio.NewReader(conn)
	for _, path := range []string{"/look", "/small"} {
		if _, err := fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: x\r\n\r\n", path); err != nil {
			t.Fatal(err)
		}
		if path == "/look" {
			<-b.waits
		} else {
			b.goOn <- struct{}{}
		}
	}
	for _, want := range []string{"looked", "a small file"} {
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(answer.Body); string(got) != want || err != nil {
			t.Errorf("got %q, %v; want %q", got, err, want)
		}
	}
}

// TestWatchEnds: a connection goes on in the lane after a handler has watched it.
func TestWatchEnds(t *testing.T) {
	b := newBed(t, patience)
	conn := dial(t, b.with)
	in := bufio.NewReader(conn)
	for range 3 {
		if _, err := io.WriteString(conn, "GET /look HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		<-b.waits
		b.goOn <- struct{}{}
		answer, err := http.ReadResponse(in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := io.ReadAll(answer.Body); string(got) != "looked" || err != nil {
			t.Errorf("got %q, %v", got, err)
		}
	}
	if got := b.taken.Load(); got != 3 {
		t.Errorf("the lane took %d requests, want 3", got)
	}
}

// TestHangUpInAFile: the handler returns, and the connection is let go.
func TestHangUpInAFile(t *testing.T) {
	b := newBed(t, patience)
	if err := os.Truncate(b.large, 1<<32); err != nil {
		t.Fatal(err)
	}
	conn := dial(t, b.with)
	if _, err := io.WriteString(conn, "GET /large HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if _, err := io.CopyN(io.Discard, conn, 1<<20); err != nil {
		t.Fatal(err)
	}
	conn.Close()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	defer stop()
	b.lane.Shutdown(ctx) // waits for the handler
	if ctx.Err() != nil {
		t.Error("a file is sent to a client that is gone")
	}
}

// TestShutdown: a request that is under way gets its answer, which says that it is
// the last one, and connections without a request end.
func TestShutdown(t *testing.T) {
	b := newBed(t, patience)
	silent, used, busy := dial(t, b.with), dial(t, b.with), dial(t, b.with)
	in := bufio.NewReader(used)
	if _, err := io.WriteString(used, "GET /small HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	if answer, err := http.ReadResponse(in, nil); err != nil {
		t.Fatal(err)
	} else if _, err := io.Copy(io.Discard, answer.Body); err != nil {
		t.Fatal(err)
	}
	if _, err := io.WriteString(busy, "GET /look HTTP/1.1\r\nHost: x\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	<-b.waits
	for range 2 { // the server does it as well
		if err := b.lane.Close(); err != nil {
			t.Error(err)
		}
	}
	down := make(chan struct{})
	go func() { b.lane.Shutdown(t.Context()); close(down) }()
	for _, idle := range []net.Conn{silent, used} {
		if said, err := io.ReadAll(idle); len(said) > 0 || err != nil {
			t.Errorf("an idle connection ends with %q, %v", said, err)
		}
	}
	select {
	case <-down:
		t.Error("the lane did not wait for a request")
	default:
	}
	b.goOn <- struct{}{}
	if said, err := io.ReadAll(busy); err != nil || !strings.Contains(string(said), "Connection: close\r\n") || !strings.HasSuffix(string(said), "looked") {
		t.Errorf("the last answer: %q, %v", said, err)
	}
	<-down
}
