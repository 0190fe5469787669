package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"path/filepath"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sync/errgroup"
)

// routerTime is how long no router may be heard until the console says so. A switch
// port with spanning tree is silent for 30 seconds.
const routerTime = 35 * time.Second

// host6 is the kernel's side of an interface, as far as leased IPv6 addresses go.
type host6 struct {
	link    netlink.Link
	client  wire6
	learned *learned
	// held is the address that is configured.
	held *net.IPNet
}

// configure gives the interface the address of a lease, once no other machine has
// it. If one has, it declines the lease. What is on the link is said by routers, and
// not by a lease, so that the prefix has 128 bits (RFC 5942, 4).
func (h *host6) configure(ctx context.Context, l lease6) (string, error) {
	h.held = &net.IPNet{IP: l.ip(), Mask: net.CIDRMask(128, 128)}
	h.learned.names(fromLease6, hosts(l.dns, h.client.name)) // before the address can be used
	h.learned.times(fromLease6, hosts(l.ntp, h.client.name))
	if err := netlink.AddrReplace(h.link, &netlink.Addr{IPNet: h.held}); err != nil {
		return "", fmt.Errorf("add %s: %w", h.held, err)
	}
	err := checked(ctx, h.link, l.ip().Equal)
	if errors.Is(err, errDuplicate) {
		h.forget()
		err = errors.Join(err, h.client.decline(ctx, l))
	}
	return h.held.String(), err
}

// forget takes the address from the interface.
func (h *host6) forget() {
	_ = netlink.AddrDel(h.link, &netlink.Addr{IPNet: h.held})
}

// family6 is IPv6 on an interface. The kernel makes addresses and routes from what
// routers advertise, and checks that no other machine has an address. Leases of
// DHCPv6 are kept here.
type family6 struct {
	link    netlink.Link
	servers servers
	routers *routers
	keeper  keeper[lease6]
	log     *slog.Logger
}

func newFamily6(link netlink.Link, s servers, named *learned, o Options) family6 {
	name := link.Attrs().Name
	client := newWire6(name, link.Attrs().HardwareAddr, o.UUID)
	return family6{
		link: link, servers: s, routers: newRouters(name, named, o.Log), log: o.Log,
		keeper: keeper[lease6]{name: name, client: client, host: &host6{link: link, client: client, learned: named}, log: o.Log},
	}
}

// run implements family.
func (f family6) run(ctx context.Context, up func(address string)) error {
	begin := time.Now()
	kernel := kernel6{filepath.Join(procIPv6, f.keeper.name)}
	if err := kernel.check(); err != nil {
		return err
	}
	conn, err := f.routers.open() // before the kernel asks for routers
	if err != nil {
		return err
	}
	restore, err := kernel.start()
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	defer restore()
	f.log.Info("asking for a router", "interface", f.keeper.name)
	var unleased error
	tasks, within := errgroup.WithContext(ctx)
	tasks.Go(func() error { return f.routers.listen(within, conn) })
	tasks.Go(func() error { return f.reach(within, up) })
	tasks.Go(func() error {
		unleased = f.lease(within)
		return unleased
	})
	err = tasks.Wait()
	if errors.Is(context.Cause(ctx), errTime) {
		return f.missing(time.Since(begin).Round(time.Second), unleased)
	}
	return err
}

// reach calls up when the interface has an address and a route to a server. It
// fails if another machine has the interface's own link-local address, by which it
// would speak to routers.
func (f family6) reach(ctx context.Context, up func(address string)) error {
	if err := checked(ctx, f.link, net.IP.IsLinkLocalUnicast); err != nil {
		if errors.Is(err, errDuplicate) {
			err = fmt.Errorf("%w: is there a second machine with the MAC %s?", err, f.link.Attrs().HardwareAddr)
		}
		return err
	}
	return until(ctx, func() (bool, error) {
		usable, err := addresses6(f.link, false)
		if err != nil || len(usable) == 0 || !f.servers.named && !routed(f.servers.six) {
			return false, err
		}
		up(usable[0].String())
		return true, nil
	})
}

// lease waits until a router says that DHCPv6 gives addresses, gets one and keeps
// it until ctx ends.
func (f family6) lease(ctx context.Context) error {
	timer := time.NewTimer(routerTime)
	defer timer.Stop()
	for managed := false; !managed; {
		select {
		case <-f.routers.managed:
			managed = true
		case <-timer.C:
			if !f.routers.heard().from.IsValid() {
				f.log.Info("no router advertisement yet; still waiting", "interface", f.keeper.name)
			}
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	if err := checked(ctx, f.link, net.IP.IsLinkLocalUnicast); err != nil {
		return err
	}
	f.log.Info("a router says that DHCPv6 gives addresses; asking for one", "interface", f.keeper.name, "router", f.routers.heard().from)
	first, err := f.keeper.regain(ctx)
	if err != nil {
		return err
	}
	f.keeper.keep(ctx, first)
	return context.Cause(ctx)
}

// missing says what the interface lacked when its time was over. unleased is why
// there is no lease.
func (f family6) missing(after time.Duration, unleased error) error {
	name, heard := f.keeper.name, f.routers.heard()
	usable, _ := addresses6(f.link, false)
	switch {
	case !heard.from.IsValid():
		return fmt.Errorf("no router advertisement on %s within %s: is there a router on this network that speaks IPv6, and does the switch let its advertisements through? (machines boot by IPv6 only where a router advertises itself; radvd and dnsmasq --enable-ra do)", name, after)
	case len(usable) == 0 && heard.managed:
		return fmt.Errorf("no DHCPv6 server gave %s an address within %s, though the router %s says that one would (managed flag): is the server running, or its relay, and has it addresses left? (%w)", name, after, heard.from, unleased)
	case len(usable) == 0 && !heard.autonomous:
		return fmt.Errorf("the router %s offers %s no address: let it advertise a prefix with the autonomous flag, or the managed flag and a DHCPv6 server", heard.from, name)
	case len(usable) == 0:
		return fmt.Errorf("%s got no address from the prefix that the router %s advertises: is the prefix 64 bits long, and is there another machine with the MAC %s?", name, heard.from, f.link.Attrs().HardwareAddr)
	case !heard.router:
		return fmt.Errorf("%s has %s, and no route leads to a server (%s): the router %s says that it is no default router (lifetime 0): correct that, or let it advertise the server's prefix as on-link", name, usable[0], f.servers.six, heard.from)
	}
	return fmt.Errorf("%s has %s, and no route leads to a server (%s): correct what the router %s advertises", name, usable[0], f.servers.six, heard.from)
}
