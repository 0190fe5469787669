//go:build linux

package httpserver

import (
	"errors"
	"io"
	"net"
	"net/netip"
	"os"
	"sync"
	"sync/atomic"
	"time"
)

// Bounds of the connections of a TCP listener.
const (
	// MaxConnections is how many there may be at a time; further ones wait. Those
	// from addresses at which no machine of the site is may take half of it.
	MaxConnections = 8192
	// MaxPerSource is how many may come from one address (of IPv6, from one
	// network of 64 bits). A machine needs a handful; many machines may share an
	// address behind a router or an HTTP proxy.
	MaxPerSource = 256
	// A client must take writePiece bytes within WriteTimeout, or else its
	// connection ends.
	writePiece   = 256 << 10
	WriteTimeout = time.Minute
)

// Busy is the answer to a connection that is one too many.
const Busy = "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 5\r\nContent-Type: text/plain\r\n\r\n" +
	"too many connections are open already, from this address or from others that the site does not know: close some, and try again\n"

// Limits bounds the connections of a listener. Total must be more than 0. Other zero fields
// mean no bound.
type Limits struct {
	Total     int // at a time; further connections wait
	PerSource int // from one address at a time; further ones are refused
	// Known, if not nil, says whether a machine of the site is at an address.
	Known func(netip.Addr) bool
	Write time.Duration // for each piece that a client takes
	// Refused, if not nil, is called with the address of each connection that
	// was refused.
	Refused func(netip.Addr)
	// Answer is what such a connection gets before it is closed.
	Answer string
}

// Limit bounds the connections of a TCP listener. They stay TCP
// connections, so that files are sent with sendfile(2). A general wrapper of
// net.Conn would prevent that.
func Limit(l net.Listener, bounds Limits) net.Listener {
	return &limitListener{
		Listener: l, Limits: bounds, room: make(chan struct{}, bounds.Total), closed: make(chan struct{}),
		held: make(map[netip.Prefix]int),
	}
}

type limitListener struct {
	net.Listener
	Limits
	room   chan struct{}
	once   sync.Once
	closed chan struct{}

	mu        sync.Mutex
	held      map[netip.Prefix]int // connections by their source
	strangers int                  // connections from addresses that are not known
}

// Accept waits for room, and then for a connection of a source that has not too
// many. Others are answered and closed.
func (l *limitListener) Accept() (net.Conn, error) {
	select {
	case l.room <- struct{}{}:
	case <-l.closed:
		return nil, net.ErrClosed
	}
	for {
		conn, err := l.Listener.Accept()
		if err != nil {
			<-l.room
			return nil, err
		}
		source, stranger := l.sourceOf(conn.RemoteAddr())
		if !l.enter(source, stranger) {
			l.turnAway(conn, source)
			continue
		}
		leave := sync.OnceFunc(func() { l.leave(source, stranger); <-l.room })
		if tcp, ok := conn.(*net.TCPConn); ok {
			return &limitedTCP{TCPConn: tcp, write: l.Write, leave: leave}, nil
		}
		return &limitedConn{conn, leave}, nil
	}
}

// sourceOf is what counts as one source of connections, and whether that is a
// stranger. A host of IPv6 may have all addresses of its network, so all strangers of a
// network are one source. A machine of the site is one by itself.
func (l *limitListener) sourceOf(a net.Addr) (source netip.Prefix, stranger bool) {
	at, err := netip.ParseAddrPort(a.String())
	if err != nil { // a Unix socket: all of them are one source
		return netip.Prefix{}, l.Known != nil && !l.Known(netip.Addr{})
	}
	addr := at.Addr().Unmap().WithZone("")
	stranger = l.Known != nil && !l.Known(addr)
	bits := addr.BitLen()
	if addr.Is6() && (stranger || l.Known == nil) {
		bits = 64
	}
	source, _ = addr.Prefix(bits) // the number of bits is right
	return source, stranger
}

