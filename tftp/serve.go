package tftp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxReadErrors is how many reads of the socket may fail one after the
	// other before it is taken for broken. Single reads fail when the kernel
	// is short of memory.
	maxReadErrors = 16
	// readErrorPause is how long to wait after the first failed read. The
	// wait grows by as much with each further one, to a second in all.
	readErrorPause = 8 * time.Millisecond
)

// aLongTimeAgo is a deadline that ends a read at once.
var aLongTimeAgo = time.Unix(1, 0)

// Serve answers requests until ctx ends. It then breaks off the downloads
// under way, waits for their goroutines, and returns nil. If the socket breaks
// it does the same and returns an error. Conn is closed in either case.
func (s *Server) Serve(ctx context.Context) error {
	if s.Conn == nil {
		return errors.New("serve TFTP: no connection given; set Server.Conn to a UDP socket")
	}
	defer s.Conn.Close()
	if s.FS == nil {
		return errors.New("serve TFTP: no files given; set Server.FS")
	}
	running, stop := context.WithCancel(ctx)
	defer stop()
	v := newService(running, *s)
	err := v.receiveRequests()
	stop()
	v.downloads.Wait()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve TFTP on %v: %w", s.Conn.LocalAddr(), err)
}

// service is a running server: a Server with its defaults filled in, and what
// its downloads share.
type service struct {
	Server
	ctx       context.Context
	bound     netip.Addr // Conn's address, or invalid if Conn has all of the host's
	places    *admission
	shared    *sharedPort // nil unless SinglePort
	downloads sync.WaitGroup
	polls     atomic.Int32 // downloads that poll for an answer now
}

func newService(ctx context.Context, s Server) *service {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Observe == nil {
		s.Observe = func(Transfer) {}
	}
	s.limits = s.limits.withDefaults()
	v := &service{Server: s, ctx: ctx, places: newAdmission(s.limits.transfers, s.limits.perHost)}
	if a := addrPortOf(s.Conn.LocalAddr()).Addr(); !a.IsUnspecified() {
		v.bound = a
	}
	if s.SinglePort {
		v.shared = &sharedPort{conn: s.Conn}
	}
	return v
}

// receiveRequests reads the socket until the context ends or the socket
// breaks, and returns the error of the last read.
func (s *service) receiveRequests() error {
	stop := context.AfterFunc(s.ctx, func() { s.Conn.SetReadDeadline(aLongTimeAgo) })
	defer stop()
	buf := make([]byte, maxRequest+headerLen+1)
	for failures := 0; ; {
		n, addr, err := s.Conn.ReadFrom(buf)
		switch {
		case s.ctx.Err() != nil || errors.Is(err, net.ErrClosed):
			return err
		case err == nil:
			failures = 0
			s.survive(func() { s.receive(buf[:n], addr) })
			continue
		}
		if failures++; failures == maxReadErrors {
			return err
		}
		s.Log.Warn("tftp: reading the socket failed, trying again", "error", err, "failures", failures)
		pause(s.ctx, time.Duration(failures)*readErrorPause)
	}
}

func pause(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}

// receive decides what to do with one datagram.
func (s *service) receive(packet []byte, addr net.Addr) {
	remote := addrPortOf(addr)
	if !answerable(remote) || s.shared != nil && s.shared.deliver(remote, packet) {
		return
	}
	r, err := parseRequest(packet)
	if errors.Is(err, errNotRequest) {
		return // an answer would help those who forge source addresses
	}
	d := &download{request: r, remote: remote, addr: addr, began: time.Now()}
	if err != nil {
		s.refuse(d, err)
		return
	}
	d.place = place{remote: remote, request: string(packet)}
	if s.SinglePort {
		d.place.request = ""
	}
	switch s.places.admit(d.place) {
	case admitted:
		s.downloads.Go(func() { s.run(d) })
	case newlyFull:
		s.Log.Warn("tftp: too many downloads at once, requests wait until some have ended",
			"remote", remote, "name", r.name, "max", s.limits.transfers, "maxPerHost", s.limits.perHost)
	}
}

// answerable says whether a datagram to remote can reach one client.
func answerable(remote netip.AddrPort) bool {
	a := remote.Addr()
	return remote.IsValid() && remote.Port() != 0 && !a.IsUnspecified() && !a.IsMulticast() &&
		a != netip.AddrFrom4([4]byte{255, 255, 255, 255})
}

// refuse tells the client why the server does not even look for its file.
func (s *service) refuse(d *download, err error) {
	if r, ok := errors.AsType[*refusal](err); ok {
		s.Conn.WriteTo(r.packet(), d.addr)
	}
	s.report(d, err)
}

// panicked is a panic as an error.
type panicked struct {
	value any
	stack []byte
}

func (p *panicked) Error() string { return fmt.Sprintf("the server has a fault: panic: %v", p.value) }

// catch runs f and returns its panic as a *panicked, so that a fault met by
// one client does not end the server for all of them.
func catch(f func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = &panicked{v, debug.Stack()}
		}
	}()
	return f()
}

// survive runs f and logs its panic, if there is one.
func (s *service) survive(f func()) {
	err := catch(func() error { f(); return nil })
	if p, ok := errors.AsType[*panicked](err); ok {
		s.Log.Error("tftp: going on after a fault in the server", "error", p, "stack", string(p.stack))
	}
}
