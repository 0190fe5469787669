//go:build linux

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

// The states of a connection.
const (
	idle   int32 = iota // it waits for a request
	active              // a request is under way
	gone                // the lane has no more to do with it
)

const (
	// maxHead is how many bytes the head of a plain request has at most.
	maxHead = 2 << 10
	// slack is how much longer than its limit a connection may be idle. A deadline that is
	// set this much later holds for all requests of a second.
	slack = time.Second
)

// heads are buffers of maxHead bytes. A connection has one only while it has a
// request.
var heads = sync.Pool{New: func() any { return new([maxHead]byte) }}

// conn is a connection in the lane.
type conn struct {
	Conn
	lane   *Listener
	raw    syscall.RawConn
	ctx    context.Context
	remote string
	state  atomic.Int32
	until  time.Time // the read deadline
	first  time.Time // when the head of the first request must have come; zero if that may take for ever
	answer answer    // of the request that is under way

	// read is what readOnce returns to receive.
	head *[maxHead]byte
	n    int
	err  error
	once func(fd uintptr) bool
}

func newConn(l *Listener, plain Conn) (*conn, error) {
	raw, err := plain.SyscallConn()
	if err != nil {
		return nil, err
	}
	c := &conn{Conn: plain, lane: l, raw: raw, remote: plain.RemoteAddr().String()}
	if l.first > 0 {
		c.first = time.Now().Add(l.first)
	}
	c.ctx = context.WithValue(l.ctx, http.LocalAddrContextKey, plain.LocalAddr())
	c.once = c.readOnce
	return c, nil
}

// serve answers plain requests. At the end the connection is closed, or the server
// has it.
//
// A connection that ends with an answer is closed at once, as net/http does after a
// request without a body: there is nothing left that the client would still be sending.
func (c *conn) serve() {
	err := c.SetReadDeadline(c.first)
	for c.until = c.first; err == nil; err = c.extend() {
		n, err := c.receive()
		if err != nil || n == 0 || !c.state.CompareAndSwap(idle, active) {
			break
		}
		r, plain := parse(c.head[:n])
		if !plain {
			c.giveAway(c.head[:n])
			return
		}
		c.first = time.Time{}
		rest, keep := c.handle(r)
		c.release()
		if keep && len(rest) > 0 {
			c.giveAway(rest)
			return
		}
		if !keep || !c.state.CompareAndSwap(active, idle) || c.lane.stopping.Load() {
			break
		}
	}
	c.release()
	c.Close()
}

// extend gives the client time for the next request.
func (c *conn) extend() error {
	now := time.Now()
	until := now.Add(c.lane.idle + slack)
	switch {
	case c.lane.idle <= 0 && c.until.IsZero(), c.lane.idle > 0 && c.until.After(now.Add(c.lane.idle)) && c.until.Before(until):
		return nil
	case c.lane.idle <= 0:
		until = time.Time{} // for ever
	}
	c.until = until
	return c.SetReadDeadline(until)
}

// receive reads what there is of the next request. It waits without a buffer.
func (c *conn) receive() (int, error) {
	if err := c.raw.Read(c.once); err != nil {
		return 0, err
	}
	return c.n, c.err
}

// readOnce reads once, and reports whether that brought something.
func (c *conn) readOnce(fd uintptr) bool {
	head := heads.Get().(*[maxHead]byte)
	for {
		c.n, c.err = syscall.Read(int(fd), head[:])
		if c.err != syscall.EINTR {
			break
		}
	}
	if c.err == syscall.EAGAIN {
		heads.Put(head)
		return false
	}
	c.head = head
	return true
}

// release gives the buffer back.
func (c *conn) release() {
	if c.head != nil {
		heads.Put(c.head)
		c.head = nil
	}
}

// giveAway gives the connection to the server, with bytes that were read of it. If
// they begin the first request, the server gets only what is left of the time for its
// head.
func (c *conn) giveAway(read []byte) {
	c.state.Store(gone)
	kept := append([]byte(nil), read...)
	c.release()
	if c.SetReadDeadline(time.Time{}) != nil {
		c.Close()
		return
	}
	c.lane.handOver(&readAhead{Conn: c.Conn, read: kept, first: c.first}, nil)
}

