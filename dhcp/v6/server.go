package v6

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/ifwatch"
	"cloudlets/dhcp/serving"
)

// Listener is a server whose sockets are open. Call Serve once, or Close.
type Listener struct {
	server  *Server // with defaults
	commits *serving.Committer
	links   []*link
	lans    []*lan           // those of the links, and then those behind relays
	watcher *ifwatch.Watcher // the server's own; nil if it was given another one
	// elsewhere are clients whose networks are not served.
	elsewhere serving.WaitingList
}

// lan is a network as a listener serves it.
type lan struct {
	Network
	table    *table // nil unless the mode is Pool
	unfollow func()
	waiting  serving.WaitingList
}

// Listen opens all sockets and reads the stored leases. Packets that arrive before
// [Listener.Serve] is called wait in the sockets. An interface that is absent, or has
// no address of its network, is waited for, if another one is there. If Listen fails,
// it leaves no socket open.
func (s *Server) Listen(ctx context.Context) (*Listener, error) {
	if len(s.Interfaces) == 0 {
		return nil, errors.New("listen for DHCPv6: no interface given: name at least one")
	}
	c := s.withDefaults()
	l := &Listener{server: c, commits: serving.NewCommitter(c.Leases, c.Now, c.Log.With("protocol", "DHCPv6"), "none are given")}
	if c.Watch == nil {
		l.watcher = ifwatch.Open()
		c.Watch = l.watcher.Subscribe
	}
	for _, i := range c.Interfaces {
		n, err := c.newLAN(ctx, i.Network)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for DHCPv6 on %s: %w", i.Name, err), l.Close())
		}
		l.lans = append(l.lans, n)
		l.links = append(l.links, newLink(l, i, n))
	}
	for _, relayed := range c.Relayed {
		n, err := c.newLAN(ctx, relayed)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for DHCPv6 of the network %s behind relays: %w", relayed.Subnet, err), l.Close())
		}
		l.lans = append(l.lans, n)
	}
	if err := l.openLinks(ctx); err != nil {
		return nil, errors.Join(err, l.Close())
	}
	return l, nil
}

// openLinks opens the sockets of all interfaces that are there.
func (l *Listener) openLinks(ctx context.Context) error {
	var absent []error
	for _, k := range l.links {
		err := k.Open(ctx)
		if err == nil {
			continue
		}
		if err = fmt.Errorf("listen for DHCPv6 on %s: %w", k.iface.Name, err); !serving.IsNotThere(err) {
			return err
		}
		absent = append(absent, err)
	}
	if len(absent) == len(l.links) && !l.server.MayWait {
		return errors.Join(absent...)
	}
	return nil
}

// newLAN makes the lease table of a network, and fills it from the lease store.
func (s *Server) newLAN(ctx context.Context, n Network) (*lan, error) {
	if err := n.validate(); err != nil {
		return nil, err
	}
	l := &lan{Network: n, unfollow: func() {}}
	if n.Mode != dhcp.Pool {
		return l, nil
	}
	l.table = newTable(n, s.Booter, s.Now)
	var err error
	if l.unfollow, err = s.Leases.Follow(ctx, l.table.learn); err != nil {
		return nil, fmt.Errorf("read leases: %w", err)
	}
	return l, nil
}

// Serve answers until ctx ends, finishes the packets that it is working on, and
// returns nil. Sockets are opened anew when their interface was away or has changed;
// one that cannot be read otherwise ends Serve with an error. When Serve returns, all
// goroutines have ended and all sockets are closed.
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
	if l.watcher != nil {
		l.watcher.Close()
	}
	var errs []error
	for _, k := range l.links {
		errs = append(errs, k.close())
	}
	for _, n := range l.lans {
		n.unfollow()
	}
	return errors.Join(errs...)
}

// Networks says how each network is served now, those of interfaces first.
func (l *Listener) Networks() (all []NetworkStatus) {
	now := l.server.Now()
	for i, n := range l.lans {
		s := NetworkStatus{Network: n.Network, Size: pool(n.Pool).usable(), Waiting: n.waiting.List(now), Unanswered: n.waiting.Unanswered()}
		if n.table != nil {
			s.Used = n.table.used()
		}
		if i < len(l.links) {
			s.Interface, s.Addr = l.links[i].iface.Name, l.links[i].address()
		}
		all = append(all, s)
	}
	return all
}

// Elsewhere are the clients that asked by relay agents for addresses of networks which are
// not served, and why requests were not answered.
func (l *Listener) Elsewhere() ([]serving.Waiting, []serving.Unanswered) {
	return l.elsewhere.List(l.server.Now()), l.elsewhere.Unanswered()
}

// at is the network that has an address, or nil.
func (l *Listener) at(a netip.Addr) *lan {
	for _, n := range l.lans {
		if n.Subnet.Contains(a) {
			return n
		}
	}
	return nil
}

// avoid keeps the server's own addresses from clients.
func (l *Listener) avoid() {
	var own []netip.Addr
	for _, k := range l.links {
		own = append(own, k.address(), k.iface.TFTP)
	}
	for _, n := range l.lans {
		if n.table != nil {
			n.table.setAvoid(own)
		}
	}
}

// withDefaults is a copy of the server with defaults for every nil field except
// Observe.
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
	return &c
}
