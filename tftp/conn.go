package tftp

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// clientConn carries the datagrams of one download. Only the download's own
// goroutine uses it.
type clientConn interface {
	// send sends one datagram to the client.
	send(p []byte) error
	// receive waits for the client's next datagram. It returns
	// os.ErrDeadlineExceeded if none comes in time, and errStopping once the
	// server is to stop.
	receive(p []byte, wait time.Duration) (int, error)
	close()
}

var (
	_ clientConn = (*polledPort)(nil)
	_ clientConn = (*inbox)(nil)
)

// connect opens the way to a download's client and returns it with the MTU of
// the path in bytes.
func (s *service) connect(d *download) (clientConn, int, error) {
	socket, err := dial(s.bound, d.remote)
	if err != nil {
		return nil, 0, err
	}
	mtu, err := pathMTU(socket, d.remote.Addr().Is6())
	if err != nil {
		socket.Close()
		return nil, 0, fmt.Errorf("find the MTU of the path to %v: %w", d.remote, err)
	}
	if s.shared != nil {
		socket.Close() // the kernel was only asked for the route
		return s.shared.open(s.ctx, d.remote, d.addr), mtu, nil
	}
	if d.window > 1 {
		return newPolledPort(s.ctx, socket), mtu, nil
	}
	own, err := newLockstepPort(s.ctx, socket, s.limits.timeout, &s.polls)
	if err != nil {
		socket.Close()
		return nil, 0, err
	}
	return own, mtu, nil
}

// dial opens a socket for one download (RFC 1350 section 4). It is connected,
// so that the kernel drops what others send to it and reports when the client
// has closed its port.
func dial(from netip.Addr, remote netip.AddrPort) (*net.UDPConn, error) {
	var local *net.UDPAddr
	if from.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	return net.DialUDP("udp", local, net.UDPAddrFromAddrPort(remote))
}

// What stands before a block in a packet, in bytes: IP, UDP and TFTP headers.
const (
	overhead4 = 20 + 8 + headerLen
	overhead6 = 40 + 8 + headerLen
)

// largestBlock is the largest block in bytes that needs no fragments on a
// path, within MaxBlockSize. It is never below what every client takes, unless
// MaxBlockSize is.
func (s *service) largestBlock(remote netip.AddrPort, mtu int) int {
	overhead := overhead4
	if remote.Addr().Is6() {
		overhead = overhead6
	}
	n := min(max(mtu-overhead, defaultBlockSize), maxBlockSize)
	if s.MaxBlockSize > 0 {
		n = min(n, max(s.MaxBlockSize, minBlockSize))
	}
	return n
}

// addrPortOf is an address in the one form in which this package compares and
// reports addresses, or the zero value if it is not a UDP address.
func addrPortOf(a net.Addr) netip.AddrPort {
	u, ok := a.(*net.UDPAddr)
	if !ok {
		return netip.AddrPort{}
	}
	ap := u.AddrPort()
	return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
}

// polledPort is a download's own socket, waited for by Go's poller.
type polledPort struct {
	ctx    context.Context
	socket *net.UDPConn
	stop   func() bool
}

// newPolledPort takes the socket over.
func newPolledPort(ctx context.Context, socket *net.UDPConn) *polledPort {
	stop := context.AfterFunc(ctx, func() { socket.SetReadDeadline(aLongTimeAgo) })
	return &polledPort{ctx, socket, stop}
}

func (o *polledPort) send(p []byte) error {
	_, err := o.socket.Write(p)
	return err
}

func (o *polledPort) receive(p []byte, wait time.Duration) (int, error) {
	if err := o.socket.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return 0, err
	}
	// This deadline may have replaced the one that ends the download, so
	// look at the context after setting it.
	if o.ctx.Err() != nil {
		return 0, errStopping
	}
	n, err := o.socket.Read(p)
	if o.ctx.Err() != nil {
		return 0, errStopping
	}
	return n, err
}

func (o *polledPort) close() {
	o.stop()
	o.socket.Close()
}

// sharedPort is the server's own socket in use for all downloads. What
// clients send to it goes to the inbox of their download.
type sharedPort struct {
	conn    net.PacketConn
	mu      sync.Mutex
	inboxes map[netip.AddrPort]*inbox // of the downloads under way only
}

// inboxSize is how many of a client's packets wait for its download to read
// them. Clients send one for each window.
const inboxSize = 8

// inbox is a download's part of a shared port.
type inbox struct {
	ctx     context.Context
	port    *sharedPort
	remote  netip.AddrPort
	addr    net.Addr
	packets chan []byte
}

func (p *sharedPort) open(ctx context.Context, remote netip.AddrPort, addr net.Addr) *inbox {
	in := &inbox{ctx, p, remote, addr, make(chan []byte, inboxSize)}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.inboxes == nil {
		p.inboxes = make(map[netip.AddrPort]*inbox)
	}
	p.inboxes[remote] = in
	return in
}

// deliver puts an acknowledgement or error into its download's inbox, and says
// whether there is one. A full inbox drops the packet, as a network would.
func (p *sharedPort) deliver(remote netip.AddrPort, packet []byte) bool {
	if op := opcode(packet); op != opAck && op != opError {
		return false
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	in, ok := p.inboxes[remote]
	if ok {
		select {
		case in.packets <- append([]byte(nil), packet...):
		default:
		}
	}
	return ok
}

func (in *inbox) send(p []byte) error {
	_, err := in.port.conn.WriteTo(p, in.addr)
	return err
}

func (in *inbox) receive(p []byte, wait time.Duration) (int, error) {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case packet := <-in.packets:
		return copy(p, packet), nil
	case <-timer.C:
		return 0, os.ErrDeadlineExceeded
	case <-in.ctx.Done():
		return 0, errStopping
	}
}

func (in *inbox) close() {
	in.port.mu.Lock()
	defer in.port.mu.Unlock()
	delete(in.port.inboxes, in.remote)
}
