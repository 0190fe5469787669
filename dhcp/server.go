package dhcp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"time"

	"golang.org/x/sync/errgroup"
)

const (
	// maxWaiting bounds the packets that wait for a worker, per socket. What
	// comes beyond them is dropped; clients ask again.
	maxWaiting = 1024
	// workers is how many packets are worked on at once, per socket. Most
	// of that time is waiting for the lease store.
	workers = 64
)

// Server answers DHCP on one or more interfaces. Fill in its fields, then
// call Serve once.
type Server struct {
	// Interfaces are what to serve on, at least one.
	Interfaces []Interface
	// Booter says what clients boot; nil lets nobody boot. If it is a
	// Reserver too, its reservations are kept.
	Booter Booter
	// Leases keeps leases over restarts; nil keeps them in memory only.
	Leases LeaseStore
	// Observe, if set, is told of every exchange, by several goroutines at
	// once. It must not block.
	Observe func(Exchange)
	// Ready, if set, is called once, when all sockets are open.
	Ready func()
	// Log is for the person who runs the server; nil is silent.
	Log *slog.Logger
	// Now is the clock that leases expire by; nil means time.Now.
	Now func() time.Time

	system system // nil means linux{}
}

// Serve answers until ctx ends, and then returns nil. It returns an error if
// it cannot begin, or if a socket fails.
func (s *Server) Serve(ctx context.Context) error {
	if len(s.Interfaces) == 0 {
		return errors.New("serve DHCP: no interface given: name at least one")
	}
	run := s.withDefaults()
	known, err := run.Leases.Leases()
	if err != nil {
		return fmt.Errorf("serve DHCP: read leases: %w", err)
	}
	commits := newCommitter(run.Leases)
	var links []*link
	defer func() {
		for _, l := range links {
			l.close()
		}
	}()
	for _, i := range run.Interfaces {
		l, err := run.open(ctx, i, known, commits)
		if err != nil {
			return err
		}
		links = append(links, l)
	}
	if run.Ready != nil {
		run.Ready()
	}
	return runLinks(ctx, links, commits)
}

// runLinks owns all goroutines of the server.
func runLinks(ctx context.Context, links []*link, commits *committer) error {
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return commits.run(ctx) })
	for _, l := range links {
		for _, sock := range l.sockets {
			tasks.Go(func() error { return l.read(ctx, sock) })
			for range workers {
				tasks.Go(func() error { return l.work(ctx, sock) })
			}
		}
		// Closing the sockets is what wakes their readers.
		tasks.Go(func() error { <-ctx.Done(); l.close(); return nil })
	}
	return tasks.Wait()
}

// withDefaults is a copy of the server in which nothing is nil but Observe
// and Ready.
func (s *Server) withDefaults() *Server {
	c := *s
	if c.Booter == nil {
		c.Booter = nobody{}
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
	return &c
}

// nobody lets no client boot.
type nobody struct{}

func (nobody) Boot(context.Context, Client) Boot {
	return Boot{Reason: "this server has no boot files"}
}

// open makes an interface ready: addresses, lease tables, sockets.
func (s *Server) open(ctx context.Context, i Interface, known []Lease, commits *committer) (*link, error) {
	addrs, err := s.system.addresses(i.Name)
	if err != nil {
		return nil, fmt.Errorf("serve DHCP on %s: %w", i.Name, err)
	}
	if i, err = i.resolve(addrs); err != nil {
		return nil, err
	}
	l := &link{server: s, iface: i, commits: commits, log: s.Log.With("interface", i.Name)}
	if i.Mode == Pool {
		l.tables = s.tables(i, known)
	}
	if err := l.open(ctx); err != nil {
		l.close()
		return nil, fmt.Errorf("serve DHCP on %s: %w", i.Name, err)
	}
	l.log.Info("serving DHCP", "mode", i.Mode.String(), "address", i.Addr.String(),
		"subnet", i.Network.Subnet.Masked().String(), "pool", i.Network.Range.String())
	return l, nil
}

// tables makes the lease table of each network of an interface.
func (s *Server) tables(i Interface, known []Lease) []*table {
	reserver, _ := s.Booter.(Reserver)
	var all []*table
	for _, n := range append([]Network{i.Network}, i.Relayed...) {
		avoid := append([]netip.Addr{i.Addr, i.TFTP, n.Router}, n.DNS...)
		t := newTable(n, reserver, s.Now, avoid...)
		for _, l := range known {
			t.load(l)
		}
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

// socket is one port of one interface, with the packets that wait there.
type socket struct {
	net.PacketConn
	port    uint16
	waiting chan arrival
}

// arrival is a packet as it came.
type arrival struct {
	data []byte
	from netip.AddrPort
}