func (l *limitListener) enter(source netip.Prefix, stranger bool) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	// Each address may have one connection: a machine is not known before its first request.
	if l.PerSource > 0 && l.held[source] >= l.PerSource || stranger && l.strangers >= l.Total/2 && l.held[source] > 0 {
		return false
	}
	l.held[source]++
	if stranger {
		l.strangers++
	}
	return true
}

func (l *limitListener) leave(source netip.Prefix, stranger bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if stranger {
		l.strangers--
	}
	if l.held[source]--; l.held[source] == 0 {
		delete(l.held, source)
	}
}

// turnAway answers a connection and closes it. The answer fits the buffer of any
// fresh connection, so this does not wait.
func (l *limitListener) turnAway(conn net.Conn, source netip.Prefix) {
	_ = conn.SetWriteDeadline(time.Now().Add(time.Second))
	_, _ = io.WriteString(conn, l.Answer)
	_ = conn.Close()
	if l.Refused != nil {
		l.Refused(source.Addr())
	}
}

// Close also ends an Accept that waits for room.
func (l *limitListener) Close() error {
	l.once.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// limitedTCP ends when its client takes nothing for too long. It keeps the
// methods of a TCP connection. ReadFrom is the one that uses sendfile(2).
type limitedTCP struct {
	*net.TCPConn
	write time.Duration // 0 means for ever
	leave func()
	until atomic.Int64 // the deadline that extend set, as time since the program began; 0 if there is none
}

// Write writes, each piece within a deadline of its own.
func (c *limitedTCP) Write(b []byte) (written int, err error) {
	for {
		if err := c.extend(); err != nil {
			return written, err
		}
		n, err := c.TCPConn.Write(b[written:min(len(b), written+writePiece)])
		written += n
		if err != nil || written == len(b) {
			return written, err
		}
	}
}

// ReadFrom sends what it reads, each piece within a deadline of its own. A file is
// sent by the kernel.
func (c *limitedTCP) ReadFrom(r io.Reader) (sent int64, err error) {
	rest := &io.LimitedReader{R: r, N: 1<<63 - 1}
	if bounded, ok := r.(*io.LimitedReader); ok { // sendfile takes one limit, and not two
		rest = bounded
	}
	if f, ok := rest.R.(*os.File); ok {
		sent, err = c.sendWholeFile(f, rest.N)
		rest.N -= sent
		return sent, err
	}
	for rest.N > 0 {
		if err := c.extend(); err != nil {
			return sent, err
		}
		piece := &io.LimitedReader{R: rest.R, N: min(rest.N, writePiece)}
		n, err := c.TCPConn.ReadFrom(piece)
		sent += n
		rest.N -= n
		if err != nil || piece.N > 0 { // with something left of the piece, the reader has ended
			return sent, err
		}
	}
	return sent, nil
}

// extend gives the client time for the next piece, and a little more. Until that little
// is over, the same deadline does for further pieces: setting one for each would cost
// much of a short answer.
func (c *limitedTCP) extend() error {
	if c.write == 0 {
		return nil
	}
	slack := min(c.write/8, time.Second)
	now := time.Now()
	if c.until.Load() > int64(now.Sub(began)+c.write) {
		return nil
	}
	until := now.Add(c.write + slack)
	if err := c.TCPConn.SetWriteDeadline(until); err != nil {
		return err
	}
	c.until.Store(int64(until.Sub(began)))
	return nil
}

// began is what deadlines are counted from.
var began = time.Now()

// SetWriteDeadline sets a deadline that holds until the next write.
func (c *limitedTCP) SetWriteDeadline(t time.Time) error {
	c.until.Store(0)
	return c.TCPConn.SetWriteDeadline(t)
}

// SetDeadline sets both deadlines.
func (c *limitedTCP) SetDeadline(t time.Time) error {
	return errors.Join(c.SetReadDeadline(t), c.SetWriteDeadline(t))
}

func (c *limitedTCP) Close() error {
	defer c.leave()
	return c.TCPConn.Close()
}

type limitedConn struct {
	net.Conn
	leave func()
}

func (c *limitedConn) Close() error {
	defer c.leave()
	return c.Conn.Close()
}
