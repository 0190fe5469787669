package v4

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"iter"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
)

// These tests run real clients and servers of other makes. All of it happens
// in network namespaces that each test makes and takes away again.

// serve runs our server in a namespace until the test ends. It returns the
// exchanges as they happen.
func serve(t *testing.T, ns string, i Interface) <-chan dhcp.Exchange {
	t.Helper()
	return serveLogged(t, ns, i, t.Output())
}

// serveLogged is serve with a log of warnings.
func serveLogged(t *testing.T, ns string, i Interface, log io.Writer) <-chan dhcp.Exchange {
	t.Helper()
	i.Name = "eth0"
	return serveAll(t, ns, &Server{Interfaces: []Interface{i}}, log)
}

// serveAll is serve, with all the interfaces and networks of s, and a log of warnings.
func serveAll(t *testing.T, ns string, s *Server, log io.Writer) <-chan dhcp.Exchange {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	exchanges := make(chan dhcp.Exchange, 1<<16)
	s.Booter, s.system = booterFunc(dhcptest.Boot), enter(t, ns)
	s.Observe = func(e dhcp.Exchange) { exchanges <- e }
	s.Log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelWarn}))
	l, err := s.Listen(ctx)
	if err != nil {
		stop()
		t.Fatalf("server: %v", err)
	}
	go func() { done <- l.Serve(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Errorf("server ended with %v", err)
		}
	})
	return exchanges
}

// namespace is the system of a network namespace, whichever thread asks. A thread
// that is in there calls what is sent to calls.
type namespace struct {
	linux
	calls chan func()
}

var _ system = namespace{}

// enter makes the system of a namespace, for as long as the test runs. Its thread
// lasts as long: its end would be that of the programs that were started from it
// (Pdeathsig).
func enter(t *testing.T, ns string) namespace {
	t.Helper()
	n := namespace{calls: make(chan func())}
	entered, ended := make(chan struct{}), make(chan error, 1)
	go func() {
		ended <- dhcptest.Inside(ns, func() error {
			close(entered)
			for f := range n.calls {
				f()
			}
			return nil
		})
	}()
	select {
	case <-entered:
	case err := <-ended:
		t.Fatal(err)
	}
	t.Cleanup(func() { close(n.calls); <-ended })
	return n
}

// do calls f in the namespace.
func (n namespace) do(f func()) {
	done := make(chan struct{})
	n.calls <- func() { defer close(done); f() }
	<-done
}

func (n namespace) look(iface string) (state linkState, err error) {
	n.do(func() { state, err = n.linux.look(iface) })
	return state, err
}

func (n namespace) watch() (w watcher) {
	n.do(func() { w = n.linux.watch() })
	return w
}

func (n namespace) listen(ctx context.Context, iface string, port uint16) (sock udpSocket, err error) {
	n.do(func() { sock, err = n.linux.listen(ctx, iface, port) })
	return sock, err
}

func (n namespace) hardware(iface string) (sender hardwareSender, err error) {
	n.do(func() { sender, err = n.linux.hardware(iface) })
	return sender, err
}

func (n namespace) hostAddresses() (addrs []netip.Addr, err error) {
	n.do(func() { addrs, err = n.linux.hostAddresses() })
	return addrs, err
}

func (n namespace) beside(iface string, from netip.AddrPort) (sock udpSocket, err error) {
	n.do(func() { sock, err = n.linux.beside(iface, from) })
	return sock, err
}

func (n namespace) neighbours(iface string) (found neighbours, err error) {
	n.do(func() { found, err = n.linux.neighbours(iface) })
	return found, err
}

func (n namespace) prober(iface string) (p prober, err error) {
	n.do(func() { p, err = n.linux.prober(iface) })
	return p, err
}

// next waits for exchange after exchange.
func next(t *testing.T, exchanges <-chan dhcp.Exchange) iter.Seq[dhcp.Exchange] {
	return func(yield func(dhcp.Exchange) bool) {
		for {
			select {
			case e := <-exchanges:
				if !yield(e) {
					return
				}
			case <-time.After(dhcptest.Patience):
				t.Error("the exchange that the test waits for never happens")
				return
			}
		}
	}
}

// soFar takes the exchanges that have happened.
func soFar(exchanges <-chan dhcp.Exchange) []dhcp.Exchange {
	var all []dhcp.Exchange
	for len(exchanges) > 0 {
		all = append(all, <-exchanges)
	}
	return all
}

func foreignPool(last byte) Interface {
	r := dhcp.Range{First: netip.MustParseAddr("10.99.0.100"), Last: netip.AddrFrom4([4]byte{10, 99, 0, last})}
	return Interface{Network: dhcp.Network{Pool: dhcp.Ranges{r}, Router: netip.MustParseAddr("10.99.0.1")}}
}

