// Package advertise spares an iPXE its wait for an IPv6 router. All of it is IPv6, and
// of use where machines boot by IPv4: a router of IPv6 answers for itself.
//
// Beside DHCP, an iPXE asks for an IPv6 router (a router solicitation, RFC 4861)
// and repeats that for about 20 s before it boots without one. A [Server] answers
// it with a router advertisement that says nothing: its router lifetime is 0, so
// it offers no route, and it has no flags, no prefixes and no options. It goes by
// unicast to the one machine that asked.
//
// A solicitation is answered only if
//   - the DHCP server answered that machine as an iPXE within the last minute, and
//     has heard of no operating system on it since,
//   - it comes from the link-local address that follows from the machine's MAC
//     (RFC 4291, appendix A), as those of every iPXE do,
//   - no router was heard on the network whose lifetime still runs.
//
// What is remembered, and how much is sent, is bounded.
package advertise

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"time"

	"cloudlets/dhcp"
)

// openAgain is after how long a server tries once more to open its socket.
const openAgain = 2 * time.Second

// Server answers the router solicitations of the iPXEs on one interface. Make one
// with [New].
type Server struct {
	iface string
	log   *slog.Logger

	mu      sync.Mutex
	network network
	answers chan netip.Addr // whom to answer next; full while too many ask
	told    string          // why the socket could not be opened, as the log has it
}

// New makes a server for a network interface, "eth1".
func New(iface string, log *slog.Logger) *Server {
	return &Server{iface: iface, log: log.With("interface", iface), network: newNetwork(), answers: make(chan netip.Addr, maxQueued)}
}

// SawExchange tells the server of a DHCP exchange. It never blocks, and may be
// called by several goroutines at once, also while Serve does not run.
func (s *Server) SawExchange(x dhcp.Exchange) {
	addr, ok := linkLocal(x.Client.MAC)
	if !ok {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case x.Client.Kind == dhcp.Plain:
		s.network.dismiss(addr)
	case bootsIPXE(x) && s.network.admit(addr, time.Now()):
		s.answer(addr)
	}
}

// bootsIPXE says whether an exchange sends an iPXE on to its boot file. A proxy
// lends no address, so its offer is its last word: the acknowledgement comes from
// the network's own DHCP server.
func bootsIPXE(x dhcp.Exchange) bool {
	isIPXE := x.Client.Kind == dhcp.OwnIPXE || x.Client.Kind == dhcp.IPXE
	return isIPXE && (x.Reply == "ACK" || x.Reply == "OFFER" && !x.Addr.IsValid())
}

// answer queues an answer. Those that find no room are dropped: an iPXE asks
// again.
func (s *Server) answer(to netip.Addr) {
	select {
	case s.answers <- to:
	default:
	}
}

// linkLocal is the link-local address that an iPXE makes of its MAC: fe80::/64
// with the modified EUI-64 (RFC 4291, appendix A). It fails for what is not a MAC
// of Ethernet.
func linkLocal(mac net.HardwareAddr) (netip.Addr, bool) {
	if len(mac) != 6 {
		return netip.Addr{}, false
	}
	return netip.AddrFrom16([16]byte{
		0: 0xfe, 1: 0x80,
		8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5],
	}), true
}

// Serve answers until ctx ends, and then returns nil. While the interface has no
// link-local address, it answers nobody and looks again from time to time.
func (s *Server) Serve(ctx context.Context) error {
	again := time.NewTicker(openAgain)
	defer again.Stop()
	for {
		err := s.serveOnce(ctx)
		if ctx.Err() != nil {
			return nil
		}
		s.explain(err)
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// serveOnce answers until ctx ends or the socket fails.
func (s *Server) serveOnce(ctx context.Context) error {
	sock, err := open(s.iface)
	if err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	closing := context.AfterFunc(ctx, func() { _ = sock.conn.Close() })
	defer closing()
	var reader sync.WaitGroup
	reader.Go(func() { stop(s.read(sock)) })
	stop(s.write(ctx, sock))
	reader.Wait()
	_ = sock.conn.Close()
	return context.Cause(ctx)
}

// explain logs why nothing is answered, unless the log has it already. Without a
// usable address there is nothing to repair: machines wait for a router, as they
// would without this server.
func (s *Server) explain(err error) {
	if err == nil || s.told == err.Error() {
		return
	}
	s.told = err.Error()
	level := slog.LevelWarn
	if errors.Is(err, errNoAddress) || errors.Is(err, syscall.EADDRNOTAVAIL) {
		level = slog.LevelDebug
	}
	s.log.Log(context.Background(), level, "router solicitations are not answered, so each iPXE waits some 20 s for a router", "error", err)
}
