package tftp

import (
	"errors"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"
)

const (
	// windowBytes bounds what one transfer has under way, so that it does
	// not outrun a receiver's buffer (Linux gives a socket 208 KiB).
	windowBytes = 128 << 10
	// maxReadErrors is how many reads in a row may fail, as they do for
	// moments when memory is short, before the socket is held to be broken.
	maxReadErrors = 16
)

// gate is the socket as the lock-step library sees it. It hands out only the
// requests that are for that library, already admitted and in plain form;
// what the library would get wrong never reaches it.
type gate struct {
	net.PacketConn
	*service

	buf    [maxRequest + headerLen + 1]byte
	nextID uint64
	lastID string // the request handed out by the latest ReadFrom

	drainOnce sync.Once
	drained   chan struct{} // closed once no further request comes
	closeOnce sync.Once
	closed    chan struct{}
}

// ReadFrom waits for a request that the lock-step library shall serve. Only
// the library's one reading goroutine calls it.
func (g *gate) ReadFrom(p []byte) (int, net.Addr, error) {
	g.lastID = ""
	for failures := 0; ; {
		n, addr, err := g.PacketConn.ReadFrom(g.buf[:])
		if g.ctx.Err() != nil {
			g.drain()
			<-g.closed
			return 0, nil, net.ErrClosed
		}
		if err != nil {
			if failures++; failures == maxReadErrors || errors.Is(err, net.ErrClosed) {
				g.fail(err)
			}
			continue
		}
		failures = 0
		if packet := g.receive(g.buf[:n], addr); packet != nil {
			return copy(p, packet), addr, nil
		}
	}
}

// Close ends the library's reading. The socket itself stays open for the
// transfers that still use it: Serve closes it.
func (g *gate) Close() error {
	g.closeOnce.Do(func() { close(g.closed) })
	return nil
}

func (g *gate) drain() { g.drainOnce.Do(func() { close(g.drained) }) }

// LocalAddr is the socket's address without a zone, which the library could
// not read.
func (g *gate) LocalAddr() net.Addr {
	ap := addrPortOf(g.PacketConn.LocalAddr())
	return net.UDPAddrFromAddrPort(netip.AddrPortFrom(ap.Addr().WithZone(""), ap.Port()))
}

// receive decides what becomes of one packet. It returns the request that
// the lock-step library shall see, or nil.
func (g *gate) receive(packet []byte, addr net.Addr) []byte {
	remote := addrPortOf(addr)
	if !answerable(remote) || g.inboxes.deliver(remote, packet) {
		return nil
	}
	r, err := parseRequest(packet)
	if errors.Is(err, errNotRequest) {
		return nil // to answer garbage would help whoever forged its source
	}
	j := &job{request: r, remote: remote, addr: addr, began: time.Now()}
	if err != nil {
		g.refuse(j, err)
		return nil
	}
	j.flow = flow{remote: remote, request: string(packet)}
	if g.SinglePort {
		j.flow.request = ""
	}
	if !g.admits(j) {
		return nil
	}
	return g.dispatch(j)
}

// answerable says whether a datagram to remote can reach one client.
func answerable(remote netip.AddrPort) bool {
	a := remote.Addr()
	return remote.IsValid() && remote.Port() != 0 && !a.IsUnspecified() && !a.IsMulticast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// refuse tells the client why its request was not even tried.
func (g *gate) refuse(j *job, err error) {
	if r, ok := errors.AsType[*refusal](err); ok {
		g.PacketConn.WriteTo(r.packet(), j.addr)
	}
	g.report(j, 0, 0, err)
}

// admits takes a place for a job, or says no, to the log only.
func (g *gate) admits(j *job) bool {
	v := g.admit(j.flow)
	if v == newlyFull {
		g.Log.Warn("tftp: too many transfers at once, requests wait until some have ended",
			"remote", j.remote, "name", j.name, "max", g.MaxTransfers, "maxPerHost", g.MaxPerHost)
	}
	return v == admitted
}

// dispatch chooses who sends a job's file and starts it.
func (g *gate) dispatch(j *job) []byte {
	to, err := findRoute(j.remote)
	if err != nil {
		g.finish(j, 0, 0, err)
		return nil
	}
	g.clamp(&j.request, to)
	if g.isLockstep(j.request, to) {
		g.nextID++
		g.lastID = strconv.FormatUint(g.nextID, 10)
		g.handed.put(g.lastID, j)
		return j.packet(g.lastID)
	}
	if g.SinglePort {
		g.inboxes.open(j.remote)
	}
	g.group.Go(func() error {
		g.sendWindowed(g.ctx, j)
		return nil
	})
	return nil
}

// clamp lowers what a client asked for to what is allowed and sound.
func (g *gate) clamp(r *request, to route) {
	if r.blksize > 0 {
		r.blksize = min(r.blksize, to.blockSize(), g.MaxBlockSize)
	}
	if r.window > 0 {
		r.window = min(r.window, g.MaxWindow, max(windowBytes/r.blockSize(), 1))
	}
}

// isLockstep says whether the library can serve a request: it knows no
// windows and no blocks below 512 bytes, and sends from the address that the
// route has, which need not be the one that the client asked.
func (g *gate) isLockstep(r request, to route) bool {
	return !g.SinglePort && r.window == 0 && r.blockSize() >= defaultBlockSize &&
		(!g.bound.IsValid() || g.bound.WithZone("") == to.source.WithZone(""))
}

// handBack ends the job that the library could not start, for want of a
// socket. It is called by the goroutine that calls ReadFrom.
func (g *gate) handBack(err error) {
	if j := g.handed.take(g.lastID); j != nil {
		g.finish(j, 0, 0, err)
	}
}