// closeIdle closes a connection that has no request under way.
func (c *conn) closeIdle() {
	if c.state.CompareAndSwap(idle, gone) {
		c.Close()
	}
}

// handle has the handler answer a request. It returns what the client sent after it,
// as far as that was read, and whether the connection goes on.
func (c *conn) handle(r *http.Request) (rest []byte, keep bool) {
	watch := &watch{Context: c.ctx, conn: c}
	r.RemoteAddr = c.remote
	r = r.WithContext(watch)
	c.answer.begin(c, r)
	defer func() {
		rest = watch.end()
		if recover() != nil { // the server's handler has logged it, and wants the connection to end
			c.answer.drop()
			keep = false
		}
	}()
	c.lane.handler.ServeHTTP(&c.answer, r)
	watch.end() // before the answer's last bytes: after these the next request may come, which is the lane's
	return nil, c.answer.finish()
}

// readAhead is a connection of which something was read.
type readAhead struct {
	Conn
	read  []byte
	first time.Time // when the head of the first request must have come; zero if there is no such bound
}

// SetReadDeadline implements [net.Conn]. The server's first deadline is the one for the
// head of a request. It begins when the server gets the connection, and a client that
// was silent before would have that time twice.
func (c *readAhead) SetReadDeadline(t time.Time) error {
	if !c.first.IsZero() && (t.IsZero() || c.first.Before(t)) {
		t = c.first
	}
	c.first = time.Time{}
	return c.Conn.SetReadDeadline(t)
}

// Read implements [io.Reader].
func (c *readAhead) Read(p []byte) (int, error) {
	if len(c.read) == 0 {
		return c.Conn.Read(p)
	}
	n := copy(p, c.read)
	if c.read = c.read[n:]; len(c.read) == 0 {
		c.read = nil
	}
	return n, nil
}

// CloseWrite is what [http.Server] ends its side of a connection with.
func (c *readAhead) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return nil
}

var _ io.ReaderFrom = (*readAhead)(nil)
var _ net.Conn = (*readAhead)(nil)

// watch is the context of a request. It ends with the handler, and as soon as the
// client hangs up. That is looked for only once somebody asks for Done.
type watch struct {
	context.Context
	conn *conn

	mu      sync.Mutex
	done    context.Context // nil until somebody asks
	cancel  context.CancelFunc
	stopped bool
	looked  chan struct{} // closed when look has returned
	read    []byte
}

// Done implements [context.Context].
func (w *watch) Done() <-chan struct{} {
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.done == nil {
		w.done, w.cancel = context.WithCancel(w.Context)
		if w.stopped {
			w.cancel()
			return w.done.Done()
		}
		w.looked = make(chan struct{})
		if w.conn.SetReadDeadline(time.Time{}) != nil {
			w.cancel()
		}
		go w.look()
	}
	return w.done.Done()
}

// Err implements [context.Context].
func (w *watch) Err() error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.done != nil:
		return w.done.Err()
	case w.stopped:
		return context.Canceled
	}
	return w.Context.Err()
}

// look waits for the end of the client, or for the next request, which ends the look.
func (w *watch) look() {
	defer close(w.looked)
	next := make([]byte, 1)
	n, err := w.conn.Conn.Read(next)
	w.mu.Lock()
	defer w.mu.Unlock()
	if w.read = next[:n]; err != nil && !w.stopped {
		w.cancel()
	}
}

// end ends the context, and returns what look has read.
func (w *watch) end() []byte {
	w.mu.Lock()
	w.stopped = true
	looks := w.looked != nil
	if looks {
		_ = w.conn.SetReadDeadline(time.Unix(1, 0)) // look returns; it fails only if the connection is gone
	}
	w.mu.Unlock()
	if looks {
		<-w.looked
		w.cancel()
		w.conn.until = time.Unix(1, 0)
	}
	return w.read
}