func TestUdhcpc(t *testing.T) {
	dhcptest.Need(t, "udhcpc", "udhcpc")
	w := dhcptest.NewWire(t)
	serve(t, w.Server, foreignPool(199))
	for _, term := range []string{"3600", "3[0-9]{3}"} { // the second time, it is the same lease
		out := dhcptest.In(t, w.Client, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-s", "/bin/true")
		if !regexp.MustCompile(`lease of 10\.99\.0\.100 obtained from 10\.99\.0\.1, lease time ` + term + `\b`).MatchString(out) {
			t.Errorf("udhcpc says:\n%s", out)
		}
	}
}

func TestDhclient(t *testing.T) {
	dhcptest.Need(t, "dhclient", "isc-dhcp-client")
	w := dhcptest.NewWire(t)
	seen := serve(t, w.Server, foreignPool(199))
	dir := t.TempDir()
	leases, pid := filepath.Join(dir, "leases"), filepath.Join(dir, "pid")
	if err := os.WriteFile(leases, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"dhclient", "-4", "-v", "-1", "-sf", "/bin/true", "-cf", "/dev/null", "-lf", leases, "-pf", pid, "eth0"}
	endByPID(t, pid)
	out := dhcptest.In(t, w.Client, flags...)
	if !strings.Contains(out, "bound to 10.99.0.100") {
		t.Errorf("dhclient says:\n%s", out)
	}
	text, err := os.ReadFile(leases)
	if err != nil || !bytes.Contains(text, []byte("option routers 10.99.0.1")) || !bytes.Contains(text, []byte("option subnet-mask 255.255.255.0")) {
		t.Errorf("dhclient's lease (%v):\n%s", err, text)
	}
	dhcptest.Run(t, "ip", "-n", w.Client, "addr", "add", "10.99.0.100/24", "dev", "eth0")
	dhcptest.In(t, w.Client, append([]string{"dhclient", "-r"}, flags[1:]...)...)
	for e := range next(t, seen) {
		if e.Request == "RELEASE" {
			if !strings.Contains(e.Reason, "10.99.0.100 is free again") {
				t.Errorf("release: %+v", e)
			}
			break
		}
	}
}

// endByPID ends the process of a pid file when the test ends.
func endByPID(t *testing.T, file string) {
	t.Cleanup(func() {
		text, err := os.ReadFile(file)
		if err != nil {
			return
		}
		var pid int
		if n, _ := fmt.Sscan(string(text), &pid); n == 1 && pid > 1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	})
}

// TestPerfdhcp has 100 clients, behind what perfdhcp plays as a relay agent, go
// through the whole exchange: none fails, and no two are given one address.
func TestPerfdhcp(t *testing.T) {
	dhcptest.Need(t, "perfdhcp", "kea-admin")
	w := dhcptest.NewWire(t)
	dhcptest.Run(t, "ip", "-n", w.Client, "addr", "add", "10.99.0.2/24", "dev", "eth0")
	seen := serve(t, w.Server, foreignPool(254))
	out := dhcptest.In(t, w.Client, "perfdhcp", "-4", "-l", "eth0", "-r", "50", "-R", "100", "-n", "100", "-d", "60", "-W", "5000000", "10.99.0.1")
	count := func(what string) (counts []string) { // of both exchanges
		for _, found := range regexp.MustCompile(what+` packets: (\d+)`).FindAllStringSubmatch(out, -1) {
			counts = append(counts, found[1])
		}
		return counts
	}
	// perfdhcp may send one more than it was told to.
	if sent := count("sent"); len(sent) != 2 || !slices.Equal(sent, count("received")) {
		t.Errorf("want an OFFER and an ACK for each packet:\n%s", out)
	}
	owner := map[netip.Addr]string{}
	for _, e := range soFar(seen) {
		if e.Reply != "ACK" {
			continue
		}
		if other, ok := owner[e.Addr]; ok && other != e.Client.MAC.String() {
			t.Errorf("%s was given to %s and %s", e.Addr, other, e.Client.MAC)
		}
		owner[e.Addr] = e.Client.MAC.String()
	}
	if len(owner) != 100 {
		t.Errorf("%d addresses were given to 100 clients", len(owner))
	}
}

// startDnsmasq runs dnsmasq as the network's DHCP server.
func startDnsmasq(t *testing.T, ns string) {
	t.Helper()
	log := filepath.Join(t.TempDir(), "log")
	runDnsmasq(t, ns, log, "--interface=eth0", "--bind-interfaces", "--no-ping", "--log-dhcp",
		"--dhcp-range=10.99.0.10,10.99.0.20", "--dhcp-leasefile="+filepath.Join(t.TempDir(), "leases"))
	waitForText(t, log, "sockets bound exclusively to interface")
}

// runDnsmasq runs dnsmasq in a namespace until the test ends, with its log in a file.
func runDnsmasq(t *testing.T, ns, log string, flags ...string) {
	t.Helper()
	dhcptest.Need(t, "dnsmasq", "dnsmasq-base")
	file, err := os.Create(log)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	c := exec.Command("ip", append([]string{"netns", "exec", ns, "dnsmasq", "--no-daemon", "--port=0", "--conf-file=/dev/null", "--user=root"}, flags...)...)
	c.Stderr = file
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = c.Process.Kill()
		_ = c.Wait()
		if said, err := os.ReadFile(log); t.Failed() && err == nil {
			t.Logf("dnsmasq says:\n%s", said)
		}
	})
}

