//go:build linux

package advertise

import (
	"bytes"
	"context"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"cloudlets/dhcp/dhcptest"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
)

// These tests run real clients and a real router. All of it happens in network
// namespaces that each test makes and takes away again.

// patience bounds what a test waits for.
const patience = 2 * time.Minute

// wire is a network with our server on its bridge.
type wire struct {
	*testing.T
	ctx    context.Context
	net    *bed.Network
	server *Server
	log    *lines
}

// newWire makes a network. Serve starts the server.
func newWire(t *testing.T) *wire {
	t.Helper()
	needs.Root(t)
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	log := &lines{news: make(chan struct{}, 1)}
	return &wire{t, ctx, network, New(bed.Bridge, slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))), log}
}

// lines is a log that a test waits for.
type lines struct {
	mu   sync.Mutex
	text bytes.Buffer
	news chan struct{}
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	select {
	case l.news <- struct{}{}:
	default:
	}
	return l.text.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.String()
}

// logged waits until the log has a text.
func (w *wire) logged(want string) {
	w.Helper()
	for !strings.Contains(w.log.String(), want) {
		select {
		case <-w.log.news:
		case <-w.ctx.Done():
			w.Fatalf("the log does not say %q:\n%s", want, w.log)
		}
	}
}

// serve runs the server until the test ends.
func (w *wire) serve() {
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- dhcptest.Inside(w.net.Name, func() error { return w.server.Serve(ctx) }) }()
	w.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			w.Errorf("the server ended with %v", err)
		}
	})
}

// host adds a host with a MAC to the network.
func (w *wire) host(mac net.HardwareAddr) *bed.Network {
	w.Helper()
	host, done, err := w.net.Leg(w.ctx, mac.String())
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(done)
	return host
}

// on runs a program on a host, and returns what it printed.
func (w *wire) on(host *bed.Network, args ...string) string {
	w.Helper()
	cmd := host.Command(w.ctx, args[0], args[1:]...)
	var errors strings.Builder // not part of the output: ip warns there of what other tests remove
	cmd.Stderr = &errors
	out, err := cmd.Output()
	if err != nil {
		w.Fatalf("%s: %v\n%s%s", strings.Join(args, " "), err, out, errors.String())
	}
	return string(out)
}

// answered is what rdisc6 prints of the first answer to a host's solicitations,
// which it repeats as an iPXE does.
func (w *wire) answered(host *bed.Network, mac net.HardwareAddr) string {
	w.Helper()
	rdisc6 := needs.Tool(w.T, "rdisc6", "ndisc6")
	for {
		w.server.SawExchange(acknowledged(mac))
		out, err := host.Command(w.ctx, rdisc6, "-n", "-1", "-r", "3", "-w", "500", "eth0").CombinedOutput()
		switch {
		case err == nil:
			return string(out)
		case w.ctx.Err() != nil:
			w.Fatalf("nobody answers a router solicitation: %s\nlog:\n%s", out, w.log)
		}
	}
}

// says finds the values that rdisc6 prints, by their names.
func says(out, name string) []string {
	var all []string
	for _, m := range regexp.MustCompile(`(?m)^\s*`+regexp.QuoteMeta(name)+`\s*:?\s+(.*?)\s*$`).FindAllStringSubmatch(out, -1) {
		all = append(all, m[1])
	}
	return all
}

// TestRdisc6 asks as an iPXE does. The answer says nothing, and it goes to the
// machine that asked. A machine whose DHCP was not seen gets none.
func TestRdisc6(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.serve()
	machine, stranger := w.host(macA), w.host(macB)
	out := w.answered(machine, macA)
	for name, want := range map[string]string{
		"Hop limit": "undefined (      0x00)", "Stateful address conf.": "No", "Stateful other conf.": "No", "Mobile home agent": "No",
		"Router preference": "medium", "Router lifetime": "0 (0x00000000) seconds",
	} {
		if got := says(out, name); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %q, want %q; rdisc6 says\n%s", name, got, want, out)
		}
	}
	for _, option := range []string{"Prefix", "Recursive DNS server", "MTU", "Source link-layer address", "Route  ", "DNS search list"} {
		if strings.Contains(out, option) {
			t.Errorf("the advertisement has an option:\n%s", out)
		}
	}
	if w.received(machine) == 0 || w.received(stranger) != 0 {
		t.Errorf("%d advertisements came to the machine, and %d to another host, want all of them at the machine", w.received(machine), w.received(stranger))
	}
	w.settled(stranger)
	refused, err := stranger.Command(w.ctx, "rdisc6", "-n", "-r", "3", "-w", "500", "eth0").CombinedOutput()
	if err == nil || !strings.Contains(string(refused), "No response.") {
		t.Errorf("a machine that did not boot by this server got an answer (%v):\n%s", err, refused)
	}
}

