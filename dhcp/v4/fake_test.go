package v4

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
	"cloudlets/dhcp/ifwatch"
	"cloudlets/dhcp/serving"
)

// fakeSystem is a system without a network: one interface, whose packets the
// test puts in and takes out.
type fakeSystem struct {
	addrs []netip.Prefix
	ports map[uint16]*fakeConn
	out   chan sent
	fail  error // what listen returns

	stations fakeNeighbours
	rivals   []ether.Found

	mu     sync.Mutex
	paused []time.Duration
	later  []netip.Addr // of other interfaces, or added meanwhile
}

var _ system = (*fakeSystem)(nil)

// sent is a packet that the server sent.
type sent struct {
	port uint16 // from which it was sent
	to   netip.AddrPort
	mac  string // the hardware address, if the packet went to one
	data []byte
}

func newFakeSystem() *fakeSystem {
	out := make(chan sent, 4*serving.MaxWaiting)
	f := &fakeSystem{addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/24")}, out: out, ports: map[uint16]*fakeConn{}}
	for _, port := range []uint16{dhcp.ServerPort, dhcp.BootPort} {
		f.ports[port] = &fakeConn{port: port, in: make(chan ether.Datagram), out: out, fail: make(chan error), closed: make(chan struct{}), woken: make(chan struct{})}
	}
	return f
}

func (f *fakeSystem) look(string) (linkState, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	return linkState{index: 9, addrs: f.addrs}, nil
}

func (f *fakeSystem) setAddrs(addrs ...netip.Prefix) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.addrs = addrs
}

func (*fakeSystem) watch() watcher { return &fakeWatcher{} }

// fakeWatcher is the watcher of a system whose interfaces never change.
type fakeWatcher struct{ ifwatch.Signal }

func (*fakeWatcher) Run(ctx context.Context) error { <-ctx.Done(); return nil }
func (*fakeWatcher) Close()                        {}

func (f *fakeSystem) hostAddresses() (addrs []netip.Addr, err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for _, p := range f.addrs {
		addrs = append(addrs, p.Addr())
	}
	return append(addrs, f.later...), nil
}

// addAddress gives the host an address while the server runs.
func (f *fakeSystem) addAddress(a string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.later = append(f.later, netip.MustParseAddr(a))
}

func (f *fakeSystem) listen(_ context.Context, _ string, port uint16) (udpSocket, error) {
	return f.ports[port], f.fail
}

func (f *fakeSystem) beside(_ string, from netip.AddrPort) (udpSocket, error) {
	return f.ports[from.Port()], nil
}

