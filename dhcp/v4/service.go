package v4

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"runtime"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp"
	"cloudlets/dhcp/ether"
	"cloudlets/dhcp/serving"
	"cloudlets/dhcp/table"
)

const (
	// maxReceived is how many packets are taken off a socket at once.
	maxReceived = 64
	// readGap is how long a socket is left alone after all of its packets were read.
	// When a rack is switched on, the next read has several, and the server is
	// not woken for each. A packet that comes alone is read at once.
	readGap = time.Millisecond
	// maxStoring is how many packets may wait for the lease store, per interface.
	// Of further ones, those that renew a lease are answered without it.
	maxStoring = 1024
)

// workers is how many packets are handled at once, per socket. Handling one waits for
// nothing: what has to be stored is waited for elsewhere. More of them than processors
// would only be woken for nothing. There are two at least, so that one which cannot send
// does not stop the others.
func workers() int { return min(max(runtime.GOMAXPROCS(0), 2), 16) }

// service answers DHCP on one interface.
type service struct {
	server   *Server
	listener *Listener
	iface    Interface // with its address
	lan      *lan      // the interface's own network
	commits  *serving.Committer
	members  table.Members
	waits    waits
	askers   askers
	storing  *serving.Room // packets whose answers wait for the lease store
	stored   chan func()   // sends those answers; it has room for all
	// concluding is the goroutine that does so. An interface that takes no packets
	// holds up its own answers alone.
	concluding sync.WaitGroup
	// checking are offers that wait for a look at their address, by lookout. That
	// is nil for a proxy, and if no network of the interface is its own.
	checking *serving.Crew
	lookout  *lookout
	prober   prober // nil for a proxy
	log      *slog.Logger
	sockets  []*socket
	raw      hardwareSender
	// Each sort of warning is logged once a minute, since a flood of
	// packets can cause them.
	dropped, noAddress, unread, panicked, declined, hardware, misplaced serving.Throttle
}

// socket is one UDP port of an interface, and the packets that were read from
// it and wait for a worker.
type socket struct {
	udpSocket
	port  uint16
	queue *serving.Queue[ether.Datagram]
}

// open opens the sockets. If it fails, close closes those that it has opened.
func (s *service) open(ctx context.Context) (err error) {
	if s.raw, err = s.server.system.hardware(s.iface.Name); err != nil {
		return err
	}
	if s.lan.Mode == dhcp.Pool {
		if p, err := s.server.system.prober(s.iface.Name); err != nil { // as on loopback
			s.log.Info("other DHCP servers are not looked for", "error", err)
		} else {
			s.prober = p
		}
	}
	if s.lan.table != nil && s.lan.Subnet.Contains(s.iface.Addr) {
		n, err := s.server.system.neighbours(s.iface.Name)
		if err != nil {
			return err
		}
		s.lookout = newLookout(n, s.lan.table, s.server.Now, s.log)
	}
	for _, port := range []uint16{dhcp.ServerPort, dhcp.BootPort} {
		conn, err := s.listen(ctx, port)
		if err != nil {
			return err
		}
		s.sockets = append(s.sockets, &socket{conn, port, serving.NewQueue[ether.Datagram]()})
	}
	return nil
}

// listen opens the socket of a port. A proxy may run on the host of the DHCP server
// beside which it is one, and needs no port 67 of its own.
func (s *service) listen(ctx context.Context, port uint16) (udpSocket, error) {
	conn, err := s.server.system.listen(ctx, s.iface.Name, port)
	if s.lan.Mode != dhcp.Proxy || port != dhcp.ServerPort || !errors.Is(err, syscall.EADDRINUSE) {
		return conn, err
	}
	s.log.Info("another program of this host has port 67; the proxy answers beside it, and sees what comes there")
	return s.server.system.beside(s.iface.Name, netip.AddrPortFrom(s.iface.Addr, port))
}

// close closes all sockets.
func (s *service) close() error {
	var errs []error
	for _, sock := range s.sockets {
		errs = append(errs, sock.Close())
	}
	if s.raw != nil {
		errs = append(errs, s.raw.Close())
	}
	if s.prober != nil {
		errs = append(errs, s.prober.Close())
	}
	if s.lookout != nil {
		errs = append(errs, s.lookout.neighbours.Close())
	}
	return errors.Join(errs...)
}

