package uplink

import (
	"encoding/json"
	"net"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"cloudlets/testdata/needs"
)

// These tests run radvd, dnsmasq and Kea as IPv6 routers and DHCPv6 servers.

const (
	onLink  = "http://[fd77::1]:8080"
	offLink = "http://[fd88::1]:8080"
	// uuid is a machine's, and duid what it says to a DHCPv6 server for it.
	uuid = "4c4c4544-0042-3510-8052-b4c04f564433"
	duid = "00:04:4c:4c:45:44:00:42:35:10:80:52:b4:c0:4f:56:44:33"
)

// newCable6 is a cable whose server's end also has fe80::1 and fd77::1. It needs no
// duplicate address detection, so that servers can use them before the client is up.
func newCable6(t *testing.T) cable {
	t.Helper()
	c := newCable(t)
	run(t, "ip", "-n", c.server, "link", "set", "eth0", "addrgenmode", "none")
	run(t, "ip", "-n", c.server, "-6", "addr", "flush", "dev", "eth0")
	for _, address := range []string{"fe80::1/64", "fd77::1/64"} {
		run(t, "ip", "-n", c.server, "addr", "add", address, "dev", "eth0", "nodad")
	}
	run(t, "ip", "netns", "exec", c.server, "sh", "-c", "echo 1 >/proc/sys/net/ipv6/conf/all/forwarding")
	return c
}

// dnsmasq6 advertises itself as a router.
func (c cable) dnsmasq6(t *testing.T, options ...string) *process {
	t.Helper()
	program := needs.Tool(t, "dnsmasq", "dnsmasq-base")
	p := begin(t, c.server, nil, append([]string{
		program, "--no-daemon", "--conf-file=/dev/null", "--port=0", "--interface=eth0", "--log-dhcp", "--leasefile-ro",
		"--dhcp-authoritative", "--enable-ra",
	}, options...)...)
	p.waitFor(t, "router advertisement enabled")
	return p
}

// radvd advertises what the lines of its configuration say.
func (c cable) radvd(t *testing.T, lines string) {
	t.Helper()
	program := needs.Tool(t, "radvd", "radvd")
	dir := t.TempDir()
	file := filepath.Join(dir, "radvd.conf")
	text := "interface eth0 { AdvSendAdvert on; MinRtrAdvInterval 3; MaxRtrAdvInterval 4; " + lines + " };\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	begin(t, c.server, nil, program, "-n", "-m", "stderr", "-d", "1", "-C", file, "-p", filepath.Join(dir, "pid"))
}

// keaProgram is unpacked by `make bin/kea`.
const keaProgram = "../../bin/kea/usr/sbin/kea-dhcp6"

// kea gives addresses of a pool, to be renewed after a second.
func (c cable) kea(t *testing.T, pool string) *process {
	t.Helper()
	program, err := filepath.Abs(needs.Made(t, keaProgram, "bin/kea"))
	if err != nil {
		t.Fatal(err)
	}
	config, err := json.Marshal(map[string]any{"Dhcp6": map[string]any{
		"interfaces-config": map[string]any{"interfaces": []string{"eth0"}},
		"lease-database":    map[string]any{"type": "memfile", "persist": false},
		"server-id":         map[string]any{"type": "LL", "persist": false, "identifier": "020000000001"},
		"renew-timer":       1, "rebind-timer": 5, "preferred-lifetime": 20, "valid-lifetime": 30,
		"subnet6":     []any{map[string]any{"subnet": "fd77::/64", "interface": "eth0", "pools": []any{map[string]any{"pool": pool}}}},
		"option-data": []any{map[string]any{"name": "dns-servers", "data": "fd77::53"}},
		"loggers":     []any{map[string]any{"name": "kea-dhcp6", "severity": "DEBUG", "debuglevel": 50, "output_options": []any{map[string]any{"output": "stdout", "flush": true}}}},
	}})
	dir := t.TempDir()
	file := filepath.Join(dir, "kea.json")
	if err == nil {
		err = os.WriteFile(file, config, 0o600)
	}
	if err != nil {
		t.Fatal(err)
	}
	// Kea opens no socket on an interface without a carrier.
	run(t, "ip", "-n", c.client, "link", "set", "eth0", "up")
	p := begin(t, c.server, []string{"KEA_PIDFILE_DIR=" + dir, "KEA_LOCKFILE_DIR=" + dir}, program, "-c", file)
	p.waitFor(t, "DHCP6_STARTED")
	return p
}

