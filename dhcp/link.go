package dhcp

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// maxPacket is more than an Ethernet frame holds.
const maxPacket = 2048

// link serves one interface.
type link struct {
	server  *Server
	iface   Interface
	tables  []*table // its own network first; none in proxy mode
	commits *committer
	log     *slog.Logger
	sockets []*socket
	raw     hardwareSender
	// Under a flood, one warning a minute of each sort is enough.
	dropped, noAddress throttle
}

// open opens the link's sockets. What is open when it fails, close closes.
func (l *link) open(ctx context.Context) (err error) {
	if l.raw, err = l.server.system.hardware(l.iface.Name); err != nil {
		return err
	}
	for _, port := range []uint16{ServerPort, BootPort} {
		conn, err := l.server.system.listen(ctx, l.iface.Name, port)
		if err != nil {
			return err
		}
		l.sockets = append(l.sockets, &socket{conn, port, make(chan arrival, maxWaiting)})
	}
	return nil
}

// close closes all sockets. To close one twice does no harm, and there is
// nothing to be done about a socket that does not close.
func (l *link) close() {
	for _, s := range l.sockets {
		_ = s.Close()
	}
	if l.raw != nil {
		_ = l.raw.Close()
	}
}

// read takes packets off a socket as fast as they come.
func (l *link) read(ctx context.Context, s *socket) error {
	buf := make([]byte, maxPacket)
	for {
		n, from, err := s.ReadFrom(buf)
		switch {
		case ctx.Err() != nil:
			return nil
		case err != nil:
			return fmt.Errorf("read from UDP port %d of %s: %w", s.port, l.iface.Name, err)
		}
		select {
		case s.waiting <- arrival{append([]byte(nil), buf[:n]...), addrPortOf(from)}:
		default:
			if l.dropped.pass(l.server.Now()) {
				l.log.Warn("too many DHCP packets at once, some are dropped; their clients will ask again", "port", s.port)
			}
		}
	}
}

// work answers packets until ctx ends.
func (l *link) work(ctx context.Context, s *socket) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case a := <-s.waiting:
			l.handle(ctx, s, a)
		}
	}
}

// handle takes one packet from its bytes to its answer.
func (l *link) handle(ctx context.Context, s *socket, a arrival) {
	p, err := Parse(a.data)
	if err != nil {
		l.log.Debug("packet ignored", "from", a.from.String(), "error", err)
		return
	}
	req := Request{Packet: p, Client: Classify(p), Port: s.port, Source: a.from}
	id, t := l.place(req)
	grant := l.lease(ctx, req, id, t)
	if grant.Addr.IsValid() {
		req.Client.Addr = grant.Addr
	}
	var boot Boot
	if asksBooter(req, id, grant) {
		boot = l.server.Booter.Boot(ctx, req.Client)
	}
	reply := Answer(req, id, grant, boot)
	if reply.Packet != nil && reply.Packet.MessageType() == dhcpv4.MessageTypeAck && grant.Verdict == Granted {
		reply = l.bind(ctx, req, t, grant, reply)
	}
	if reply.Packet != nil {
		if err := l.send(s, id, reply); err != nil {
			l.log.Error("answer not sent", "client", req.Client.MAC.String(), "error", err)
			reply = silence("the answer could not be sent: %s", err)
		}
	}
	l.report(req, reply)
}

// place finds the network that a client is on, and the table of its leases.
func (l *link) place(req Request) (Identity, *table) {
	id := Identity{l.iface.Mode, l.iface.Addr, l.iface.TFTP, l.iface.Network}
	relay := toAddr(req.Packet.GatewayIPAddr)
	for _, t := range l.tables {
		if !relay.IsValid() || t.network.Subnet.Contains(relay) {
			id.Network = t.network
			return id, t
		}
	}
	return id, nil
}

// send puts a reply on its way, from the socket that the request came to:
// iPXE takes no answer from another port.
func (l *link) send(s *socket, id Identity, r Reply) error {
	data := r.Packet.ToBytes()
	if r.To.Route == Hardware {
		return l.raw.sendTo(r.To.MAC, netip.AddrPortFrom(id.Addr, s.port), r.To.Addr, data)
	}
	if _, err := s.WriteTo(data, net.UDPAddrFromAddrPort(r.To.Addr)); err != nil {
		return fmt.Errorf("send to %s: %w", r.To.Addr, err)
	}
	return nil
}

// report tells the log and the observer what became of a packet.
func (l *link) report(req Request, r Reply) {
	e := Exchange{
		Client:  req.Client,
		Request: req.Packet.MessageType().String(),
		File:    r.File,
		Reason:  r.Reason,
	}
	level := slog.LevelDebug
	if r.Packet != nil {
		e.Reply, e.Addr = r.Packet.MessageType().String(), toAddr(r.Packet.YourIPAddr)
		level = slog.LevelInfo
	}
	l.log.Log(context.Background(), level, "DHCP", "request", e.Request, "reply", e.Reply,
		"client", e.Client.MAC.String(), "kind", e.Client.Kind.String(),
		"address", e.Addr, "file", e.File, "reason", e.Reason)
	if l.server.Observe != nil {
		l.server.Observe(e)
	}
}

func addrPortOf(a net.Addr) netip.AddrPort {
	if u, ok := a.(*net.UDPAddr); ok {
		ap := u.AddrPort()
		return netip.AddrPortFrom(ap.Addr().Unmap(), ap.Port())
	}
	return netip.AddrPort{}
}
