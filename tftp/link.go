package tftp

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"time"
)

// link carries one transfer's datagrams to and from its client.
type link interface {
	write(p []byte) error
	// read waits for the client's next datagram until the deadline
	// (os.ErrDeadlineExceeded) or the end of the context (errStopping).
	read(ctx context.Context, p []byte, deadline time.Time) (int, error)
	close()
}

var (
	_ link = (*ownPort)(nil)
	_ link = (*sharedPort)(nil)
)

// link makes the link for a job, of the kind that the server is set to.
func (s *service) link(ctx context.Context, j *job) (link, error) {
	if s.SinglePort {
		return &sharedPort{conn: s.Conn, addr: j.addr, in: s.inboxes.get(j.remote)}, nil
	}
	return dial(ctx, s.bound, j.remote)
}

// ownPort is a socket for one transfer (RFC 1350 section 4). It is connected,
// so that the kernel drops what others send to it and tells when the client
// has closed its port.
type ownPort struct {
	*net.UDPConn
	stop func() bool
}

func dial(ctx context.Context, from netip.Addr, remote netip.AddrPort) (*ownPort, error) {
	var local *net.UDPAddr
	if from.IsValid() {
		local = net.UDPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	conn, err := net.DialUDP("udp", local, net.UDPAddrFromAddrPort(remote))
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { conn.SetReadDeadline(aLongTimeAgo) })
	return &ownPort{conn, stop}, nil
}

func (l *ownPort) write(p []byte) error {
	_, err := l.Write(p)
	return err
}

func (l *ownPort) read(ctx context.Context, p []byte, deadline time.Time) (int, error) {
	if err := l.SetReadDeadline(deadline); err != nil {
		return 0, err
	}
	// The deadline just set may have undone the one that ends the transfer,
	// so ask for that after setting it.
	if ctx.Err() != nil {
		return 0, errStopping
	}
	n, err := l.Read(p)
	if ctx.Err() != nil {
		return 0, errStopping
	}
	return n, err
}

func (l *ownPort) close() {
	l.stop()
	l.Close()
}

// sharedPort sends from the server's own socket; the gate sorts what comes
// back into the transfer's inbox.
type sharedPort struct {
	conn net.PacketConn
	addr net.Addr
	in   <-chan []byte
}

func (l *sharedPort) write(p []byte) error {
	_, err := l.conn.WriteTo(p, l.addr)
	return err
}

func (l *sharedPort) read(ctx context.Context, p []byte, deadline time.Time) (int, error) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	select {
	case packet := <-l.in:
		return copy(p, packet), nil
	case <-timer.C:
		return 0, os.ErrDeadlineExceeded
	case <-ctx.Done():
		return 0, errStopping
	}
}

func (l *sharedPort) close() {}

// inboxSize is how many of a client's packets wait for its transfer; more
// than a window's worth of acknowledgements never matters.
const inboxSize = 8

// inboxes sort the packets of a single port by client. There is one for each
// transfer under way and none else.
type inboxes struct {
	mu    sync.Mutex
	boxes map[netip.AddrPort]chan []byte
}

func (b *inboxes) open(remote netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.boxes == nil {
		b.boxes = make(map[netip.AddrPort]chan []byte)
	}
	b.boxes[remote] = make(chan []byte, inboxSize)
}

func (b *inboxes) get(remote netip.AddrPort) <-chan []byte {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.boxes[remote]
}

func (b *inboxes) close(remote netip.AddrPort) {
	b.mu.Lock()
	defer b.mu.Unlock()
	delete(b.boxes, remote)
}

// deliver says whether a packet belongs to a transfer under way, and puts it
// into its inbox. A full inbox loses it, as a network would.
func (b *inboxes) deliver(remote netip.AddrPort, packet []byte) bool {
	if op := opcode(packet); op != opAck && op != opError {
		return false
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	box, ok := b.boxes[remote]
	if ok {
		select {
		case box <- append([]byte(nil), packet...):
		default:
		}
	}
	return ok
}