// pause lasts as long as the test for what is done from time to time, and is over at
// once for all else.
func (f *fakeSystem) pause(ctx context.Context, d time.Duration) {
	if d >= rivalTime {
		<-ctx.Done()
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = append(f.paused, d)
}

func (f *fakeSystem) prober(string) (prober, error) { return fakeProber(f.rivals), nil }

// fakeProber is a prober that finds the same servers each time.
type fakeProber []ether.Found

func (p fakeProber) Close() error                                         { return nil }
func (p fakeProber) Probe(context.Context, string) ([]ether.Found, error) { return p, nil }

func (f *fakeSystem) hardware(string) (hardwareSender, error) { return fakeHardware{f.out}, nil }

func (f *fakeSystem) neighbours(string) (neighbours, error) { return &f.stations, nil }

// fakeNeighbours are the stations of a network that have an address.
type fakeNeighbours struct {
	mu    sync.Mutex
	has   map[netip.Addr]dhcp.Station
	asked []netip.Addr
}

func (n *fakeNeighbours) Run(ctx context.Context) error { return nil }
func (n *fakeNeighbours) Close() error                  { return nil }

func (n *fakeNeighbours) Holders(_ context.Context, addrs ...netip.Addr) (map[netip.Addr]dhcp.Station, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.asked = append(n.asked, addrs...)
	holders := map[netip.Addr]dhcp.Station{}
	for _, a := range addrs {
		if holder, found := n.has[a]; found {
			holders[a] = holder
		}
	}
	return holders, nil
}

// fakeSystems is a host with several interfaces, each on a network of its own.
type fakeSystems map[string]*fakeSystem

var _ system = fakeSystems{}

func (f fakeSystems) look(iface string) (linkState, error) { return f[iface].look(iface) }

func (fakeSystems) watch() watcher { return &fakeWatcher{} }

func (f fakeSystems) hostAddresses() (all []netip.Addr, err error) {
	for _, one := range f {
		addrs, err := one.hostAddresses()
		if err != nil {
			return nil, err
		}
		all = append(all, addrs...)
	}
	return all, nil
}

func (f fakeSystems) listen(ctx context.Context, iface string, port uint16) (udpSocket, error) {
	return f[iface].listen(ctx, iface, port)
}

func (f fakeSystems) neighbours(iface string) (neighbours, error) { return f[iface].neighbours(iface) }

func (f fakeSystems) hardware(iface string) (hardwareSender, error) { return f[iface].hardware(iface) }

func (f fakeSystems) beside(iface string, from netip.AddrPort) (udpSocket, error) {
	return f[iface].beside(iface, from)
}

func (f fakeSystems) prober(iface string) (prober, error) { return f[iface].prober(iface) }

func (f fakeSystems) pause(ctx context.Context, d time.Duration) {
	for _, one := range f {
		one.pause(ctx, d)
		return
	}
}

// fakeHardware is the raw side of a fakeSystem.
type fakeHardware struct{ out chan sent }

func (h fakeHardware) Close() error { return nil }

func (h fakeHardware) SendTo(mac net.HardwareAddr, from, to netip.AddrPort, data []byte) error {
	h.out <- sent{from.Port(), to, mac.String(), data}
	return nil
}

// fakeConn is one UDP port of a fakeSystem.
type fakeConn struct {
	net.PacketConn
	port   uint16
	in     chan ether.Datagram
	fail   chan error // what receive returns instead of a packet
	out    chan sent
	closed chan struct{}
	woken  chan struct{} // closed by SetReadDeadline

	closeOnce, wakeOnce sync.Once
}

func (c *fakeConn) Receive(into []ether.Datagram) (n int, err error) {
	select {
	case into[0] = <-c.in:
		return 1, nil
	case err = <-c.fail:
	case <-c.woken:
		err = os.ErrDeadlineExceeded
	case <-c.closed:
		err = net.ErrClosed
	}
	return 0, err
}

func (c *fakeConn) WriteTo(b []byte, to net.Addr) (int, error) {
	c.out <- sent{c.port, to.(*net.UDPAddr).AddrPort(), "", b}
	return len(b), nil
}

func (c *fakeConn) Close() error {
	c.closeOnce.Do(func() { close(c.closed) })
	return nil
}

// SetReadDeadline is only called with a time in the past.
func (c *fakeConn) SetReadDeadline(time.Time) error {
	c.wakeOnce.Do(func() { close(c.woken) })
	return nil
}

// bed is a server that runs on a fakeSystem.
type bed struct {
	*fakeSystem
	t         *testing.T
	exchanges chan dhcp.Exchange
	listener  *Listener
	stop      context.CancelFunc
	done      chan error
}

// startBed starts a server on one interface and stops it when the test ends.
func startBed(t *testing.T, i Interface, change func(*Server)) *bed {
	t.Helper()
	b := &bed{fakeSystem: newFakeSystem(), t: t, exchanges: make(chan dhcp.Exchange, 4*serving.MaxWaiting), done: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	b.stop = stop
	i.Name = "eth9"
	s := &Server{
		Interfaces: []Interface{i}, Booter: booterFunc(dhcptest.Boot), system: b.fakeSystem,
		Observe: func(e dhcp.Exchange) { b.exchanges <- e },
	}
	if change != nil {
		change(s)
	}
	l, err := s.Listen(ctx)
	if err != nil {
		t.Fatalf("server cannot begin: %v", err)
	}
	b.listener = l
	go func() { b.done <- l.Serve(ctx) }()
	t.Cleanup(b.end)
	return b
}

// end stops the server and waits until it is gone.
func (b *bed) end() {
	if b.done == nil {
		return
	}
	b.stop()
	select {
	case err := <-b.done:
		if err != nil {
			b.t.Errorf("server ended with %v", err)
		}
	case <-time.After(dhcptest.Patience):
		b.t.Error("server does not end")
	}
	b.done = nil
}

// put hands a request to the server and returns what became of it.
func (b *bed) put(s dhcptest.Sample) dhcp.Exchange {
	b.t.Helper()
	select {
	case b.ports[s.Req.Port].in <- ether.Datagram{Data: s.Req.Packet.ToBytes(), From: s.Req.Source, Unicast: s.Req.Unicast}:
	case <-time.After(dhcptest.Patience):
		b.t.Fatal("server does not read")
	}
	select {
	case e := <-b.exchanges:
		return e
	case <-time.After(dhcptest.Patience):
		b.t.Fatalf("server does not handle %s", s.Name)
		return dhcp.Exchange{}
	}
}

// got takes the packet that the server has sent. It is there by the time that
// put returns.
func (b *bed) got() sent {
	b.t.Helper()
	select {
	case s := <-b.out:
		return s
	default:
		b.t.Fatal("server sent nothing")
		return sent{}
	}
}

// booterFunc makes a function a Booter.
type booterFunc func(dhcp.Client) dhcp.Boot

func (f booterFunc) Boot(_ context.Context, c dhcp.Client) dhcp.Boot { return f(c) }
