//go:build linux

// Package httpserver serves HTTP within bounds: of connections, of the time that a client
// takes, of the threads that send files; and it ends with its handlers. It knows nothing of
// what is served. Package lane may answer plain requests before net/http, see [Serve]. Start reading at [Serve] and [Limit].
package httpserver

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"runtime/debug"
	"sync"
	"time"

	"cloudlets/cmd/cloudlets/daemon/lane"
)

// Limits of the HTTP servers.
const (
	headerTimeout = 20 * time.Second
	// bodyTimeout is how long the body of a request may take.
	bodyTimeout = 30 * time.Second
	idleTimeout = 2 * time.Minute
	maxHeader   = 64 << 10 // bytes
	// ShutdownLimit is how long requests may go on after the server begins
	// to stop.
	ShutdownLimit = 3 * time.Second
)

// New is an HTTP server whose requests are bounded in size and time. A panic of its handler
// costs one request, and is a line in the log.
func New(h http.Handler, log *slog.Logger) *http.Server {
	return &http.Server{
		Handler: boundBodies(logPanics(h, log), bodyTimeout), ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog: slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
}

// boundBodies bounds the time in which a request's body must come. The server
// reads what a handler leaves of it, so this holds for every request.
func boundBodies(h http.Handler, limit time.Duration) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.ContentLength != 0 {
			body := &boundBody{r.Body, http.NewResponseController(w)}
			body.until(time.Now().Add(limit))
			r.Body = body
		}
		h.ServeHTTP(w, r)
	})
}

// boundBody is a body with a deadline, which ends with the body: the server
// watches the connection while the handler works, and would take the deadline
// for the end of the client.
type boundBody struct {
	io.ReadCloser
	control *http.ResponseController
}

func (b *boundBody) until(t time.Time) {
	_ = b.control.SetReadDeadline(t) // fails only for a connection that is gone
}

// Read implements [io.Reader].
func (b *boundBody) Read(p []byte) (int, error) {
	n, err := b.ReadCloser.Read(p)
	if err == io.EOF {
		b.until(time.Time{})
	}
	return n, err
}

// logPanics has a panic of a handler cost one request, and logs it as an error
// with its stack. What net/http itself logs is mostly about clients that break
// off, so it is logged for debugging only.
func logPanics(h http.Handler, log *slog.Logger) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer func() {
			switch p := recover(); p {
			case nil:
			case http.ErrAbortHandler: // a handler's own way to break off
				panic(p)
			default:
				log.Error("a request was given up: this program has a fault", "method", r.Method, "path", r.URL.Path, "panic", p, "stack", string(debug.Stack()))
				panic(http.ErrAbortHandler) // the connection ends, as after any panic
			}
		}()
		h.ServeHTTP(w, r)
	})
}

// Serve serves until ctx ends. It then gives running requests the time grace
// to finish, and breaks them off after that. When Serve returns, all
// handlers have returned and l is closed.
//
// Requests of TCP connections go through a [lane] if quick says so. Its handlers get
// no [http.ResponseController].
func Serve(ctx context.Context, l net.Listener, server *http.Server, grace time.Duration, quick bool) error {
	requests, abort := context.WithCancel(context.WithoutCancel(ctx))
	defer abort()
	server.BaseContext = func(net.Listener) context.Context { return requests }
	var handlers handlerGate
	server.Handler = handlers.guard(server.Handler)
	end, abortPlain := func(context.Context) {}, func() {}
	if quick {
		plain := lane.Listen(requests, l, server)
		l, end, abortPlain = plain, plain.Shutdown, plain.Abort
	}

	served := make(chan error, 1)
	go func() { served <- server.Serve(l) }()
	var err error
	select {
	case err = <-served:
	case <-ctx.Done():
		limit, stop := context.WithTimeout(requests, grace)
		defer stop()
		ended := make(chan struct{})
		go func() { end(limit); close(ended) }()
		_ = server.Shutdown(limit) // Close ends what Shutdown could not
		<-served
		<-ended
	}
	// The connections end first. Otherwise, a handler that ends with its context could
	// still send an answer, which would look finished.
	err = errors.Join(err, server.Close())
	abortPlain()
	abort()
	handlers.shut()
	return err
}

// handlerGate counts running handlers and can wait for them, which
// [http.Server.Close] does not.
type handlerGate struct{ running sync.RWMutex }

// guard refuses requests that come after shut.
func (g *handlerGate) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !g.running.TryRLock() {
			http.Error(w, "the server is being stopped", http.StatusServiceUnavailable)
			return
		}
		defer g.running.RUnlock()
		next.ServeHTTP(w, r)
	})
}

// shut waits for running handlers, and keeps others from starting.
func (g *handlerGate) shut() { g.running.Lock() }
