//go:build linux

package v6

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
)

// These tests run real clients. All of it happens in network namespaces that each test
// makes and takes away again. The server is this test's program once more, in the
// network's namespace.

// patience bounds what a test waits for.
const patience = 2 * time.Minute

// serveHere, in the environment, has the program serve and not test.
const serveHere = "CLOUDLETS_TEST_SERVE_DHCPV6"

func TestMain(m *testing.M) {
	if os.Getenv(serveHere) != "" {
		if err := serveBed(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

// serveBed serves the bridge, and tells of each exchange on standard output.
func serveBed() error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	told := make(chan dhcp.Exchange, 4096)
	s := &Server{
		Interfaces: []Interface{{Name: bed.Bridge, Network: lab}}, Booter: &dhcpBooter{},
		Relayed: []Network{{Name: "far", Subnet: netip.MustParsePrefix("fd88::/64"), Pool: ranges("fd88::100-fd88::1ff")}},
		Observe: func(x dhcp.Exchange) { told <- x }, Log: slog.New(slog.NewTextHandler(os.Stderr, nil)),
	}
	l, err := s.Listen(ctx)
	if err != nil {
		return err
	}
	written := make(chan error, 1)
	go func() {
		out := json.NewEncoder(os.Stdout)
		errs := []error{out.Encode(dhcp.Exchange{Request: "ready"})}
		for x := range told {
			errs = append(errs, out.Encode(x))
		}
		written <- errors.Join(errs...)
	}()
	err = l.Serve(ctx)
	close(told)
	return errors.Join(err, <-written)
}

// dhcpBooter boots everything from one file.
type dhcpBooter struct{}

func (*dhcpBooter) Boot(context.Context, dhcp.Client) dhcp.Boot {
	return dhcp.Boot{File: "snponly.efi", Reason: "a test"}
}

// wire is a network with a server on its bridge.
type wire struct {
	*testing.T
	ctx       context.Context
	net       *bed.Network
	exchanges chan dhcp.Exchange
}

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
	w := &wire{t, ctx, network, make(chan dhcp.Exchange, 4096)}
	w.on(network, "ip", "addr", "add", own.String()+"/64", "dev", bed.Bridge, "nodad")
	w.serve()
	return w
}

// serve runs the server until the test ends, and returns when it is ready.
func (w *wire) serve() {
	w.Helper()
	program, err := os.Executable()
	if err != nil {
		w.Fatal(err)
	}
	cmd := w.net.Command(context.WithoutCancel(w.ctx), program)
	cmd.Env = append(os.Environ(), serveHere+"=1")
	var words strings.Builder
	cmd.Stderr = &words
	out, err := cmd.StdoutPipe()
	if err != nil {
		w.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		w.Fatal(err)
	}
	read := make(chan struct{})
	go func() {
		defer close(read)
		defer close(w.exchanges)
		for lines := bufio.NewScanner(out); lines.Scan(); {
			var x dhcp.Exchange
			if json.Unmarshal(lines.Bytes(), &x) == nil {
				w.exchanges <- x
			}
		}
	}()
	w.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		<-read
		if err := cmd.Wait(); err != nil || w.Failed() {
			w.Errorf("the server ended with %v and says:\n%s", err, words.String())
		}
	})
	w.until("ready")
}

// until waits for an exchange that a kind of request began.
func (w *wire) until(request string) dhcp.Exchange {
	w.Helper()
	for {
		select {
		case x, more := <-w.exchanges:
			switch {
			case x.Request == request:
				return x
			case !more:
				w.Fatalf("the server has ended before a %s", request)
			}
		case <-w.ctx.Done():
			w.Fatalf("no %s came", request)
		}
	}
}

