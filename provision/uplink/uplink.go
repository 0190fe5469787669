// Package uplink brings up the interface that a machine booted from, and keeps its
// addresses. It finds the interface by its MAC and waits for its carrier. Then it
// configures each version of IP by which the servers can be reached: IPv4 by DHCP;
// IPv6 by what routers advertise, which the kernel does, and by DHCPv6 where they
// say so. It renews the leases until the machine is handed over. Start reading at
// [Up].
package uplink

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/vishvananda/netlink"

	"cloudlets/provision"
)

// Timeout bounds the search for the interface and its first address. A switch
// port with spanning tree is silent for 30 seconds.
const Timeout = 3 * time.Minute

// Options say which interface to bring up.
type Options struct {
	// MAC is the interface's hardware address.
	MAC provision.MAC
	// Servers are the base URLs that the machine must reach. A route that cannot
	// be added is an error, unless one of them can be reached without it.
	Servers []string
	// Patience bounds the search for the interface and its first address; 0 is
	// [Timeout].
	Patience time.Duration
	// LoadDrivers loads the drivers of devices that appeared, and returns their
	// number.
	LoadDrivers func(context.Context) (int, error)
	// UUID is the machine's SMBIOS UUID, as Linux shows it. DHCPv6 servers know the
	// machine by it, as they knew its firmware. It may be empty.
	UUID string
	// Resolver is the file that gets the name servers of the network, in the form of
	// resolv.conf(5). It is "" for none.
	Resolver string
	Log      *slog.Logger
}

// Link is an interface with an address by which a server can be reached.
// Goroutines keep its addresses until Down is called.
type Link struct {
	Name string
	// Address is the first address, IPv4 or IPv6, with its prefix length.
	Address string

	learned *learned
	link    netlink.Link
	mtu     int // before Up changed it
	stop    context.CancelCauseFunc
	// done is closed when nothing changes the interface any more.
	done chan struct{}
}

// Up finds the interface, waits for its carrier, and configures it. It returns as
// soon as one of the servers can be reached, and fails if that takes longer than
// Options.Patience. It goes on to configure the other version of IP, if there are servers
// for both. Addresses are kept until ctx ends or Down is called.
func Up(ctx context.Context, o Options) (*Link, error) {
	limited, stop := context.WithTimeout(ctx, cmp.Or(o.Patience, Timeout))
	defer stop()
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
	found, err := waitForLink(limited, o)
	if err != nil {
		return nil, err
	}
	return start(ctx, limited, found, o)
}

// family is one version of IP on the interface.
type family interface {
	// run configures the interface, calls up once a server can be reached, and then
	// keeps the addresses. It returns an error when that failed, or when ctx ends:
	// then the error says what it still waited for.
	run(ctx context.Context, up func(address string)) error
}

// families returns the versions of IP by which the servers can be reached: IPv4 if
// there are none.
func families(link netlink.Link, named *learned, o Options) []family {
	s := readServers(o.Servers)
	var all []family
	if len(s.four) > 0 || s.named || len(s.six) == 0 {
		all = append(all, newFamily4(link, s, named, o.Log))
	}
	if len(s.six) > 0 || s.named {
		all = append(all, newFamily6(link, s, named, o))
	}
	return all
}

// errTime is why the families are stopped when the time for them is over.
var errTime = errors.New("the time for it is over")

// start configures the interface within the time of limited, and keeps its
// addresses until ctx ends.
func start(ctx, limited context.Context, found netlink.Link, o Options) (*Link, error) {
	name := found.Attrs().Name
	if err := netlink.LinkSetUp(found); err != nil {
		return nil, fmt.Errorf("switch %s on: %w", name, err)
	}
	if err := waitForCarrier(limited, name); err != nil {
		return nil, err
	}
	l := &Link{Name: name, learned: &learned{resolver: o.Resolver, log: o.Log}, link: found, mtu: found.Attrs().MTU, done: make(chan struct{})}
	ctx, l.stop = context.WithCancelCause(ctx)
	up, ended := l.run(ctx, families(found, l.learned, o))
	expired := limited.Done()
	for failed := []error(nil); ; {
		select {
		case l.Address = <-up:
			go l.follow(ctx, failed, ended, o.Log)
			return l, nil
		case err, more := <-ended:
			if !more {
				l.stop(nil)
				return nil, errors.Join(failed...)
			}
			failed = append(failed, err)
		case <-expired:
			l.stop(errTime)
			up, expired = nil, nil // each family says now what it waited for
		}
	}
}

// follow logs the errors of the families that did not come up, and closes done when
// all families have ended.
func (l *Link) follow(ctx context.Context, failed []error, ended <-chan error, log *slog.Logger) {
	defer close(l.done)
	warn := func(err error) {
		log.Warn("the machine does without the other version of IP", "interface", l.Name, "error", err)
	}
	for _, err := range failed {
		warn(err)
	}
	for err := range ended {
		if ctx.Err() == nil {
			warn(err)
		}
	}
}

// run starts the families. The first address comes by up; each family's error comes
// by ended, which is closed when all have ended.
func (l *Link) run(ctx context.Context, all []family) (up <-chan string, ended <-chan error) {
	first, errs := make(chan string, len(all)), make(chan error)
	var running sync.WaitGroup
	for _, f := range all {
		running.Go(func() {
			errs <- f.run(ctx, func(address string) { first <- address })
		})
	}
	go func() {
		running.Wait()
		close(errs)
	}()
	return first, errs
}

// TimeServers returns the NTP servers that the network has named until now (RFC
// 2132, 8.3; RFC 5908).
func (l *Link) TimeServers() []netip.Addr { return l.learned.allTimes() }

// Down stops renewing the leases, removes the interface's addresses and switches
// the interface off, as the new system expects to find it. The leases are not
// released, since the new system asks for the same addresses at once.
func (l *Link) Down() {
	l.stop(nil)
	<-l.done
	removeAddresses(l.link, netlink.FAMILY_V4)
	removeAddresses(l.link, netlink.FAMILY_V6)
	_ = netlink.LinkSetDown(l.link)
	_ = netlink.LinkSetMTU(l.link, l.mtu)
}

// removeAddresses removes the addresses of an interface, and with them the routes
// by it.
func removeAddresses(l netlink.Link, family int) {
	addresses, _ := netlink.AddrList(l, family)
	for _, address := range addresses {
		_ = netlink.AddrDel(l, &address)
	}
	routes, _ := netlink.RouteList(l, family)
	for _, route := range routes {
		_ = netlink.RouteDel(&route)
	}
}

// plainIP returns an IPv4 address of four bytes, or nil for anything else.
func plainIP(ip net.IP) net.IP {
	if four := ip.To4(); four != nil && !four.IsUnspecified() && !four.IsMulticast() && !four.Equal(net.IPv4bcast) {
		return four
	}
	return nil
}