func (c cable) show(t *testing.T, what ...string) string {
	t.Helper()
	return run(t, "ip", append([]string{"-n", c.client, "-6"}, what...)...)
}

func contains(t *testing.T, got string, want ...string) {
	t.Helper()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("there should be %q in\n%s", w, got)
		}
	}
}

func TestAddressAndRoutesOfARouter(t *testing.T) {
	c := newCable6(t)
	c.dnsmasq6(t, "--dhcp-range=fd77::,ra-only", "--ra-param=eth0,mtu:1400,4,1800")
	mac := run(t, "ip", "netns", "exec", c.client, "cat", "/sys/class/net/eth0/address")
	hw, err := net.ParseMAC(strings.TrimSpace(mac))
	if err != nil {
		t.Fatal(err)
	}
	p := c.up(t, offLink)
	// The address follows from the MAC, as the firmware's does (RFC 4291, appendix A).
	eui := net.IP{0xfd, 0x77, 0, 0, 0, 0, 0, 0, hw[0] ^ 2, hw[1], hw[2], 0xff, 0xfe, hw[3], hw[4], hw[5]}
	p.waitFor(t, "up "+eui.String()+"/64")
	contains(t, c.show(t, "route", "show"), "default via fe80::1 dev eth0", "fd77::/64 dev eth0")
	contains(t, run(t, "ip", "netns", "exec", c.client, "cat", "/proc/sys/net/ipv6/conf/eth0/mtu"), "1400")
	_ = p.input.Close()
	p.waitFor(t, "down")
	if got := c.show(t, "addr", "show", "eth0"); strings.Contains(got, "fd77:") {
		t.Errorf("after the hand-over the interface has\n%s", got)
	}
	contains(t, run(t, "ip", "-n", c.client, "link", "show", "eth0"), "state DOWN")
	contains(t, run(t, "ip", "netns", "exec", c.client, "cat", "/proc/sys/net/ipv6/conf/eth0/accept_ra"), "1")
}

func TestAddressOfADHCPv6Server(t *testing.T) {
	c := newCable6(t)
	server := c.dnsmasq6(t, "--dhcp-range=fd77::100,fd77::1ff,64,2m", "--dhcp-host=id:"+duid+",[fd77::42]", "--dhcp-option=option6:ntp-server,[fd77::123]")
	p := c.up(t, onLink, childUUID+"="+uuid)
	p.waitFor(t, "up fd77::42/128 time servers [fd77::123]")
	server.waitFor(t, "DHCPREPLY(eth0) fd77::42")
	contains(t, c.show(t, "route", "show"), "default via fe80::1 dev eth0", "fd77::/64 dev eth0")
	_ = p.input.Close()
	p.waitFor(t, "down")
	if got := c.show(t, "addr", "show", "eth0"); strings.Contains(got, "fd77:") {
		t.Errorf("after the hand-over the interface has\n%s", got)
	}
}

func TestAnAddressThatAnotherMachineHasIsDeclined(t *testing.T) {
	c := newCable6(t)
	run(t, "ip", "-n", c.server, "addr", "add", "fd77::100/128", "dev", "eth0", "nodad")
	server := c.kea(t, "fd77::100-fd77::101")
	c.radvd(t, "AdvManagedFlag on; prefix fd77::/64 { AdvAutonomous off; };")
	p := c.up(t, onLink)
	p.waitFor(t, "another machine on the network has it already")
	server.waitFor(t, "DECLINE")
	p.waitFor(t, "up fd77::101/128")
}

