//go:build linux

// Package lane answers plain HTTP requests at a fraction of what net/http spends on
// each, with the same handler and the same bytes.
//
// A [Listener] stands between a listener and an [http.Server]. It reads the head of
// each request itself. If that is one that it understands completely (see parse), it
// calls the server's handler and writes the answer. Everything else goes to the
// server, as a connection that still has all of its bytes: other methods, bodies,
// HTTP/1.0, headers that are not on a short list, a head that comes in parts, and
// requests that are sent ahead of their time. A connection that went to the server
// stays there. So the lane decides nothing about a request but who reads it.
//
// What is saved: net/http starts a goroutine for each request that watches for the
// end of the client, sets deadlines three times, and has buffers for a connection
// that has nothing to say. The lane watches only while a handler waits for the end
// of its context, and sets a deadline once a second.
package lane

import (
	"context"
	"io"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// Conn is a connection that the lane can serve. Its ReadFrom should send files with
// sendfile(2).
type Conn interface {
	net.Conn
	io.ReaderFrom
	syscall.Conn
}

// Listener accepts connections for an [http.Server], and answers plain requests
// before the server sees them. Its Accept returns the connections with other ones.
type Listener struct {
	net.Listener
	handler http.Handler
	ctx     context.Context // of all requests
	// first is how long a new connection may be silent, idle how long one may be
	// between two requests.
	first, idle time.Duration

	conns    chan accepted
	closed   chan struct{}
	close    sync.Once
	closing  error // what Close returns
	begin    sync.Once
	stopping atomic.Bool
	serving  sync.WaitGroup // a count for each connection in the lane

	mu   sync.Mutex
	open map[*conn]struct{} // nil when the lane was shut
}

// accepted is what Accept returns.
type accepted struct {
	conn net.Conn
	err  error
}

// Listen puts a lane before a server, which is about to serve the listener that is
// returned. The handler is that of the server, and the lane takes its time limits
// from there. ctx is the parent of the contexts of all requests in the lane.
func Listen(ctx context.Context, l net.Listener, server *http.Server) *Listener {
	return &Listener{
		Listener: l, handler: server.Handler, ctx: context.WithValue(ctx, http.ServerContextKey, server),
		first: server.ReadHeaderTimeout, idle: server.IdleTimeout,
		conns: make(chan accepted), closed: make(chan struct{}), open: map[*conn]struct{}{},
	}
}

// Accept returns the next connection that the lane does not serve.
func (l *Listener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.accept() })
	select {
	case a := <-l.conns:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

// Close closes the listener below. Connections in the lane go on. The server closes it,
// too, when it is told that there will be no more connections; only the first call counts.
func (l *Listener) Close() error {
	l.close.Do(func() {
		close(l.closed)
		l.closing = l.Listener.Close()
	})
	return l.closing
}

// accept takes connections into the lane. The server is told of errors: it knows
// which of them pass, and waits.
func (l *Listener) accept() {
	for {
		next, err := l.Listener.Accept()
		if err != nil {
			if !l.handOver(nil, err) {
				return
			}
			continue
		}
		plain, ok := next.(Conn)
		if !ok {
			l.handOver(next, nil)
			continue
		}
		c, err := l.enter(plain)
		if err != nil {
			next.Close()
			continue
		}
		go func() {
			defer l.leave(c)
			c.serve()
		}()
	}
}

// handOver gives a connection, or an error, to the server. It reports whether there
// is still a server.
func (l *Listener) handOver(c net.Conn, err error) bool {
	select {
	case l.conns <- accepted{c, err}:
		return true
	case <-l.closed:
		if c != nil {
			c.Close()
		}
		return false
	}
}

func (l *Listener) enter(plain Conn) (*conn, error) {
	c, err := newConn(l, plain)
	if err != nil {
		return nil, err
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.open == nil || l.stopping.Load() {
		return nil, net.ErrClosed
	}
	l.open[c] = struct{}{}
	l.serving.Add(1)
	return c, nil
}

func (l *Listener) leave(c *conn) {
	l.mu.Lock()
	delete(l.open, c)
	l.mu.Unlock()
	l.serving.Done()
}

// Shutdown closes connections that have no request, and waits until the other ones
// have got their answers, or for the end of ctx. The listener must be closed before.
func (l *Listener) Shutdown(ctx context.Context) {
	l.mu.Lock()
	l.stopping.Store(true)
	for c := range l.open {
		c.closeIdle()
	}
	l.mu.Unlock()
	served := make(chan struct{})
	go func() { l.serving.Wait(); close(served) }()
	select {
	case <-served:
	case <-ctx.Done():
	}
}

// Abort closes all connections in the lane. Their handlers may still run.
func (l *Listener) Abort() {
	l.mu.Lock()
	defer l.mu.Unlock()
	for c := range l.open {
		c.Close()
	}
	l.open = nil
}
