// Package v4 serves DHCPv4 to machines that boot from the network: as the network's own
// DHCP server, or as a proxy beside the one that is there.
//
// A [Server] is the configuration. Its Listen opens the sockets, and [Listener.Serve]
// answers. What it answers is decided by [dhcp.Answer], and which address a client gets by
// package table.
//
// A server may serve several networks: those of its interfaces, and those whose
// packets relay agents bring ([Server.Relayed]). An interface may come, go and be
// made anew while the server runs.
//
// Several servers may serve one network, if they share a [dhcp.LeaseStore] and know of each
// other ([Server.Members]). The store decides which client has an address. One of the
// servers answers a client at once, and the others do if it asks again.
package v4

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// Server is the configuration of a DHCP server. Fill in its fields, call
// Listen, and then Serve on what Listen returned.
type Server struct {
	// Interfaces are the network interfaces to serve, at least one.
	Interfaces []Interface
	// Relayed are networks behind relay agents (RFC 2131, 4.1), each with its
	// Subnet. Their packets may come in on any of the interfaces. No subnet may
	// overlap with another one.
	Relayed []dhcp.Network
	// Booter says what clients boot; if it is nil, no client boots. If it is
	// also a Reserver, its reservations are kept; if it is a Registry, the
	// clients that it knows come first.
	Booter dhcp.Booter
	// Leases keeps leases over restarts; nil keeps them in memory only.
	Leases dhcp.LeaseStore
	// Members, if set, returns the ID of this server and those of all servers
	// that are alive and share the lease store, sorted, this one too. Clients and
	// free addresses are divided among them. It is called for each packet and must
	// answer from memory. If it is not set, this server is alone.
	Members func() (self string, live []string)
	// Observe, if set, is called with every exchange, by several goroutines
	// at once. Packets are answered by those same goroutines, so it must not
	// wait for a disk or the network.
	Observe func(dhcp.Exchange)
	// MayWait says that all interfaces may be absent when Listen is called. They are
	// served when they come.
	MayWait bool
	// Watch, if set, subscribes to changes of the host's interfaces, as
	// [ifwatch.Signal.Subscribe] does. If it is not set, the server watches them itself.
	Watch func() (told <-chan struct{}, stop func())
	// Log is for the person who runs the server; nil is silent.
	Log *slog.Logger
	// Now is the clock that leases expire by; nil means time.Now.
	Now func() time.Time

	system system         // nil means linux{}
	host   *hostAddresses // set by withDefaults
}

// Listen opens all sockets and reads the stored leases. The server answers
// nothing yet: packets that arrive before [Listener.Serve] is called wait in
// the sockets. An interface that is absent, or has no address, is waited for, if
// another one is there. If Listen fails, it leaves no socket open.
func (s *Server) Listen(ctx context.Context) (*Listener, error) {
	if len(s.Interfaces) == 0 {
		return nil, errors.New("listen for DHCP: no interface given: name at least one")
	}
	c := s.withDefaults()
	l := &Listener{
		server: c, commits: serving.NewCommitter(c.Leases, c.Now, c.Log, "those that exist are confirmed while they last, and no new ones are given"),
		at: map[*link]*lan{}, up: map[*link]netip.Prefix{}, addrs: map[*link][]netip.Prefix{},
	}
	l.view.Store(&view{})
	if c.Watch == nil {
		l.watcher = c.system.watch()
		c.Watch = l.watcher.Subscribe
	}
	for _, n := range c.Relayed {
		lan, err := c.newLAN(ctx, n)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for DHCP of the network %s behind relays: %w", n.Subnet, err), l.Close())
		}
		l.relayed = append(l.relayed, lan)
	}
	if err := l.openLinks(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// Listener is a server whose sockets are open. Call Serve once, or Close.
type Listener struct {
	server  *Server // with defaults
	commits *serving.Committer
	links   []*link
	relayed []*lan  // the networks behind relays
	watcher watcher // the server's own; nil if it was given another one
	// elsewhere are clients whose networks are not served.
	elsewhere serving.WaitingList

	mu    sync.Mutex
	at    map[*link]*lan           // the networks of interfaces, as far as they are known
	up    map[*link]netip.Prefix   // from which address an interface is served; invalid while it is not
	addrs map[*link][]netip.Prefix // all of an interface's addresses
	view  atomic.Pointer[view]
}

// openLinks opens the sockets of all interfaces that are there.
func (l *Listener) openLinks(ctx context.Context) error {
	var absent []error
	for _, i := range l.server.Interfaces {
		k := &link{listener: l, config: i, log: l.server.Log.With("interface", i.Name)}
		l.links = append(l.links, k)
		err := k.Open(ctx)
		if err == nil {
			continue
		}
		err = fmt.Errorf("listen for DHCP on %s: %w", i.Name, err)
		if !serving.IsNotThere(err) {
			return err
		}
		absent = append(absent, err)
	}
	if len(absent) == len(l.links) && !l.server.MayWait {
		return errors.Join(absent...)
	}
	return nil
}

// attach notes what an interface is now, and returns its network.
func (l *Listener) attach(ctx context.Context, k *link, i Interface) (*lan, error) {
	l.mu.Lock()
	n := l.at[k]
	l.mu.Unlock()
	if n == nil || n.Subnet != i.Network.Subnet {
		made, err := l.server.newLAN(ctx, i.Network)
		if err != nil {
			return nil, err
		}
		if n != nil {
			n.unfollow()
		}
		n = made
	}
	l.mu.Lock()
	l.at[k], l.up[k] = n, k.own
	l.mu.Unlock()
	l.sawAddresses(k)
	return n, nil
}

// sawAddresses notes which addresses an interface has now.
func (l *Listener) sawAddresses(k *link) {
	l.mu.Lock()
	l.addrs[k] = k.seen.addrs
	l.mu.Unlock()
	l.arrange()
}

// detach notes that an interface is not served now. Its network stays: a relay may
// still bring its packets by another one.
func (l *Listener) detach(k *link) {
	l.mu.Lock()
	l.up[k] = netip.Prefix{}
	l.mu.Unlock()
	l.arrange()
}

// Serve answers until ctx ends, finishes the packets that it is working on,
// and returns nil. Sockets are opened anew when their interface was away or has
// changed; one that cannot be read otherwise ends Serve with an error. In both cases
// all goroutines have ended and all sockets are closed when Serve returns.
func (l *Listener) Serve(ctx context.Context) error {
	var tasks []func(context.Context) error
	if l.watcher != nil {
		tasks = append(tasks, l.watcher.Run)
	}
	for _, k := range l.links {
		tasks = append(tasks, k.run)
	}
	return errors.Join(serving.Serve(ctx, l.commits, tasks...), l.Close())
}

// Close closes the sockets. Serve does so itself.
func (l *Listener) Close() error {
	var errs []error
	if l.watcher != nil {
		l.watcher.Close()
	}
	for _, k := range l.links {
		if k.service != nil {
			errs = append(errs, k.service.close())
			k.service = nil
		}
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, n := range l.lans() {
		n.unfollow()
	}
	return errors.Join(errs...)
}

// withDefaults is a copy of the server with defaults for every nil field
// except Observe.
func (s *Server) withDefaults() *Server {
	c := *s
	if c.Booter == nil {
		c.Booter = dhcp.NoBooter{}
	}
	if c.Leases == nil {
		c.Leases = &dhcp.MemoryLeases{}
	}
	if c.Log == nil {
		c.Log = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	if c.system == nil {
		c.system = linux{}
	}
	c.host = &hostAddresses{list: c.system.hostAddresses, now: c.Now}
	return &c
}
