package uplink

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"github.com/mdlayher/ndp"
	"golang.org/x/net/ipv6"
)

// maxAdvertisement is more than the length of any router advertisement, in bytes.
const maxAdvertisement = 9216

// routers knows what the routers on an interface advertise. The kernel takes
// addresses and routes from their advertisements by itself; the rest is read here.
type routers struct {
	name    string
	learned *learned
	log     *slog.Logger
	// managed is closed when a router first says that DHCPv6 gives addresses.
	managed chan struct{}

	mu   sync.Mutex
	last advertised
}

// advertised is what the last router advertisement says.
type advertised struct {
	from       netip.Addr // the zero value if there was none
	managed    bool       // in any advertisement: DHCPv6 gives addresses
	autonomous bool       // there is a prefix to make addresses from
	router     bool       // the sender is a default router
}

func newRouters(name string, named *learned, log *slog.Logger) *routers {
	return &routers{name: name, learned: named, log: log, managed: make(chan struct{})}
}

// heard returns what the last advertisement says.
func (r *routers) heard() advertised {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.last
}

// open opens the socket on which advertisements come in.
func (r *routers) open() (*ndp.Conn, error) {
	var only ipv6.ICMPFilter
	only.SetAll(true)
	only.Accept(ipv6.ICMPTypeRouterAdvertisement)
	iface, err := net.InterfaceByName(r.name)
	if err != nil {
		return nil, fmt.Errorf("listen for router advertisements on %s: %w", r.name, err)
	}
	conn, _, err := ndp.Listen(iface, ndp.Unspecified)
	if err != nil {
		return nil, fmt.Errorf("listen for router advertisements on %s: %w", r.name, err)
	}
	if err := errors.Join(conn.SetICMPFilter(&only), conn.SetControlMessage(ipv6.FlagHopLimit|ipv6.FlagInterface, true)); err != nil {
		return nil, errors.Join(fmt.Errorf("listen for router advertisements on %s: %w", r.name, err), conn.Close())
	}
	return conn, nil
}

// listen reads advertisements until ctx ends. It closes the socket.
func (r *routers) listen(ctx context.Context, conn *ndp.Conn) error {
	iface, err := net.InterfaceByName(r.name)
	if err != nil {
		return errors.Join(err, conn.Close())
	}
	closed := make(chan error, 1)
	stop := context.AfterFunc(ctx, func() { closed <- conn.Close() })
	defer func() {
		if !stop() {
			<-closed
			return
		}
		_ = conn.Close()
	}()
	buf := make([]byte, maxAdvertisement)
	for {
		n, control, from, err := conn.ReadRaw(buf)
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("read router advertisements on %s: %w", r.name, err)
		}
		// The socket receives from all interfaces. Advertisements that a router
		// forwarded, or that come from no router, do not count (RFC 4861, 6.1.2).
		if control != nil && control.IfIndex == iface.Index && control.HopLimit == ndp.HopLimit && from.IsLinkLocalUnicast() {
			r.take(buf[:n], from)
		}
	}
}

// take reads an advertisement. It ignores what is none.
func (r *routers) take(message []byte, from netip.Addr) {
	defer func() { // what parses foreign bytes must not end process 1
		if v := recover(); v != nil {
			r.log.Warn("a router advertisement could not be read", "from", from, "panic", v)
		}
	}()
	m, err := ndp.ParseMessage(message)
	ra, ok := m.(*ndp.RouterAdvertisement)
	if err != nil || !ok {
		return
	}
	now := advertised{from: from, managed: ra.ManagedConfiguration, router: ra.RouterLifetime > 0}
	for _, o := range ra.Options {
		switch o := o.(type) {
		case *ndp.PrefixInformation:
			now.autonomous = now.autonomous || o.AutonomousAddressConfiguration && o.ValidLifetime > 0
		case *ndp.RecursiveDNSServer:
			r.serversOf(o)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if now.managed && !r.last.managed {
		close(r.managed)
	}
	now.managed = now.managed || r.last.managed
	r.last = now
}

// serversOf takes the name servers of an advertisement (RFC 8106, 5.1).
func (r *routers) serversOf(o *ndp.RecursiveDNSServer) {
	var servers []net.IP
	for _, a := range o.Servers[:min(len(o.Servers), maxNameservers)] {
		servers = append(servers, a.AsSlice())
	}
	if o.Lifetime == 0 {
		servers = nil
	}
	r.learned.names(fromRouter, hosts(servers, r.name))
}
