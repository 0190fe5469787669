package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

// Server is the configuration of a DHCP server. Fill in its fields, call
// Listen, and then Serve on what Listen returned.
type Server struct {
	// Interfaces are the network interfaces to serve, at least one.
	Interfaces []Interface
	// Booter says what clients boot; if it is nil, no client boots. If it is
	// also a Reserver, its reservations are kept; if it is a Registry, the
	// clients that it knows come first.
	Booter Booter
	// Leases keeps leases over restarts; nil keeps them in memory only.
	Leases LeaseStore
	// Members, if set, returns the ID of this server and those of all servers
	// that are alive and share the lease store, sorted, this one too. Clients and
	// free addresses are divided among them. It is called for each packet and must
	// answer from memory. If it is not set, this server is alone.
	Members func() (self string, live []string)
	// Observe, if set, is called with every exchange, by several goroutines
	// at once. Packets are answered by those same goroutines, so it must not
	// wait for a disk or the network.
	Observe func(Exchange)
	// Log is for the person who runs the server; nil is silent.
	Log *slog.Logger
	// Now is the clock that leases expire by; nil means time.Now.
	Now func() time.Time

	system system         // nil means linux{}
	host   *hostAddresses // set by withDefaults
}

// Listen opens all sockets and reads the stored leases. The server answers
// nothing yet: packets that arrive before [Listener.Serve] is called wait in
// the sockets. If Listen fails, it leaves no socket open.
func (s *Server) Listen(ctx context.Context) (*Listener, error) {
	if len(s.Interfaces) == 0 {
		return nil, errors.New("listen for DHCP: no interface given: name at least one")
	}
	c := s.withDefaults()
	l := &Listener{commits: newCommitter(c), unfollow: func() {}}
	for _, i := range c.Interfaces {
		service, err := c.listenOn(ctx, i, l.commits)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("listen for DHCP on %s: %w", i.Name, err), l.Close())
		}
		l.services = append(l.services, service)
	}
	unfollow, err := c.Leases.Follow(ctx, l.learn)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen for DHCP: read leases: %w", err), l.Close())
	}
	l.unfollow = unfollow
	return l, nil
}

// Listener is a server whose sockets are open. Call Serve once, or Close.
type Listener struct {
	services []*service
	commits  *committer
	unfollow func()
}

// learn takes over leases that are in the store.
func (l *Listener) learn(leases []Lease, all bool) {
	for _, s := range l.services {
		for _, t := range s.tables {
			t.learn(leases, all)
		}
	}
}

// Serve answers until ctx ends, finishes the packets that it is working on,
// and returns nil. A socket that cannot be read ends it with an error. In
// both cases all goroutines have ended and all sockets are closed when Serve
// returns.
func (l *Listener) Serve(ctx context.Context) error {
	committed := make(chan struct{})
	go func() {
		defer close(committed)
		l.commits.run()
	}()
	answering, ctx := errgroup.WithContext(ctx)
	for _, s := range l.services {
		s.start(ctx, answering)
	}
	err := answering.Wait()
	for _, s := range l.services {
		_ = s.checking.Wait() // neither has errors
		_ = s.storing.Wait()
	}
	l.commits.end() // no packet is being handled any more
	<-committed
	return errors.Join(err, l.Close())
}

// Close closes the sockets. Serve does so itself.
func (l *Listener) Close() error {
	l.unfollow()
	var errs []error
	for _, s := range l.services {
		errs = append(errs, s.close())
	}
	return errors.Join(errs...)
}

// withDefaults is a copy of the server with defaults for every nil field
// except Observe.
func (s *Server) withDefaults() *Server {
	c := *s
	if c.Booter == nil {
		c.Booter = noBooter{}
	}
	if c.Leases == nil {
		c.Leases = &MemoryLeases{}
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

// noBooter is the Booter of a server that has none.
type noBooter struct{}

func (noBooter) Boot(context.Context, Client) Boot {
	return Boot{Reason: "this server has no boot files"}
}

// listenOn makes the service of one interface: its address, lease tables and
// open sockets.
func (s *Server) listenOn(ctx context.Context, i Interface, commits *committer) (*service, error) {
	addrs, err := s.system.addresses(i.Name)
	if err != nil {
		return nil, err
	}
	if i, err = i.resolve(addrs); err != nil {
		return nil, err
	}
	v := &service{server: s, iface: i, commits: commits, members: members{s.Members}, log: s.Log.With("interface", i.Name)}
	v.storing.SetLimit(maxStoring)
	v.checking.SetLimit(maxChecking)
	if i.Mode == Pool {
		v.tables = s.newTables(i)
	}
	if err := v.open(ctx); err != nil {
		return nil, errors.Join(err, v.close())
	}
	return v, nil
}

// newTables makes the lease table of each network of an interface.
func (s *Server) newTables(i Interface) []*table {
	var all []*table
	for _, n := range append([]Network{i.Network}, i.Relayed...) {
		avoid := append([]netip.Addr{i.Addr, i.TFTP, n.Router}, n.DNS...)
		t := newTable(n, s.Booter, s.Now, avoid...)
		t.members, t.host = members{s.Members}, s.host
		all = append(all, t)
	}
	return all
}

// String names the mode as the logs do.
func (m Mode) String() string {
	if m == Proxy {
		return "proxy"
	}
	return "pool"
}