// received is how many router advertisements came to a host.
func (w *wire) received(host *bed.Network) int {
	w.Helper()
	for line := range strings.Lines(w.on(host, "cat", "/proc/net/dev_snmp6/eth0")) {
		if fields := strings.Fields(line); fields[0] == "Icmp6InRouterAdvertisements" {
			n, err := strconv.Atoi(fields[1])
			if err != nil {
				w.Fatal(err)
			}
			return n
		}
	}
	w.Fatal("the kernel does not count router advertisements")
	return 0
}

// TestSolicitationBeforeDHCP: an iPXE that asks before its DHCP ended is answered
// when that ends, without asking again.
func TestSolicitationBeforeDHCP(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.serve()
	w.answered(w.host(macB), macB) // now the server listens
	machine := w.host(net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xc})
	w.on(machine, "ip", "link", "set", "eth0", "down")
	w.on(machine, "sysctl", "-q", "net.ipv6.conf.eth0.accept_ra=0") // so that its kernel does not ask
	w.on(machine, "ip", "link", "set", "eth0", "address", macA.String(), "up")
	w.settled(machine)
	cmd := machine.Command(w.ctx, needs.Tool(t, "rdisc6", "ndisc6"), "-n", "-1", "-r", "1", "-w", "60000", "eth0")
	var out lines
	cmd.Stdout, cmd.Stderr = &out, &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	w.logged(`"router solicitation" interface=br0 from=` + machineA.String() + " answered=false")
	w.server.SawExchange(acknowledged(macA))
	if err := cmd.Wait(); err != nil {
		t.Errorf("the solicitation that waited is not answered: %v\n%s\nlog:\n%s", err, out.String(), w.log)
	}
}

// settled waits until a host may use its addresses.
func (w *wire) settled(host *bed.Network) {
	w.Helper()
	for w.on(host, "ip", "-6", "addr", "show", "dev", "eth0") == "" || w.on(host, "ip", "-6", "addr", "show", "dev", "eth0", "tentative") != "" {
		select {
		case <-time.After(50 * time.Millisecond):
		case <-w.ctx.Done():
			w.Fatal("the host's address stays tentative")
		}
	}
}

// addresses are what a host's kernel has of IPv6 on its interface: addresses,
// routes, and the hop limit of what it sends.
func (w *wire) addresses(host *bed.Network) string {
	w.Helper()
	hops, err := host.Command(w.ctx, "cat", "/proc/sys/net/ipv6/conf/eth0/hop_limit").Output()
	if err != nil {
		w.Fatal(err)
	}
	lifetimes := regexp.MustCompile(`(valid_lft|preferred_lft|expires) \S+`)
	text := w.on(host, "ip", "-6", "addr", "show", "dev", "eth0") + w.on(host, "ip", "-6", "route", "show", "table", "all") + "hop limit " + string(hops)
	return lifetimes.ReplaceAllString(text, "$1")
}

// TestHostGetsNothing: a Linux that takes every advertisement has the same
// addresses, routes and hop limit after ours as before.
func TestHostGetsNothing(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	host := w.host(macA)
	w.settled(host)
	w.on(host, "sysctl", "-q", "net.ipv6.conf.eth0.accept_ra=2")
	before := w.addresses(host)
	w.serve()
	for range 2 { // the kernel is done with the first when the second is there
		w.answered(host, macA)
	}
	if after := w.addresses(host); after != before {
		t.Errorf("before:\n%s\nafter:\n%s", before, after)
	}
}