// start adds the service's goroutines to a group. They end when ctx ends.
func (s *service) start(ctx context.Context, group *errgroup.Group) {
	s.log.Info("serving DHCP", "mode", s.lan.Mode.String(), "address", s.iface.Addr.String(),
		"subnet", s.lan.Subnet.Masked().String(), "pool", s.lan.Pool.String())
	if s.prober != nil {
		group.Go(func() error { return s.watchRivals(ctx) })
	}
	if s.lookout != nil {
		group.Go(func() error { return s.lookout.neighbours.Run(ctx) })
		group.Go(func() error { return s.lookout.run(ctx) })
	}
	s.concluding.Go(func() {
		for conclude := range s.stored {
			conclude()
		}
	})
	for _, sock := range s.sockets {
		group.Go(func() error { return s.read(ctx, sock) })
		for range workers() {
			group.Go(func() error { s.work(ctx, sock); return nil })
		}
		group.Go(func() error {
			<-ctx.Done()
			return sock.SetReadDeadline(time.Unix(1, 0)) // wakes the reader
		})
	}
}

// read takes packets off a socket as fast as they come.
func (s *service) read(ctx context.Context, sock *socket) error {
	batch := make([]ether.Datagram, maxReceived)
	err := serving.Read(ctx, s.server.system.pause, func() error {
		n, err := sock.Receive(batch)
		for _, d := range batch[:n] {
			s.queue(sock, d)
		}
		switch {
		case err == nil && n < len(batch):
			s.server.system.pause(ctx, readGap)
		case err != nil && ctx.Err() == nil && s.unread.Pass(s.server.Now()):
			s.log.Warn("a DHCP socket cannot be read; trying again", "port", sock.port, "error", err)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read from UDP port %d of %s: %w", sock.port, s.iface.Name, err)
	}
	return nil
}

// queue hands a packet to the workers, or drops it if too many wait.
func (s *service) queue(sock *socket, a ether.Datagram) {
	if !sock.queue.Put(a, s.isKnown(a.Data)) {
		s.warnDropped(sock)
	}
}

func (s *service) warnDropped(sock *socket) {
	if s.dropped.Pass(s.server.Now()) {
		s.log.Warn("too many DHCP packets at once, some are dropped; their clients will ask again", "port", sock.port)
	}
}

// isKnown says whether a packet is from a client that the registry knows. It
// reads the hardware address alone (RFC 2131, section 2), since a flood must
// cost as little as possible.
func (s *service) isKnown(packet []byte) bool {
	const htype, hlen, chaddr = 1, 2, 28
	registry, ok := s.server.Booter.(dhcp.Registry)
	if !ok || len(packet) < chaddr+6 || packet[htype] != 1 || packet[hlen] != 6 {
		return false
	}
	return registry.Known(net.HardwareAddr(packet[chaddr : chaddr+6]))
}

// finish waits until no packet is being handled any more. The sockets are still open.
func (s *service) finish() {
	s.checking.End()
	s.storing.Wait()
	close(s.stored)
	s.concluding.Wait()
}

// work handles packets until ctx ends. It finishes the packet that it is handling
// then.
func (s *service) work(ctx context.Context, sock *socket) {
	for ctx.Err() == nil {
		if a, ok := sock.queue.Next(ctx); ok {
			s.handle(context.WithoutCancel(ctx), sock, a)
		}
	}
}

// decision is what a packet is answered.
type decision struct {
	id    dhcp.Identity
	reply dhcp.Reply
	// check, if not nil, looks for another station at the address that the reply
	// offers, and returns the reply that is right then. It takes up to some 100s of
	// milliseconds.
	check func() dhcp.Reply
	// change, if not nil, has to be durable before the reply is sent. stored then
	// returns the reply that is right.
	change *dhcp.LeaseChange
	stored func(dhcp.LeaseOutcome, error) dhcp.Reply
}

// decide decides the reply to a request. It sets the client's address and the
// server's own in req.
func (s *service) decide(ctx context.Context, req *dhcp.Request) decision {
	if r, ok := s.server.Booter.(dhcp.Recogniser); ok {
		r.Recognise(req.Client)
	}
	seen := s.listener.view.Load()
	lan, unknown := seen.choose(*req, s.lan)
	switch {
	case lan == nil:
		s.noteUnanswered(*req, &s.listener.elsewhere, unknown)
		return decision{reply: dhcp.NoReply("%s", unknown)}
	case lan.Mode == dhcp.Off:
		return decision{reply: dhcp.NoReply("DHCP is off on the network %s", lan.Subnet)}
	}
	id := s.identity(*req, seen, lan)
	req.Client.Server = id.Addr
	grant, change := s.askTable(*req, id, lan)
	if grant.Addr.IsValid() {
		req.Client.Addr = grant.Addr
	}
	var boot dhcp.Boot
	if req.NeedsBoot(id, grant) {
		boot = s.server.Booter.Boot(ctx, req.Client)
	}
	answer := func(g dhcp.Grant) dhcp.Reply { return dhcp.Answer(*req, id, g, boot) }
	d := decision{id: id, reply: answer(grant)}
	switch r, t := *req, lan.table; {
	case grant.Unproven && lan == s.lan && s.lookout.needsLook(grant):
		d.check = func() dhcp.Reply { return s.check(ctx, req, lan, grant, answer) }
	case change != nil:
		d.change, d.stored = change, func(o dhcp.LeaseOutcome, err error) dhcp.Reply {
			return gaveBack(t, change.Lease.Addr, d.reply, o, err)
		}
	case d.reply.Packet != nil && d.reply.Packet.MessageType() == dhcpv4.MessageTypeAck && grant.Verdict == dhcp.Granted:
		s.bind(&d, r, lan, grant, answer)
	}
	return d
}

// identity is what the server says about itself to a client. Packets of one client
// may come by several interfaces, and it then keeps to the address that it chose.
func (s *service) identity(req dhcp.Request, seen *view, l *lan) dhcp.Identity {
	id := dhcp.Identity{Addr: s.iface.Addr, TFTP: s.iface.TFTP, Network: l.Network}
	if chosen := dhcp.ToAddr(req.Packet.ServerIdentifier()); slices.Contains(seen.own, chosen) {
		id.Addr = chosen
	}
	return id
}

// noteUnanswered notes that a client got no address, if it asked for one.
func (s *service) noteUnanswered(req dhcp.Request, w *serving.WaitingList, reason string) {
	mac, ok := dhcp.StationOf(req.Client.MAC)
	t := req.Packet.MessageType()
	if !ok || t != dhcpv4.MessageTypeDiscover && t != dhcpv4.MessageTypeRequest || req.Port != dhcp.ServerPort {
		return
	}
	w.Add(req.Client, dhcp.ToAddr(req.Packet.GatewayIPAddr), reason, s.server.Now())
	if s.noAddress.Pass(s.server.Now()) {
		s.log.Warn("no address for a client", "client", mac.String(), "reason", reason)
	}
}

// send sends a reply from the socket that the request came to: iPXE takes no
// answer from another port.
func (s *service) send(sock *socket, id dhcp.Identity, r dhcp.Reply) error {
	data := r.Packet.ToBytes()
	if r.To.Route == dhcp.Hardware {
		return s.raw.SendTo(r.To.MAC, netip.AddrPortFrom(id.Addr, sock.port), r.To.Addr, data)
	}
	if _, err := sock.WriteTo(data, net.UDPAddrFromAddrPort(r.To.Addr)); err != nil {
		return fmt.Errorf("send to %s: %w", r.To.Addr, err)
	}
	return nil
}

// report tells the log and the observer what became of a packet.
func (s *service) report(req dhcp.Request, r dhcp.Reply) {
	e := dhcp.Exchange{
		Client:  req.Client,
		Request: req.Packet.MessageType().String(),
		File:    r.File,
		Reason:  r.Reason,

		NewLease: r.NewLease,
	}
	if r.Packet != nil {
		e.Reply, e.Addr = r.Packet.MessageType().String(), dhcp.ToAddr(r.Packet.YourIPAddr)
	}
	if s.log.Enabled(context.Background(), slog.LevelDebug) {
		s.log.Debug("DHCP", "request", e.Request, "reply", e.Reply,
			"client", e.Client.MAC.String(), "kind", e.Client.Kind.String(),
			"address", e.Addr, "file", e.File, "reason", e.Reason)
	}
	if s.server.Observe != nil {
		s.server.Observe(e)
	}
}