func TestKeaRenewsTheLease(t *testing.T) {
	c := newCable6(t)
	server := c.kea(t, "fd77::100-fd77::1ff")
	c.radvd(t, "AdvManagedFlag on; prefix fd77::/64 { AdvAutonomous off; }; RDNSS fe80::1 { };")
	resolver := filepath.Join(t.TempDir(), "etc", "resolv.conf")
	p := c.up(t, onLink, childResolver+"="+resolver)
	p.waitFor(t, "up fd77::1")
	names, err := os.ReadFile(resolver)
	if err != nil {
		t.Fatal(err)
	}
	contains(t, string(names), "nameserver fd77::53\nnameserver fe80::1%eth0\n") // of DHCPv6, then of the router
	for range 3 {
		server.waitFor(t, "DHCP6_LEASE_RENEW")
	}
	// A server that lost its leases, and has other addresses, takes the address away.
	_ = server.cmd.Process.Signal(syscall.SIGKILL)
	_ = server.cmd.Wait()
	c.kea(t, "fd77::200-fd77::2ff")
	p.waitFor(t, "the address is lost")
	p.waitFor(t, "there is an address\"")
	got := c.show(t, "addr", "show", "eth0")
	contains(t, got, "inet6 fd77::2")
	if strings.Contains(got, "fd77::1") {
		t.Errorf("the interface still has the address that was taken away:\n%s", got)
	}
}

func TestRoutersThatAreOfNoHelp(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ radvd, server, want string }{
		"none":                  {"", onLink, "no router advertisement on eth0 within "},
		"no address":            {"prefix fd77::/64 { AdvAutonomous off; };", onLink, "offers eth0 no address: let it advertise a prefix with the autonomous flag"},
		"no DHCPv6 server":      {"AdvManagedFlag on;", onLink, "no DHCPv6 server gave eth0 an address"},
		"no default router":     {"AdvDefaultLifetime 0; prefix fd77::/64 { };", offLink, "it is no default router (lifetime 0)"},
		"a prefix of 80 bits":   {"prefix fd77::/80 { };", onLink, "is the prefix 64 bits long"},
		"only one that is near": {"AdvDefaultLifetime 0; prefix fd77::/64 { };", onLink, "up fd77::"},
	} {
		t.Run(name, func(t *testing.T) {
			cable := newCable6(t)
			if c.radvd != "" {
				cable.radvd(t, c.radvd)
			}
			p := cable.up(t, c.server, childLimit+"=15s")
			contains(t, p.waitFor(t, "eth0"), "asking for a router")
			p.waitFor(t, c.want)
		})
	}
}

// TestServersOfBothVersions: the version that works is enough.
func TestServersOfBothVersions(t *testing.T) {
	t.Parallel()
	t.Run("only IPv4 works", func(t *testing.T) {
		c := newCable6(t)
		c.dnsmasq(t)
		p := c.up(t, onLink+",http://10.99.0.1:8080")
		p.waitFor(t, "up 10.99.0.1")
		_ = p.input.Close()
		p.waitFor(t, "down")
	})
	t.Run("only IPv6 works", func(t *testing.T) {
		c := newCable6(t)
		c.dnsmasq6(t, "--dhcp-range=fd77::,ra-only")
		p := c.up(t, "http://10.99.0.1:8080,"+onLink)
		p.waitFor(t, "up fd77::")
		// IPv4 comes later, and is configured, too.
		c.dnsmasq(t, "--bind-interfaces")
		c.waitForAddress(t, "10.99.0.1")
	})
}

// TestNothingAnswers: a person reads what was missing for each version of IP.
func TestNothingAnswers(t *testing.T) {
	c := newCable6(t)
	p := c.up(t, onLink+",http://10.99.0.1:8080", childLimit+"=1s")
	said := p.waitFor(t, "failed:") + p.waitFor(t, "") // in either order
	contains(t, said, "no DHCP server gave eth0 an address: the time for it is over", "no router advertisement on eth0 within ")
}

// waitForAddress waits until the client has an address that begins so.
func (c cable) waitForAddress(t *testing.T, beginning string) {
	t.Helper()
	p := begin(t, c.client, nil, "ip", "-4", "monitor", "address")
	if strings.Contains(run(t, "ip", "-n", c.client, "-4", "addr", "show", "eth0"), "inet "+beginning) {
		return
	}
	p.waitFor(t, "inet "+beginning)
}

func TestAKernelWithoutIPv6(t *testing.T) {
	err := kernel6{filepath.Join(t.TempDir(), "eth0")}.check()
	if err == nil {
		t.Fatal("IPv6 is there")
	}
	contains(t, err.Error(), "configure IPv6 on eth0", "no IPv6", "ipv6.disable=1")
}
