package uplink

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

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

// keeper keeps an interface's address for as long as it is needed.
type keeper struct {
	name   string
	client interface {
		request(context.Context) (lease, error)
		extend(ctx context.Context, held lease, rebind bool) (lease, error)
	}
	host interface {
		configure(*dhcpv4.DHCPv4) (string, error)
		forget()
	}
	log *slog.Logger
}

// keep extends the lease until ctx ends. If the lease is lost, keep stops using
// the address at once, as RFC 2131, 4.4.5 demands, and asks for another.
func (k keeper) keep(ctx context.Context, held lease) {
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
		k.log.Error("the address is lost; asking for another", "interface", k.name, "address", held.ack.YourIPAddr, "error", err)
		if held, err = k.regain(ctx); err != nil {
			return
		}
	}
}

// regain gets a new lease and configures the interface with it. It fails only
// when ctx ends.
func (k keeper) regain(ctx context.Context) (lease, error) {
	for {
		got, err := k.client.request(ctx)
		address := ""
		if err == nil {
			address, err = k.host.configure(got.ack)
		}
		if err == nil {
			k.log.Info("there is an address again", "interface", k.name, "address", address)
			return got, nil
		}
		if ctx.Err() == nil {
			k.log.Warn("there is no new address yet; asking again", "interface", k.name, "error", err)
		}
		if stopped := wait(ctx, time.Second); stopped != nil {
			return lease{}, stopped
		}
	}
}

// extend waits until the lease is to be renewed, and extends it: by its own
// server from T1 on, and by any server from T2 on (RFC 2131, 4.4.5). It fails when
// the lease ends, when a server refuses, or when ctx ends.
func (k keeper) extend(ctx context.Context, held lease) (lease, error) {
	t1, t2, end := held.times()
	if err := wait(ctx, time.Until(t1)); err != nil {
		return lease{}, err
	}
	next, err := k.extendUntil(ctx, held, t2, false)
	if errors.Is(err, errExpired) {
		next, err = k.extendUntil(ctx, held, end, true)
	}
	return next, err
}

// extendUntil asks for more time until a server answers or limit is reached.
func (k keeper) extendUntil(ctx context.Context, held lease, limit time.Time, rebind bool) (lease, error) {
	for time.Now().Before(limit) {
		limited, stop := context.WithDeadline(ctx, limit)
		next, err := k.client.extend(limited, held, rebind)
		stop()
		if err == nil || errors.Is(err, errRefused) {
			return next, err
		}
		k.log.Warn("the lease is not extended yet; asking again", "interface", k.name, "error", err)
		left := time.Until(limit)
		if err := wait(ctx, min(left, max(left/2, askAgain))); err != nil {
			return lease{}, err
		}
	}
	return lease{}, errExpired
}

// times returns when to renew the lease, when to rebind it, and when it ends. T1
// and T2 are what the server says, or half and seven eighths of the lease (RFC
// 2131, 4.4.5). A lease without a time never ends in practice.
func (l lease) times() (t1, t2, end time.Time) {
	const forever = 100 * 365 * 24 * time.Hour
	whole := max(l.ack.IPAddressLeaseTime(forever), shortestLease)
	renew, rebind := l.ack.IPAddressRenewalTime(whole/2), l.ack.IPAddressRebindingTime(whole/8*7)
	if renew <= 0 || renew >= rebind || rebind >= whole {
		renew, rebind = whole/2, whole/8*7
	}
	return l.since.Add(renew), l.since.Add(rebind), l.since.Add(whole)
}
