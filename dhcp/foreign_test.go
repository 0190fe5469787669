package dhcp

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
	"runtime"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/testdata/needs"
)

// These tests run real clients and servers of other makes. All of it happens
// in network namespaces that each test makes and takes away again.

// wire is two network namespaces with a cable between them: the server's end
// is eth0 with 10.99.0.1/24, the client's end is eth0 without an address.
type wire struct{ server, client string }

func newWire(t *testing.T) wire {
	t.Helper()
	needs.Root(t)
	need(t, "ip", "iproute2")
	name := strings.ToLower(strings.ReplaceAll(t.Name(), "/", ""))
	id := fmt.Sprintf("dhcp%d%s", os.Getpid(), name[len("test"):min(len(name), 12)])
	w := wire{id + "s", id + "c"}
	for _, ns := range []string{w.server, w.client} {
		run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
		run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	w.connect(t)
	return w
}

// connect makes the cable, whose ends are up.
func (w wire) connect(t *testing.T) {
	t.Helper()
	run(t, "ip", "-n", w.server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", w.client)
	run(t, "ip", "-n", w.server, "addr", "add", "10.99.0.1/24", "dev", "eth0")
	run(t, "ip", "-n", w.server, "link", "set", "eth0", "up")
	run(t, "ip", "-n", w.client, "link", "set", "eth0", "up")
}

// need fails the test if a foreign program is not installed.
func need(t *testing.T, program, debianPackage string) {
	t.Helper()
	needs.Tool(t, program, debianPackage)
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	// Not the test's context: clean-up runs after that has ended.
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// in runs a program in a namespace and returns what it printed.
func in(t *testing.T, ns string, args ...string) string {
	t.Helper()
	return run(t, "ip", append([]string{"netns", "exec", ns}, args...)...)
}

// inside calls f on a thread of its own that lives in a namespace.
func inside(ns string, f func() error) error {
	done := make(chan error, 1)
	go func() {
		// Never unlocked: the thread ends with the goroutine, and takes its
		// namespace with it.
		runtime.LockOSThread()
		done <- func() error {
			file, err := os.Open(filepath.Join("/run/netns", ns))
			if err != nil {
				return err
			}
			defer file.Close()
			if err := unix.Setns(int(file.Fd()), unix.CLONE_NEWNET); err != nil {
				return fmt.Errorf("enter namespace %s (it takes root): %w", ns, err)
			}
			return f()
		}()
	}()
	return <-done
}

// serve runs our server in a namespace until the test ends. It returns the
// exchanges as they happen.
func serve(t *testing.T, ns string, i Interface) <-chan Exchange {
	t.Helper()
	return serveLogged(t, ns, i, t.Output())
}

// serveLogged is serve with a log of warnings.
func serveLogged(t *testing.T, ns string, i Interface, log io.Writer) <-chan Exchange {
	t.Helper()
	i.Name = "eth0"
	return serveAll(t, ns, &Server{Interfaces: []Interface{i}}, log)
}

// serveAll is serve, with all the interfaces and networks of s, and a log of warnings.
func serveAll(t *testing.T, ns string, s *Server, log io.Writer) <-chan Exchange {
	t.Helper()
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	exchanges := make(chan Exchange, 1<<16)
	s.Booter, s.system = booterFunc(testBoot), enter(t, ns)
	s.Observe = func(e Exchange) { exchanges <- e }
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
		ended <- inside(ns, func() error {
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
func next(t *testing.T, exchanges <-chan Exchange) iter.Seq[Exchange] {
	return func(yield func(Exchange) bool) {
		for {
			select {
			case e := <-exchanges:
				if !yield(e) {
					return
				}
			case <-time.After(patience):
				t.Error("the exchange that the test waits for never happens")
				return
			}
		}
	}
}

// soFar takes the exchanges that have happened.
func soFar(exchanges <-chan Exchange) []Exchange {
	var all []Exchange
	for len(exchanges) > 0 {
		all = append(all, <-exchanges)
	}
	return all
}

func foreignPool(last byte) Interface {
	r := Range{netip.MustParseAddr("10.99.0.100"), netip.AddrFrom4([4]byte{10, 99, 0, last})}
	return Interface{Network: Network{Pool: Ranges{r}, Router: netip.MustParseAddr("10.99.0.1")}}
}

func TestUdhcpc(t *testing.T) {
	need(t, "udhcpc", "udhcpc")
	w := newWire(t)
	serve(t, w.server, foreignPool(199))
	for range 2 { // the second time, it is the same address
		out := in(t, w.client, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-s", "/bin/true")
		if !strings.Contains(out, "lease of 10.99.0.100 obtained from 10.99.0.1, lease time 3600") {
			t.Errorf("udhcpc says:\n%s", out)
		}
	}
}

func TestDhclient(t *testing.T) {
	need(t, "dhclient", "isc-dhcp-client")
	w := newWire(t)
	seen := serve(t, w.server, foreignPool(199))
	dir := t.TempDir()
	leases, pid := filepath.Join(dir, "leases"), filepath.Join(dir, "pid")
	if err := os.WriteFile(leases, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"dhclient", "-4", "-v", "-1", "-sf", "/bin/true", "-cf", "/dev/null", "-lf", leases, "-pf", pid, "eth0"}
	endByPID(t, pid)
	out := in(t, w.client, flags...)
	if !strings.Contains(out, "bound to 10.99.0.100") {
		t.Errorf("dhclient says:\n%s", out)
	}
	text, err := os.ReadFile(leases)
	if err != nil || !bytes.Contains(text, []byte("option routers 10.99.0.1")) || !bytes.Contains(text, []byte("option subnet-mask 255.255.255.0")) {
		t.Errorf("dhclient's lease (%v):\n%s", err, text)
	}
	run(t, "ip", "-n", w.client, "addr", "add", "10.99.0.100/24", "dev", "eth0")
	in(t, w.client, append([]string{"dhclient", "-r"}, flags[1:]...)...)
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
	need(t, "perfdhcp", "kea-admin")
	w := newWire(t)
	run(t, "ip", "-n", w.client, "addr", "add", "10.99.0.2/24", "dev", "eth0")
	seen := serve(t, w.server, foreignPool(254))
	out := in(t, w.client, "perfdhcp", "-4", "-l", "eth0", "-r", "50", "-R", "100", "-n", "100", "-d", "60", "-W", "5000000", "10.99.0.1")
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
	need(t, "dnsmasq", "dnsmasq-base")
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
	})
}

// waitForText waits until a log says something.
func waitForText(t *testing.T, file, text string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
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
func addProxy(t *testing.T, w wire) <-chan Exchange {
	t.Helper()
	ns := strings.TrimSuffix(w.server, "s") + "p"
	run(t, "ip", "netns", "add", ns)
	t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
	// The client's end becomes a bridge of both cables; the client is the
	// bridge itself, under the name that it had.
	run(t, "ip", "-n", w.client, "link", "set", "eth0", "name", "cable0", "down")
	run(t, "ip", "-n", ns, "link", "add", "eth0", "type", "veth", "peer", "name", "cable1", "netns", w.client)
	run(t, "ip", "-n", w.client, "link", "add", "eth0", "type", "bridge", "stp_state", "0", "forward_delay", "0")
	for _, cable := range []string{"cable0", "cable1"} {
		run(t, "ip", "-n", w.client, "link", "set", cable, "master", "eth0", "up")
	}
	run(t, "ip", "-n", w.client, "link", "set", "eth0", "up")
	run(t, "ip", "-n", ns, "addr", "add", "10.99.0.3/24", "dev", "eth0")
	run(t, "ip", "-n", ns, "link", "set", "eth0", "up")
	return serve(t, ns, Interface{Network: Network{Mode: Proxy}})
}

// TestProxyBesideDnsmasq: a plain client hears only the network's own server;
// a boot client hears both.
func TestProxyBesideDnsmasq(t *testing.T) {
	need(t, "udhcpc", "udhcpc")
	w := newWire(t)
	startDnsmasq(t, w.server)
	seen := addProxy(t, w)
	out := in(t, w.client, "udhcpc", "-i", "eth0", "-f", "-q", "-n", "-t", "20", "-s", "/bin/true")
	if !regexp.MustCompile(`lease of 10\.99\.0\.\d+ obtained from 10\.99\.0\.1,`).MatchString(out) {
		t.Errorf("udhcpc says:\n%s", out)
	}
	for _, e := range soFar(seen) {
		if e.Reply != "" {
			t.Errorf("the proxy answered a plain client: %+v", e)
		}
	}
	found := probe(t, w.client)
	if len(found) != 2 {
		t.Fatalf("a boot client hears %+v, want two servers", found)
	}
	dnsmasq, proxy := found[0], found[1]
	if dnsmasq.Server.String() != "10.99.0.1" || dnsmasq.Proxy() || proxy.Server.String() != "10.99.0.3" || !proxy.Proxy() {
		t.Errorf("a boot client hears %+v", found)
	}
}

// probe runs Probe in a namespace.
func probe(t *testing.T, ns string) []Found {
	t.Helper()
	var found []Found
	err := inside(ns, func() (err error) {
		ctx, cancel := context.WithTimeout(t.Context(), 2*time.Second)
		defer cancel()
		found, err = Probe(ctx, "eth0")
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return found
}

func TestProbe(t *testing.T) {
	w := newWire(t)
	if found := probe(t, w.client); len(found) != 0 {
		t.Errorf("on an empty network a probe finds %+v", found)
	}
	serve(t, w.server, foreignPool(199))
	found := probe(t, w.client)
	want := Found{netip.MustParseAddr("10.99.0.1"), netip.MustParseAddr("10.99.0.100"), "snponly.efi"}
	if len(found) != 1 || found[0] != want {
		t.Errorf("a probe finds %+v, want %+v", found, want)
	}
}

func TestProbeSaysWhatIsWrong(t *testing.T) {
	if _, err := Probe(t.Context(), "nosuch0"); err == nil || !strings.Contains(err.Error(), "nosuch0") {
		t.Errorf("no such interface: %v", err)
	}
	if _, err := Probe(t.Context(), "lo"); err == nil || !strings.Contains(err.Error(), "no Ethernet interface") {
		t.Errorf("loopback: %v", err)
	}
}

// TestProbeEndsWithItsContext: a probe that is called off returns at once.
func TestProbeEndsWithItsContext(t *testing.T) {
	w := newWire(t)
	err := inside(w.client, func() error {
		ctx, cancel := context.WithTimeout(context.Background(), time.Hour)
		cancel()
		_, err := Probe(ctx, "eth0")
		return err
	})
	if err != nil {
		t.Error(err)
	}
}

// TestPortsAreNotShared: a second server on the interface is told so.
func TestPortsAreNotShared(t *testing.T) {
	w := newWire(t)
	serve(t, w.server, foreignPool(199))
	second := &Server{Interfaces: []Interface{{Name: "eth0", Network: Network{Mode: Proxy}}}}
	err := inside(w.server, func() error {
		_, err := second.Listen(t.Context())
		return err
	})
	if !errors.Is(err, syscall.EADDRINUSE) || !strings.Contains(err.Error(), "ss -lunp") {
		t.Errorf("error %v", err)
	}
}
