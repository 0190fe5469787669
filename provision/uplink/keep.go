package uplink

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"time"

	"cloudlets/images/pause"
)

// lease is an address with the time for which it may be used.
type lease interface {
	// times returns when to renew the lease, when to rebind it, and when it ends.
	times() (t1, t2, end time.Time)
	ip() net.IP
}

const (
	// shortestLease is the least time that a lease counts for, so that a
	// server's mistake does not keep the machine busy with asking.
	shortestLease = 10 * time.Second
	// askAgain is the least time between two attempts to extend a lease
	// (RFC 2131, 4.4.5).
	askAgain = time.Minute
)

// errExpired means that no server extended a lease in its time.
var errExpired = errors.New("no DHCP server extended its lease")

// keeper keeps a leased address of an interface for as long as it is needed.
type keeper[L lease] struct {
	name   string
	client interface {
		request(context.Context) (L, error)
		extend(ctx context.Context, held L, rebind bool) (L, error)
	}
	host interface {
		configure(context.Context, L) (string, error)
		forget()
	}
	log *slog.Logger
}

// keep extends the lease until ctx ends. If the lease is lost, keep stops using the
// address at once, as RFC 2131, 4.4.5 and RFC 8415, 18.2.5 demand, and asks for
// another.
func (k keeper[L]) keep(ctx context.Context, held L) {
	for ctx.Err() == nil {
		next, err := k.extend(ctx, held)
		if err == nil {
			held = next
			continue
		}
		if ctx.Err() != nil {
			return
		}
		k.host.forget()
		k.log.Error("the address is lost; asking for another", "interface", k.name, "address", held.ip(), "error", err)
		if held, err = k.regain(ctx); err != nil {
			return
		}
	}
}

// regain gets a lease and configures the interface with it. It fails only when ctx
// ends, with the error of its last attempt.
func (k keeper[L]) regain(ctx context.Context) (none L, failed error) {
	for {
		got, err := k.client.request(ctx)
		address := ""
		if err == nil {
			address, err = k.host.configure(ctx, got)
		}
		if err == nil {
			k.log.Info("there is an address", "interface", k.name, "address", address)
			return got, nil
		}
		if ctx.Err() == nil {
			k.log.Warn("there is no address yet; asking again", "interface", k.name, "error", err)
		}
		if stopped := pause.For(ctx, time.Second); stopped != nil {
			return none, err
		}
	}
}

// extend waits until the lease is to be renewed, and extends it: by its own
// server from T1 on, and by any server from T2 on (RFC 2131, 4.4.5). It fails when
// the lease ends, when a server refuses, or when ctx ends.
func (k keeper[L]) extend(ctx context.Context, held L) (none L, failed error) {
	t1, t2, end := held.times()
	if err := pause.For(ctx, time.Until(t1)); err != nil {
		return none, err
	}
	next, err := k.extendUntil(ctx, held, t2, false)
	if errors.Is(err, errExpired) {
		next, err = k.extendUntil(ctx, held, end, true)
	}
	return next, err
}

// extendUntil asks for more time until a server answers or limit is reached.
func (k keeper[L]) extendUntil(ctx context.Context, held L, limit time.Time, rebind bool) (none L, failed error) {
	for time.Now().Before(limit) {
		limited, stop := context.WithDeadline(ctx, limit)
		next, err := k.client.extend(limited, held, rebind)
		stop()
		if err == nil || errors.Is(err, errRefused) {
			return next, err
		}
		k.log.Warn("the lease is not extended yet; asking again", "interface", k.name, "error", err)
		left := time.Until(limit)
		if err := pause.For(ctx, min(left, max(left/2, askAgain))); err != nil {
			return none, err
		}
	}
	return none, errExpired
}