// host adds a host to the network, whose link-local address is final.
func (w *wire) host(mac string) *bed.Network {
	w.Helper()
	host, done, err := w.net.Leg(w.ctx, mac)
	if err != nil {
		w.Fatal(err)
	}
	w.Cleanup(done)
	w.settled(host)
	return host
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

// on runs a program on a host, and returns what it printed.
func (w *wire) on(host *bed.Network, args ...string) string {
	w.Helper()
	out, err := host.Command(w.ctx, args[0], args[1:]...).CombinedOutput()
	var failed *exec.ExitError
	if err != nil && !(errors.As(err, &failed) && args[0] == "perfdhcp") { // it fails if a packet is lost
		w.Fatalf("%s: %v\n%s", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// TestDhclient gets an address with its configuration, keeps it when it asks again,
// and gives it back.
func TestDhclient(t *testing.T) {
	t.Parallel()
	needs.Tool(t, "dhclient", "isc-dhcp-client")
	w := newWire(t)
	host := w.host(card.String())
	dir := t.TempDir()
	leases, pid := filepath.Join(dir, "leases"), filepath.Join(dir, "pid")
	if err := os.WriteFile(leases, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	flags := []string{"-6", "-v", "-1", "-sf", "/bin/true", "-cf", "/dev/null", "-lf", leases, "-pf", pid, "eth0"}
	t.Cleanup(func() { endByPID(pid) })
	w.on(host, append([]string{"dhclient"}, flags...)...)
	x := w.until("REQUEST")
	if !lab.Pool.Contains(x.Addr) || x.Client.MAC.String() != card.String() || x.Reply != "REPLY" {
		t.Errorf("dhclient's Request was answered by %+v", x)
	}
	text, err := os.ReadFile(leases)
	if err != nil || !strings.Contains(string(text), "iaaddr "+x.Addr.String()) || !strings.Contains(string(text), "dhcp6.name-servers fd77::53") {
		t.Errorf("dhclient's lease (%v):\n%s", err, text)
	}
	w.on(host, append([]string{"dhclient", "-r"}, flags...)...)
	if x := w.until("RELEASE"); !strings.Contains(x.Reason, "is free again") {
		t.Errorf("release: %+v", x)
	}
}

// endByPID ends the process of a pid file.
func endByPID(file string) {
	text, _ := os.ReadFile(file)
	var pid int
	if n, _ := fmt.Sscan(string(text), &pid); n == 1 && pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
}

// TestPerfdhcp has 50 clients go through the whole exchange: no two get one address.
// They have one link-local address, and not one that tells of a network card, so their
// DUIDs count.
func TestPerfdhcp(t *testing.T) {
	t.Parallel()
	needs.Tool(t, "perfdhcp", "kea-admin")
	w := newWire(t)
	host := w.host(card.String())
	w.on(host, "ip", "-6", "addr", "flush", "dev", "eth0")
	w.on(host, "ip", "addr", "add", "fe80::99/64", "dev", "eth0", "nodad")
	out := w.on(host, "perfdhcp", "-6", "-l", "eth0", "-r", "20", "-R", "50", "-n", "50", "-W", "2000000", "all")
	received := regexp.MustCompile(`received packets: (\d+)`).FindAllStringSubmatch(out, -1)
	if len(received) != 2 || received[0][1] != "50" || received[1][1] != "50" {
		t.Fatalf("want 50 Advertises and 50 Replies:\n%s", out)
	}
	owner := map[netip.Addr]string{}
	for len(owner) < 50 {
		x := w.until("REQUEST")
		if other, twice := owner[x.Addr]; twice || !lab.Pool.Contains(x.Addr) {
			t.Errorf("%s was given to %s and %s", x.Addr, other, x.Client.MAC)
		}
		owner[x.Addr] = x.Client.MAC.String()
	}
}

// TestRelayed has dnsmasq, as a relay agent, bring the packets of a client that is on
// another link. It gets an address of that link.
func TestRelayed(t *testing.T) {
	t.Parallel()
	needs.Tool(t, "dhclient", "isc-dhcp-client")
	dnsmasq := needs.Tool(t, "dnsmasq", "dnsmasq-base")
	w := newWire(t)
	relay := w.host(other.String())
	for _, args := range []string{
		"addr add fd77::9/64 dev eth0 nodad", "link add " + bed.Bridge + " type bridge stp_state 0 forward_delay 0",
		"addr add fd88::9/64 dev " + bed.Bridge + " nodad", "link set " + bed.Bridge + " up",
	} {
		w.on(relay, append([]string{"ip"}, strings.Fields(args)...)...)
	}
	w.on(w.net, "ip", "route", "add", "fd88::/64", "via", "fd77::9")
	client, done, err := relay.Leg(w.ctx, card.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(done)
	w.settled(client)
	agent := relay.Command(context.WithoutCancel(w.ctx), dnsmasq, "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--dhcp-relay=fd88::9,fd77::1", "--pid-file=", "--user=root")
	if err := agent.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = agent.Process.Kill()
		_ = agent.Wait()
	})
	dir := t.TempDir()
	leases, pid := filepath.Join(dir, "leases"), filepath.Join(dir, "pid")
	if err := os.WriteFile(leases, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { endByPID(pid) })
	w.on(client, "dhclient", "-6", "-v", "-1", "-sf", "/bin/true", "-cf", "/dev/null", "-lf", leases, "-pf", pid, "eth0")
	x := w.until("REQUEST")
	if !netip.MustParsePrefix("fd88::/64").Contains(x.Addr) || x.Client.MAC.String() != card.String() {
		t.Errorf("behind the relay, %s got %s: %s", x.Client.MAC, x.Addr, x.Reason)
	}
}
