package uplink

import (
	"bufio"
	"context"
	"flag"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"

	"cloudlets/testdata/needs"
)

// These tests run dnsmasq as the DHCP server. All of it happens in network
// namespaces that each test makes and takes away again. The code under test runs
// in a process of its own in one of them.

// These are in the environment of a process of the test: the URLs of the servers
// that it looks for, with commas; the time that it has for that; the machine's
// UUID; the file for name servers.
const (
	child         = "CLOUDLETS_UPLINK_SERVER"
	childLimit    = "CLOUDLETS_UPLINK_LIMIT"
	childUUID     = "CLOUDLETS_UPLINK_UUID"
	childResolver = "CLOUDLETS_UPLINK_RESOLVER"
)

// patience bounds every wait of a test.
const patience = time.Minute

// TestMain lets more tests run at once than there are processors, unless the command line
// says how many: each has a network of its own, in which most of its time is waiting.
func TestMain(m *testing.M) {
	server := os.Getenv(child)
	if server == "" {
		flag.Parse()
		chosen := false
		flag.Visit(func(f *flag.Flag) { chosen = chosen || f.Name == "test.parallel" })
		if !chosen {
			flag.Set("test.parallel", "8")
		}
		os.Exit(m.Run())
	}
	if err := runChild(server); err != nil {
		fmt.Println("failed:", err)
		os.Exit(1)
	}
}

// runChild brings eth0 up, says so, and takes it down when its input ends.
func runChild(server string) error {
	limit := patience
	if seconds, err := time.ParseDuration(os.Getenv(childLimit)); err == nil {
		limit = seconds
	}
	ctx, stop := context.WithTimeout(context.Background(), limit)
	defer stop()
	link, err := netlink.LinkByName("eth0")
	if err != nil {
		return err
	}
	log := slog.New(slog.NewTextHandler(os.Stderr, nil))
	up, err := start(context.Background(), ctx, link, Options{Servers: strings.Split(server, ","), UUID: os.Getenv(childUUID), Resolver: os.Getenv(childResolver), Log: log})
	if err != nil {
		return err
	}
	fmt.Println("up", up.Address, "time servers", up.TimeServers())
	_, err = io.Copy(io.Discard, os.Stdin)
	up.Down()
	fmt.Println("down")
	return err
}

// cable is two network namespaces with a cable between them. The server's end is
// eth0 with 10.99.0.1/24. The client's end is eth0 without an address.
type cable struct{ server, client string }

var cables atomic.Int64

// newCable lays a cable, and lets the test run beside others.
func newCable(t *testing.T) cable {
	t.Helper()
	t.Parallel()
	return layCable(t)
}

