package tftp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"
)

// aLongTimeAgo is a deadline that wakes whoever reads.
var aLongTimeAgo = time.Unix(1, 0)

// Serve answers requests until ctx ends, and then returns nil once every
// transfer has ended: those under way are broken off, which takes at most the
// time that a silent client is given, Timeout × (Retries + 1). Any other end
// is an error. Conn is closed in either case.
func (s *Server) Serve(ctx context.Context) error {
	if s.Conn == nil {
		return errors.New("serve TFTP: no connection given; set Server.Conn to a UDP socket")
	}
	defer s.Conn.Close()
	if s.FS == nil {
		return errors.New("serve TFTP: no files given; set Server.FS")
	}
	running, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	err := newService(running, cancel, *s).run()
	if ctx.Err() != nil {
		return nil
	}
	return fmt.Errorf("serve TFTP on %v: %w", s.Conn.LocalAddr(), cmp.Or(context.Cause(running), err))
}

// service is a server that runs. Its fields are those of the Server, with
// defaults filled in, and what the transfers under way have in common.
type service struct {
	Server
	ctx   context.Context
	fail  context.CancelCauseFunc
	group errgroup.Group
	bound netip.Addr // Conn's address, or invalid if it has every one
	*admission
	handed  handed
	inboxes inboxes
}

func newService(ctx context.Context, fail context.CancelCauseFunc, s Server) *service {
	if s.Log == nil {
		s.Log = slog.New(slog.DiscardHandler)
	}
	if s.Observe == nil {
		s.Observe = func(Transfer) {}
	}
	s.MaxWindow = orDefault(s.MaxWindow, DefaultMaxWindow)
	s.MaxTransfers = orDefault(s.MaxTransfers, DefaultMaxTransfers)
	s.MaxPerHost = orDefault(s.MaxPerHost, DefaultMaxPerHost)
	s.MaxBlockSize = max(orDefault(s.MaxBlockSize, maxBlockSize), minBlockSize)
	s.Timeout = orDefault(s.Timeout, DefaultTimeout)
	s.Retries = orDefault(s.Retries, DefaultRetries)
	v := &service{Server: s, ctx: ctx, fail: fail, admission: newAdmission(s.MaxTransfers, s.MaxPerHost)}
	if a := addrPortOf(s.Conn.LocalAddr()).Addr(); !a.IsUnspecified() {
		v.bound = a
	}
	return v
}

func orDefault[T int | time.Duration](v, def T) T {
	if v <= 0 {
		return def
	}
	return v
}

// run reads requests and sends files until the context ends and everything
// that it started has ended too.
func (s *service) run() error {
	g := &gate{PacketConn: s.Conn, service: s, drained: make(chan struct{}), closed: make(chan struct{})}
	stop := context.AfterFunc(s.ctx, func() { s.Conn.SetReadDeadline(aLongTimeAgo) })
	defer stop()
	lockstep := s.newLockstep(g)
	s.group.Go(func() error {
		defer g.drain()
		err := lockstep.Serve(g)
		s.fail(err)
		return err
	})
	s.group.Go(func() error {
		// Shutdown waits for transfers, so none may begin beside it.
		<-g.drained
		lockstep.Shutdown()
		return nil
	})
	return s.group.Wait()
}

// handed are the jobs that lie with the lock-step library between its socket
// read and its handler, by the name they go under there.
type handed struct {
	mu   sync.Mutex
	jobs map[string]*job
}

func (h *handed) put(id string, j *job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.jobs == nil {
		h.jobs = make(map[string]*job)
	}
	h.jobs[id] = j
}

// take removes and returns a job, or nil.
func (h *handed) take(id string) *job {
	h.mu.Lock()
	defer h.mu.Unlock()
	j := h.jobs[id]
	delete(h.jobs, id)
	return j
}
