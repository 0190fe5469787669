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
	// slack is how much later than it should a deadline may pass, so that it need not be
	// set anew for each request.
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
	c.ctx = context.WithValue(l.ctx, http.LocalAddrContextKey, plain.LocalAddr())
	c.once = c.readOnce
	return c, nil
}

// serve answers plain requests. At the end the connection is closed, or the server
// has it.
func (c *conn) serve() {
	for wait := c.lane.first; ; wait = c.lane.idle {
		n, err := c.receive(wait)
		if err != nil || n == 0 || !c.state.CompareAndSwap(idle, active) {
			c.release()
			c.Close()
			return
		}
		r, plain := parse(c.head[:n])
		if !plain {
			c.giveAway(c.head[:n])
			return
		}
		rest, keep := c.handle(r)
		c.release()
		switch {
		case !keep:
			c.hangUp()
			return
		case len(rest) > 0:
			c.giveAway(rest)
			return
		case !c.state.CompareAndSwap(active, idle) || c.lane.stopping.Load():
			c.Close()
			return
		}
	}
}

// receive reads what there is of the next request. It waits without a buffer.
func (c *conn) receive(wait time.Duration) (int, error) {
	if now := time.Now(); wait > 0 && c.until.Before(now.Add(wait)) {
		c.until = now.Add(wait + slack)
		if err := c.SetReadDeadline(c.until); err != nil {
			return 0, err
		}
	}
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

// giveAway gives the connection to the server, with bytes that were read of it.
func (c *conn) giveAway(read []byte) {
	c.state.Store(gone)
	kept := append([]byte(nil), read...)
	c.release()
	if c.SetReadDeadline(time.Time{}) != nil {
		c.Close()
		return
	}
	c.lane.handOver(&readAhead{c.Conn, kept}, nil)
}

// hangUp ends a connection after an answer. A client that is still sending would
// lose what it has not read of the answer, if the connection were closed at once. Such
// one is left to the server, which knows how to wait.
func (c *conn) hangUp() { c.Close() }

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
	return nil, c.answer.finish()
}

// readAhead is a connection of which something was read.
type readAhead struct {
	Conn
	read []byte
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