// radvd runs a real router on a host. It is killed by stop, so that it cannot say
// that it leaves.
func (w *wire) radvd(host *bed.Network, config string) (stop func()) {
	w.Helper()
	radvd := needs.Tool(w.T, "radvd", "radvd")
	dir := w.TempDir()
	file := filepath.Join(dir, "radvd.conf")
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		w.Fatal(err)
	}
	w.on(host, "sysctl", "-q", "net.ipv6.conf.all.forwarding=1")
	// Not the test's context: it is killed by its process.
	cmd := exec.Command("ip", "netns", "exec", host.Name, radvd, "-n", "-m", "stderr", "-C", file, "-p", filepath.Join(dir, "pid"))
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	var words lines
	cmd.Stdout, cmd.Stderr = &words, &words
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	end := sync.OnceFunc(func() {
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) // radvd has a child with its privileges
		_ = cmd.Wait()
		if w.Failed() {
			w.Logf("radvd says:\n%s", words.String())
		}
	})
	w.Cleanup(end)
	return end
}

// TestRealRouter: while a router is there, its advertisements are the only ones.
// After it died and its lifetime ended, the server answers again.
func TestRealRouter(t *testing.T) {
	t.Parallel()
	rdisc6 := needs.Tool(t, "rdisc6", "ndisc6")
	w := newWire(t)
	w.serve()
	machine := w.host(macA)
	if out := w.answered(machine, macA); len(says(out, "from")) != 1 {
		t.Fatalf("rdisc6 says:\n%s", out)
	}
	stop := w.radvd(w.host(net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xff}), `interface eth0 {
	AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; AdvDefaultLifetime 12;
	prefix fd00:77::/64 { };
};`)
	const theirs = "12 (0x0000000c) seconds"
	who := func() (ours, router bool) {
		w.server.SawExchange(acknowledged(macA))
		out, _ := machine.Command(w.ctx, rdisc6, "-n", "-m", "-w", "1000", "-r", "1", "eth0").CombinedOutput()
		for _, lifetime := range says(string(out), "Router lifetime") {
			ours, router = ours || lifetime != theirs, router || lifetime == theirs
		}
		if w.ctx.Err() != nil {
			t.Fatalf("the router and this server do not take turns; at last rdisc6 said:\n%s", out)
		}
		return ours, router
	}
	for ours, router := who(); ours || !router; ours, router = who() {
	}
	for range 3 {
		if ours, _ := who(); ours {
			t.Error("the server answers although a router was heard")
		}
	}
	if routes := w.on(machine, "ip", "-6", "route", "show", "default"); !strings.Contains(routes, "proto ra") {
		t.Errorf("the machine takes no route from a real router either, so nothing is proven: %s", routes)
	}
	stop()
	for ours, _ := who(); !ours; ours, _ = who() {
	}
}

// TestForbiddenToSend: if the host forbids what the server sends, a warning says so
// once, however often it is tried.
func TestForbiddenToSend(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.host(macA)                                                           // the bridge gets its address when something is connected to it
	w.on(w.net, "ip", "-6", "rule", "add", "pref", "2", "lookup", "local") // instead of the first, which knows all groups
	w.on(w.net, "ip", "-6", "rule", "add", "pref", "1", "to", "ff02::2/128", "prohibit")
	w.on(w.net, "ip", "-6", "rule", "del", "pref", "0")
	err := dhcptest.Inside(w.net.Name, func() error {
		for tries := 0; tries < 3; {
			s := w.server
			s.explain(s.serveOnce(w.ctx))
			if strings.Contains(w.log.String(), "permission denied") {
				tries++
			}
			if w.ctx.Err() != nil {
				return w.ctx.Err()
			}
		}
		return nil
	})
	if text := w.log.String(); err != nil || strings.Count(text, "level=WARN") != 1 {
		t.Errorf("error %v; the log says:\n%s", err, text)
	}
}

// TestWithoutAddress: without IPv6 the log says once why nobody is answered. When
// the interface gets an address, machines are answered.
func TestWithoutAddress(t *testing.T) {
	t.Parallel()
	w := newWire(t)
	w.on(w.net, "sysctl", "-q", "net.ipv6.conf."+bed.Bridge+".disable_ipv6=1")
	w.serve()
	const want = "has no link-local IPv6 address"
	w.logged(want)
	machine := w.host(macA)
	w.on(w.net, "sysctl", "-q", "net.ipv6.conf."+bed.Bridge+".disable_ipv6=0")
	w.answered(machine, macA)
	if text := w.log.String(); strings.Count(text, want) != 1 || strings.Contains(text, "level=WARN") {
		t.Errorf("the log says:\n%s", text)
	}
}
