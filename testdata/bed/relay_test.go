package bed_test

import (
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/needs"
	"cloudlets/web/api"
)

// dhcrelay is ISC's relay agent, which make unpacks.
const dhcrelay = "../../bin/isc-dhcp/usr/sbin/dhcrelay"

// campus is a server with an interface on each of two networks, and a third network
// behind a router with a relay agent.
type campus struct {
	*rig
	prod, far *rig // the same daemon; their machines are on the other networks
	router    *bed.Router
}

// campusNetworks are its settings.
var campusNetworks = object{
	"leaseTime": "2m",
	"networks": []object{
		{"name": "lab", "interface": bed.Bridge, "subnet": "10.77.0.0/24", "pool": "10.77.0.100-10.77.0.109"},
		{"name": "prod", "interface": "br1", "subnet": "10.78.0.0/24", "pool": "10.78.0.100-10.78.0.109"},
		{"name": "far", "subnet": "10.79.0.0/24", "pool": "10.79.0.100-10.79.0.109", "router": "10.79.0.1"},
	},
}

func newCampus(t *testing.T) *campus {
	t.Helper()
	needs.Made(t, dhcrelay, "setup-test")
	r := newRig(t, map[string]string{"small": small}, asServer)
	if err := r.daemon.Stop(); err != nil { // the settings are read when it starts
		t.Fatal(err)
	}
	second, err := r.network.Second(r.ctx, "br1", "10.78.0.1/24")
	if err != nil {
		t.Fatal(err)
	}
	router, err := r.network.Route(r.ctx, bed.RouterSpec{
		MAC: "52:54:00:00:0a:fe", Addr: "10.77.0.254/24", Behind: "10.79.0.1/24", Server: bed.ServerIP,
		Agent: dhcrelay, Log: filepath.Join(r.dir, "dhcrelay.log"),
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() {
			t.Logf("log of the relay agent:\n%s", router.Log())
		}
		if err := router.Close(); err != nil {
			t.Error(err)
		}
	})
	text, err := json.Marshal(campusNetworks)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.daemon.Site, "cloudlets.json"), text, 0o644); err != nil {
		t.Fatal(err)
	}
	if r.daemon, err = serve(r.ctx, r.network, r.dir, "--interface", ""); err != nil {
		t.Fatal(err)
	}
	c := &campus{rig: r, router: router}
	c.prod, c.far = c.at(second), c.at(router.Behind)
	return c
}

// at is the same rig with its machines on another network.
func (c *campus) at(n *bed.Network) *rig {
	other := *c.rig
	other.network = n
	return &other
}

// TestRelayAndTwoNetworks installs a machine behind a relay agent, while another one on
// the second network is installed too, and hands over by kexec. Each has its reserved
// address. The first renews its lease as an installed system does, by packets to the
// server alone. The other is then moved to the first network, and has an address there
// when it is sent to its disk.
func TestRelayAndTwoNetworks(t *testing.T) {
	alongside(t, 49)
	c := newCampus(t)
	const farMAC, prodMAC = "52:54:00:00:0a:01", "52:54:00:00:0a:02"
	c.describe(farMAC, object{"image": "small", "hostname": "remote", "install": "once", "address": []string{"10.77.0.11", "10.79.0.11"}})
	c.describe(prodMAC, object{"image": "small", "hostname": "moved", "install": "once", "handover": "kexec", "address": "10.78.0.12"})
	far := c.far.on(bed.Spec{MAC: farMAC, Firmware: bed.BIOS, Disks: []bed.Disk{c.newDisk("remote")}})
	spec := bed.Spec{MAC: prodMAC, Firmware: bed.BIOS, Disks: []bed.Disk{c.newDisk("moved")}}
	prod := c.prod.on(spec)

	c.expect(prod, `moved login: `)
	c.installed(prodMAC, 1)
	c.has(prodMAC, "10.78.0.12")
	prod.Stop()
	c.expect(far, `remote login: `)
	c.installed(farMAC, 1)
	c.has(farMAC, "10.79.0.11")

	logIn(c.ctx, t, far)
	c.renew(far, "10.79.0.11")

	c.on(spec)
	c.shows(prodMAC, func(m api.Detail) bool {
		return m.Stage == provision.StageLocal && strings.HasPrefix(m.Facts["address"], "10.77.0.10")
	})
	c.quiet()
}

// has checks a machine's address, and that it never had another one.
func (c *campus) has(mac, addr string) {
	c.Helper()
	for _, e := range c.events(mac) {
		if at := e.Facts["address"]; at != "" && at != addr {
			c.Errorf("%s had the address %s, want %s alone: %s (%s)", mac, at, addr, e.Text, e.Reason)
		}
	}
	if at := c.machine(mac).Facts["address"]; at != addr {
		c.Errorf("%s has the address %q, want %s", mac, at, addr)
	}
}

// renew has an installed system take its lease, and renew it at once by unicast.
func (c *campus) renew(m *bed.Machine, addr string) {
	c.Helper()
	for _, line := range []string{
		`printf '#!/bin/sh\nip link set eth0 up\n[ "$ip" ] && ip addr add $ip/24 dev eth0 && ip route add default via $router\n' >/tmp/set`,
		`busybox chmod +x /tmp/set`,
		`udhcpc -f -i eth0 -s /tmp/set &`,
	} {
		c.enter(m, line)
	}
	c.expect(m, "lease of "+regexp.QuoteMeta(addr)+" obtained from "+bed.ServerIP)
	c.enter(m, `kill -USR1 $!`)
	c.expect(m, "(?s)sending renew to server "+bed.ServerIP+".*lease of "+regexp.QuoteMeta(addr)+" obtained from "+bed.ServerIP)
}

func (c *campus) enter(m *bed.Machine, line string) {
	c.Helper()
	if err := m.Console.Type(line + "\n"); err != nil {
		c.Fatal(err)
	}
}

// quiet checks that no machine waits for an address anywhere, and that the server
// warned of no other DHCP server, as there is none.
func (c *campus) quiet() {
	c.Helper()
	var list api.Networks
	if err := json.Unmarshal([]byte(c.run("networks", "--json")), &list); err != nil {
		c.Fatal(err)
	}
	used := map[string]int{}
	for _, n := range list.Networks {
		if used[n.Name] = n.PoolUsed; len(n.Waiting) > 0 {
			c.Errorf("on %s these wait: %+v", n.Name, n.Waiting)
		}
	}
	if len(list.Elsewhere) > 0 {
		c.Errorf("these wait elsewhere: %+v", list.Elsewhere)
	}
	if used["lab"] != 1 || used["prod"] != 0 || used["far"] != 0 {
		c.Errorf("the pools have %v in use, want one address of lab's", used)
	}
	if log := c.daemon.Log(); strings.Contains(log, "DHCP server answers") {
		c.Errorf("the server warns of another one, and there is none:\n%s", log)
	}
}