// waitForText waits until a log says something.
func waitForText(t *testing.T, file, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), dhcptest.Patience)
	defer cancel()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for {
		b, err := os.ReadFile(file)
		if err == nil && bytes.Contains(b, []byte(text)) {
			return
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			t.Fatalf("%s never says %q:\n%s", file, text, b)
		}
	}
}

// addProxy adds a third namespace to a wire, whose eth0 is on the same
// network with the address 10.99.0.3, and runs our proxy there.
func addProxy(t *testing.T, w dhcptest.Wire) <-chan dhcp.Exchange {
	t.Helper()
	ns := strings.TrimSuffix(w.Server, "s") + "p"
	dhcptest.Run(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { dhcptest.Run(t, "ip", "netns", "del", ns) })
	// The client's end becomes a bridge of both cables; the client is the
	// bridge itself, under the name that it had.
	dhcptest.Run(t, "ip", "-n", w.Client, "link", "set", "eth0", "name", "cable0", "down")
	dhcptest.Run(t, "ip", "-n", ns, "link", "add", "eth0", "type", "veth", "peer", "name", "cable1", "netns", w.Client)
	dhcptest.Run(t, "ip", "-n", w.Client, "link", "add", "eth0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
	for _, cable := range []string{"cable0", "cable1"} {
		dhcptest.Run(t, "ip", "-n", w.Client, "link", "set", cable, "master", "eth0", "up")
	}
	dhcptest.Run(t, "ip", "-n", w.Client, "link", "set", "eth0", "up")
	dhcptest.Run(t, "ip", "-n", ns, "addr", "add", "10.99.0.3/24", "dev", "eth0")
	dhcptest.Run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
	return serve(t, ns, Interface{Network: dhcp.Network{Mode: dhcp.Proxy}})
}

// TestProxyBesideDnsmasq: a plain client hears only the network's own server;
// a boot client hears both.
func TestProxyBesideDnsmasq(t *testing.T) {
	dhcptest.Need(t, "udhcpc", "udhcpc")
	w := dhcptest.NewWire(t)
	startDnsmasq(t, w.Server)
	seen := addProxy(t, w)
	out := dhcptest.In(t, w.Client, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-s", "/bin/true")
	if !regexp.MustCompile(`lease of 10\.99\.0\.\d+ obtained from 10\.99\.0\.1,`).MatchString(out) {
		t.Errorf("udhcpc says:\n%s", out)
	}
	for _, e := range soFar(seen) {
		if e.Reply != "" {
			t.Errorf("the proxy answered a plain client: %+v", e)
		}
	}
	found := probe(t, w.Client)
	if len(found) != 2 {
		t.Fatalf("a boot client hears %+v, want two servers", found)
	}
	dnsmasq, proxy := found[0], found[1]
	if dnsmasq.Server.String() != "10.99.0.1" || dnsmasq.Proxy() || proxy.Server.String() != "10.99.0.3" || !proxy.Proxy() {
		t.Errorf("a boot client hears %+v", found)
	}
}

// probe runs Probe in a namespace.
func probe(t *testing.T, ns string) []ether.Found {
	t.Helper()
	var found []ether.Found
	err := dhcptest.Inside(ns, func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		found, err = ether.Probe(ctx, "eth0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestProbe(t *testing.T) {
	w := dhcptest.NewWire(t)
	if found := probe(t, w.Client); len(found) != 0 {
		t.Errorf("on an empty network a probe finds %+v", found)
	}
	serve(t, w.Server, foreignPool(199))
	found := probe(t, w.Client)
	want := ether.Found{Server: netip.MustParseAddr("10.99.0.1"), Offered: netip.MustParseAddr("10.99.0.100"), File: "snponly.efi"}
	if len(found) != 1 || found[0] != want {
		t.Errorf("a probe finds %+v, want %+v", found, want)
	}
}

func TestProbeSaysWhatIsWrong(t *testing.T) {
	if _, err := ether.Probe(t.Context(), "nosuch0"); err == nil || !strings.Contains(err.Error(), "nosuch0") {
		t.Errorf("no such interface: %v", err)
	}
	if _, err := ether.Probe(t.Context(), "lo"); err == nil || !strings.Contains(err.Error(), "no Ethernet interface") {
		t.Errorf("loopback: %v", err)
	}
}

// TestProbeEndsWithItsContext: a probe that is called off returns at once.
func TestProbeEndsWithItsContext(t *testing.T) {
	w := dhcptest.NewWire(t)
	err := dhcptest.Inside(w.Client, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		cancel()
		_, err := ether.Probe(ctx, "eth0")
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPortsAreNotShared: a second server on the interface is told so.
func TestPortsAreNotShared(t *testing.T) {
	w := dhcptest.NewWire(t)
	serve(t, w.Server, foreignPool(199))
	second := &Server{Interfaces: []Interface{{Name: "eth0", Network: dhcp.Network{Mode: dhcp.Proxy}}}}
	err := dhcptest.Inside(w.Server, func() error {
		_, err := second.Listen(t.Context())
		return err
	})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "ss -lunp") {
		t.Errorf("error %v", err)
	}
}
