package v6

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

const (
	// workers is how many packets of an interface are handled at once. One that gets an
	// address waits for the lease store.
	workers = 64
)

// link is an interface that is served, as it comes and goes.
type link struct {
	listener *Listener
	iface    Interface
	lan      *lan
	log      *slog.Logger
	queue    *queue
	askers   askers

	repeating *serving.Room // answers that wait to be sent again
	// Each sort of warning is logged once a minute, since a flood of packets can cause
	// them.
	panicked, noAddress serving.Throttle
	said                string // why it is not served, as the log has it; "" if it is

	conns []*net.UDPConn // by the order of ports(); none while the interface is not there

	mu    sync.Mutex
	state state // zero while the interface is not there
}

func newLink(l *Listener, i Interface, n *lan) *link {
	log := l.server.Log.With("interface", i.Name)
	return &link{listener: l, iface: i, lan: n, log: log, queue: newQueue(log, l.server.Now), repeating: serving.NewRoom(maxRepeats)}
}

// ports are the UDP ports to serve. Only a proxy is asked on the boot port.
func (k *link) ports() []uint16 {
	if k.lan.Mode == dhcp.Proxy {
		return []uint16{ServerPort, BootPort}
	}
	return []uint16{ServerPort}
}

// now is what the interface is now.
func (k *link) now() state {
	k.mu.Lock()
	defer k.mu.Unlock()
	return k.state
}

// address is the server's own address there; invalid while it is not served.
func (k *link) address() netip.Addr { return k.now().own }

// duid is the server's identifier on the interface: a DUID-LL, which stays the same
// over restarts with nothing to keep (RFC 8415, 11.4).
func (s state) duid() dhcpv6.DUID {
	return &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: s.iface.HardwareAddr}
}

func (k *link) setState(s state) {
	k.mu.Lock()
	k.state = s
	k.mu.Unlock()
	k.listener.avoid()
}

// Open opens the sockets of the interface as it is now.
func (k *link) Open(ctx context.Context) error {
	s, err := look(k.iface.Name, k.lan.Subnet)
	if err != nil {
		return err
	}
	if len(s.iface.HardwareAddr) == 0 {
		return fmt.Errorf("the interface %s has no link-layer address, from which the server's DUID is made: serve an Ethernet interface", k.iface.Name)
	}
	for _, port := range k.ports() {
		conn, err := listen(ctx, s.iface, port)
		if err != nil {
			return errors.Join(err, k.close())
		}
		k.conns = append(k.conns, conn)
	}
	k.setState(s)
	return nil
}

func (k *link) close() error {
	var errs []error
	for _, conn := range k.conns {
		errs = append(errs, conn.Close())
	}
	k.conns = nil
	return errors.Join(errs...)
}

// run serves the interface until ctx ends, and waits for it while it is not there.
func (k *link) run(ctx context.Context) error {
	return serving.KeepUp(ctx, k, k.listener.server.Watch)
}

// IsOpen implements [serving.Link].
func (k *link) IsOpen() bool { return k.conns != nil }

// Say logs, once for each cause, that the interface is not served.
func (k *link) Say(err error) {
	switch {
	case err == nil:
		k.said = ""
	case err.Error() != k.said:
		k.said = err.Error()
		k.log.Warn("no DHCPv6 on this interface yet; it is served as soon as that is possible", "reason", k.said)
	}
}

// Serve answers on the interface until ctx ends or the interface changes. An error
// means that a socket cannot be read although nothing has changed.
func (k *link) Serve(ctx context.Context, told <-chan struct{}) error {
	k.log.Info("serving DHCPv6", "mode", k.lan.Mode.String(), "address", k.address().String(), "subnet", k.lan.Subnet.String())
	stopped, stop := context.WithCancel(ctx)
	defer stop()
	answering, running := errgroup.WithContext(stopped)
	for i, port := range k.ports() {
		answering.Go(func() error { return k.read(running, k.conns[i], port) })
	}
	for range workers {
		answering.Go(func() error { k.work(running); return nil })
	}
	answering.Go(func() error {
		<-running.Done()
		for _, conn := range k.conns {
			_ = conn.SetReadDeadline(time.Unix(1, 0)) // wakes the reader; it is closed below
		}
		return nil
	})
	answering.Go(func() error {
		k.watch(running, told)
		stop()
		return nil
	})
	err := answering.Wait()
	k.repeating.Wait() // half a second at the most
	err = errors.Join(err, k.close())
	changed := k.hasChanged()
	k.setState(state{})
	if err == nil || changed && ctx.Err() == nil {
		return nil
	}
	return err
}

// watch returns when the interface has changed, or ctx ends.
func (k *link) watch(ctx context.Context, told <-chan struct{}) {
	for serving.Await(ctx, told) {
		if k.hasChanged() {
			k.log.Warn("the interface or its address has changed; DHCPv6 is served there again as soon as it is possible")
			return
		}
	}
}

func (k *link) hasChanged() bool {
	was := k.now()
	is, err := look(k.iface.Name, k.lan.Subnet)
	return err != nil || is.iface.Index != was.iface.Index || is.own != was.own
}

// read takes packets off a socket as fast as they come.
func (k *link) read(ctx context.Context, conn *net.UDPConn, port uint16) error {
	buf := make([]byte, serving.MaxPacket+1)
	err := serving.Read(ctx, serving.Pause, func() error {
		n, from, err := conn.ReadFromUDPAddrPort(buf)
		if err == nil {
			k.received(buf[:n], arrivedAt{conn, from, port})
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("read from UDP port %d of %s: %w", port, k.iface.Name, err)
	}
	return nil
}

// arrivedAt is the socket that a packet came to, and where it came from.
type arrivedAt struct {
	conn *net.UDPConn
	from netip.AddrPort
	port uint16
}