func layCable(t *testing.T) cable {
	t.Helper()
	needs.Root(t)
	needs.Tool(t, "ip", "iproute2")
	id := fmt.Sprintf("uplink%d-%d", os.Getpid(), cables.Add(1))
	c := cable{id + "s", id + "c"}
	for _, ns := range []string{c.server, c.client} {
		run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
		run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	run(t, "ip", "-n", c.server, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", c.client)
	run(t, "ip", "-n", c.server, "addr", "add", "10.99.0.1/24", "dev", "eth0")
	run(t, "ip", "-n", c.server, "link", "set", "eth0", "up")
	return c
}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	// Not the test's context: clean-up runs after that has ended.
	ctx, stop := context.WithTimeout(context.Background(), patience)
	defer stop()
	out, err := exec.CommandContext(ctx, name, args...).CombinedOutput()
	if err != nil {
		t.Errorf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// process is a program in a namespace, with the lines that it prints.
type process struct {
	cmd   *exec.Cmd
	input io.WriteCloser
	lines chan string
	seen  []string
}

// begin starts a program in a namespace, and ends it with the test.
func begin(t *testing.T, ns string, environment []string, argv ...string) *process {
	t.Helper()
	cmd := exec.Command("ip", append([]string{"netns", "exec", ns}, argv...)...)
	cmd.Env = append(os.Environ(), environment...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	reader, writer := io.Pipe()
	cmd.Stdout, cmd.Stderr = writer, writer
	input, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	p := &process{cmd, input, make(chan string, 1000), nil}
	go func() {
		defer close(p.lines)
		for lines := bufio.NewScanner(reader); lines.Scan(); {
			p.lines <- lines.Text()
		}
	}()
	t.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = writer.Close()
		for range p.lines {
		}
	})
	return p
}

// waitFor waits until the program prints a line with a word, and returns it.
func (p *process) waitFor(t *testing.T, word string) string {
	t.Helper()
	limit := time.After(patience)
	for {
		select {
		case line := <-p.lines:
			p.seen = append(p.seen, line)
			if strings.Contains(line, word) {
				return line
			}
		case <-limit:
			t.Fatalf("%s never says %q; it said:\n%s", p.cmd, word, strings.Join(p.seen, "\n"))
		}
	}
}

// dnsmasq serves addresses of 10.99.0.0/24.
func (c cable) dnsmasq(t *testing.T, options ...string) *process {
	t.Helper()
	program := needs.Tool(t, "dnsmasq", "dnsmasq-base")
	argv := append([]string{
		program, "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--log-dhcp", "--leasefile-ro",
		"--dhcp-authoritative", "--no-ping", "--dhcp-range=10.99.0.100,10.99.0.199,2m",
	}, options...)
	p := begin(t, c.server, nil, argv...)
	p.waitFor(t, "DHCP, IP range")
	return p
}

// up starts the code under test in the client's namespace.
func (c cable) up(t *testing.T, server string, environment ...string) *process {
	t.Helper()
	program, err := filepath.Abs(os.Args[0])
	if err != nil {
		t.Fatal(err)
	}
	return begin(t, c.client, append(environment, child+"="+server), program)
}

func (c cable) routes(t *testing.T) string {
	t.Helper()
	return run(t, "ip", "-n", c.client, "route", "show")
}

func TestRoutesOfALease(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		options []string
		want    []string
		not     string
	}{
		"a /32 with a router off the link": {
			[]string{"--dhcp-option-force=1,255.255.255.255", "--dhcp-option=3,172.31.0.1"},
			[]string{"default via 172.31.0.1 dev eth0 onlink"}, "10.99.0.0/24",
		},
		"classless static routes alone": {
			[]string{"--dhcp-option=3", "--dhcp-option=121,10.50.0.0/16,10.99.0.1,0.0.0.0/0,172.31.0.1,172.31.0.1/32,0.0.0.0"},
			[]string{"default via 172.31.0.1 dev eth0", "10.50.0.0/16 via 10.99.0.1 dev eth0", "172.31.0.1 dev eth0 scope link"}, "onlink 10",
		},
		"classless static routes instead of a router": {
			[]string{"--dhcp-option=3,10.99.0.7", "--dhcp-option=121,10.50.0.0/16,10.99.0.1"},
			[]string{"10.50.0.0/16 via 10.99.0.1 dev eth0"}, "default",
		},
	} {
		t.Run(name, func(t *testing.T) {
			cable := newCable(t)
			cable.dnsmasq(t, c.options...)
			p := cable.up(t, "http://192.0.2.1")
			p.waitFor(t, "up 10.99.0.1")
			got := cable.routes(t)
			for _, want := range c.want {
				if !strings.Contains(got, want) {
					t.Errorf("the routes are\n%sand should have %q", got, want)
				}
			}
			if strings.Contains(got, c.not) {
				t.Errorf("the routes are\n%sand should not have %q", got, c.not)
			}
		})
	}
}

func TestNoServers(t *testing.T) {
	c := newCable(t)
	c.dnsmasq(t)
	c.up(t, "/").waitFor(t, "up 10.99.0.1")
}

// A router that no route can lead by, since it is the machine itself.
const badRouter = "--dhcp-option=3,127.0.0.1"

func TestABadRouterIsAWarningWhileTheServerIsOnTheLink(t *testing.T) {
	c := newCable(t)
	c.dnsmasq(t, badRouter)
	p := c.up(t, "http://10.99.0.1:8080")
	p.waitFor(t, "cannot be used")
	p.waitFor(t, "up 10.99.0.1")
}

func TestABadRouterIsAnErrorWhereTheServerIsBehindIt(t *testing.T) {
	c := newCable(t)
	c.dnsmasq(t, badRouter)
	c.up(t, "http://192.0.2.1:8080").waitFor(t, "no server is on the link: correct the router")
}

func TestMTUAndTimeServersOfALease(t *testing.T) {
	c := newCable(t)
	c.dnsmasq(t, "--dhcp-option=26,1400", "--dhcp-option=option:ntp-server,10.99.0.123")
	p := c.up(t, "http://10.99.0.1")
	contains(t, p.waitFor(t, "up 10.99.0.1"), "time servers [10.99.0.123]")
	if got := run(t, "ip", "-n", c.client, "link", "show", "eth0"); !strings.Contains(got, "mtu 1400 ") {
		t.Errorf("the interface is %s", got)
	}
	_ = p.input.Close()
	p.waitFor(t, "down")
	if got := run(t, "ip", "-n", c.client, "addr", "show", "eth0"); !strings.Contains(got, "mtu 1500 ") || !strings.Contains(got, "state DOWN") || strings.Contains(got, "inet 10.") {
		t.Errorf("after the hand-over the interface is %s", got)
	}
}

func TestDnsmasqRenewsTheLease(t *testing.T) {
	c := newCable(t)
	server := c.dnsmasq(t, "--dhcp-option=option:T1,1", "--dhcp-option=option:T2,4")
	p := c.up(t, "http://10.99.0.1")
	p.waitFor(t, "up 10.99.0.1")
	for range 3 { // one for the new lease, and one for each time that it is extended
		server.waitFor(t, "DHCPACK(eth0) 10.99.0.1")
	}
	if strings.Contains(strings.Join(server.seen, "\n"), "DHCPNAK") {
		t.Errorf("dnsmasq refused:\n%s", strings.Join(server.seen, "\n"))
	}
}

func TestARefusedLeaseIsReplaced(t *testing.T) {
	c := newCable(t)
	hosts := filepath.Join(t.TempDir(), "hosts")
	reserve := func(line string) {
		if err := os.WriteFile(hosts, []byte(line), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	reserve("")
	server := c.dnsmasq(t, "--user=root", "--dhcp-hostsfile="+hosts, "--dhcp-option=option:T1,1", "--dhcp-option=option:T2,4")
	p := c.up(t, "http://10.99.0.1")
	address, _, _ := strings.Cut(strings.TrimPrefix(p.waitFor(t, "up 10.99.0.1"), "up "), "/")
	// The address is another machine's from now on, so that dnsmasq refuses to renew it.
	reserve("02:00:00:00:00:99," + address + "\n")
	if err := server.cmd.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	server.waitFor(t, "DHCPNAK")
	p.waitFor(t, "the address is lost")
	p.waitFor(t, "there is an address\"")
	if got := run(t, "ip", "-n", c.client, "addr", "show", "eth0"); strings.Contains(got, address+"/") || !strings.Contains(got, "inet 10.99.0.1") {
		t.Errorf("%s was refused, and the interface has\n%s", address, got)
	}
}
