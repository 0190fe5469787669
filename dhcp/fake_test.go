package dhcp

import (
	"context"
	"net"
	"net/netip"
	"os"
	"sync"
	"testing"
	"time"
)

// fakeSystem is a system without a network: one interface, whose packets the
// test puts in and takes out.
type fakeSystem struct {
	addrs []netip.Prefix
	ports map[uint16]*fakeConn
	out   chan sent
	fail  error // what listen returns

	mu     sync.Mutex
	paused []time.Duration
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
	out := make(chan sent, 4*maxWaiting)
	f := &fakeSystem{addrs: []netip.Prefix{netip.MustParsePrefix("10.77.0.1/24")}, out: out, ports: map[uint16]*fakeConn{}}
	for _, port := range []uint16{ServerPort, BootPort} {
		f.ports[port] = &fakeConn{port: port, in: make(chan arrival), out: out, fail: make(chan error), closed: make(chan struct{}), woken: make(chan struct{})}
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

func (*fakeSystem) changes(ctx context.Context) bool { <-ctx.Done(); return false }

func (f *fakeSystem) listen(_ context.Context, _ string, port uint16) (udpSocket, error) {
	return f.ports[port], f.fail
}

func (f *fakeSystem) pause(_ context.Context, d time.Duration) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.paused = append(f.paused, d)
}

func (f *fakeSystem) hardware(string) (hardwareSender, error) { return fakeHardware{f.out}, nil }

// fakeSystems is a host with several interfaces, each on a network of its own.
type fakeSystems map[string]*fakeSystem

var _ system = fakeSystems{}

func (f fakeSystems) look(iface string) (linkState, error) { return f[iface].look(iface) }

func (fakeSystems) changes(ctx context.Context) bool { <-ctx.Done(); return false }

func (f fakeSystems) listen(ctx context.Context, iface string, port uint16) (udpSocket, error) {
	return f[iface].listen(ctx, iface, port)
}

func (f fakeSystems) hardware(iface string) (hardwareSender, error) { return f[iface].hardware(iface) }

func (fakeSystems) pause(context.Context, time.Duration) {}

// fakeHardware is the raw side of a fakeSystem.
type fakeHardware struct{ out chan sent }

func (h fakeHardware) Close() error { return nil }

func (h fakeHardware) sendTo(mac net.HardwareAddr, from, to netip.AddrPort, data []byte) error {
	h.out <- sent{from.Port(), to, mac.String(), data}
	return nil
}

// fakeConn is one UDP port of a fakeSystem.
type fakeConn struct {
	net.PacketConn
	port   uint16
	in     chan arrival
	fail   chan error // what receive returns instead of a packet
	out    chan sent
	closed chan struct{}
	woken  chan struct{} // closed by SetReadDeadline

	closeOnce, wakeOnce sync.Once
}

func (c *fakeConn) receive(b []byte) (n int, from netip.AddrPort, unicast bool, err error) {
	select {
	case a := <-c.in:
		return copy(b, a.data), a.from, a.unicast, nil
	case err = <-c.fail:
	case <-c.woken:
		err = os.ErrDeadlineExceeded
	case <-c.closed:
		err = net.ErrClosed
	}
	return 0, from, false, err
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
	exchanges chan Exchange
	listener  *Listener
	stop      context.CancelFunc
	done      chan error
}

// patience ends a test that hangs; nothing waits for it otherwise.
const patience = 30 * time.Second

// startBed starts a server on one interface and stops it when the test ends.
func startBed(t *testing.T, i Interface, change func(*Server)) *bed {
	t.Helper()
	b := &bed{fakeSystem: newFakeSystem(), t: t, exchanges: make(chan Exchange, 4*maxWaiting), done: make(chan error, 1)}
	ctx, stop := context.WithCancel(t.Context())
	b.stop = stop
	i.Name = "eth9"
	s := &Server{
		Interfaces: []Interface{i}, Booter: booterFunc(testBoot), system: b.fakeSystem,
		Observe: func(e Exchange) { b.exchanges <- e },
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
	case <-time.After(patience):
		b.t.Error("server does not end")
	}
	b.done = nil
}

// put hands a request to the server and returns what became of it.
func (b *bed) put(s sample) Exchange {
	b.t.Helper()
	select {
	case b.ports[s.req.Port].in <- arrival{s.req.Packet.ToBytes(), s.req.Source, s.req.Unicast}:
	case <-time.After(patience):
		b.t.Fatal("server does not read")
	}
	select {
	case e := <-b.exchanges:
		return e
	case <-time.After(patience):
		b.t.Fatalf("server does not handle %s", s.name)
		return Exchange{}
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
type booterFunc func(Client) Boot

func (f booterFunc) Boot(_ context.Context, c Client) Boot { return f(c) }
