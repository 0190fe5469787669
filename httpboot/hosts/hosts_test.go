package hosts

import (
	"fmt"
	"net/netip"
	"testing"

	"cloudlets/provision"
)

const (
	node1 = provision.MAC("52:54:00:00:00:01")
	node2 = provision.MAC("52:54:00:00:00:02")
)

func wantAt(t *testing.T, h *Hosts, addr string, want provision.MAC) {
	t.Helper()
	if mac, _ := h.Machine(netip.MustParseAddr(addr)); mac != want {
		t.Errorf("at %s is %q, want %q", addr, mac, want)
	}
}

func TestHosts(t *testing.T) {
	var h Hosts
	at := netip.MustParseAddr
	h.Gave(node1, at("10.0.0.1"), true)
	h.Saw(node2, at("10.0.0.1"), true)
	wantAt(t, &h, "10.0.0.1", node1) // DHCP counts more than a request
	h.Saw(node2, at("10.0.0.2"), true)
	wantAt(t, &h, "10.0.0.2", node2)
	h.Gave(node1, at("10.0.0.3"), true)
	wantAt(t, &h, "10.0.0.1", "")
	wantAt(t, &h, "10.0.0.3", node1)
	h.Gave(node2, at("10.0.0.3"), true) // the lease went to another
	wantAt(t, &h, "10.0.0.3", node2)
	h.Gave(node1, at("10.0.0.4"), true)
	wantAt(t, &h, "10.0.0.3", node2)
	if got := h.Given(node1, false); got != at("10.0.0.4") {
		t.Errorf("DHCP gave %s", got)
	}
}

// TestHostOfBothProtocols is at both addresses that DHCP gave to it, and neither makes
// a request from the other one look like another host's.
func TestHostOfBothProtocols(t *testing.T) {
	var h Hosts
	at := netip.MustParseAddr
	h.Gave(node1, at("10.0.0.1"), true)
	h.Gave(node1, at("fd77::1"), true)
	wantAt(t, &h, "10.0.0.1", node1)
	wantAt(t, &h, "fd77::1", node1)
	if v4, v6 := h.Given(node1, false), h.Given(node1, true); v4 != at("10.0.0.1") || v6 != at("fd77::1") {
		t.Errorf("DHCP gave %s and %s", v4, v6)
	}
	h.Gave(node1, at("fd77::2"), true)
	wantAt(t, &h, "fd77::1", "")
	wantAt(t, &h, "10.0.0.1", node1)
}

// TestManyHosts: what is remembered of strangers is bounded, and drives out no
// machine of the site.
func TestManyHosts(t *testing.T) {
	var h Hosts
	addr := netip.MustParseAddr("10.0.0.1")
	h.Gave(node1, addr, true)
	var last provision.MAC
	for i := range 3 * maxStrangerHosts {
		addr = addr.Next()
		last = provision.MAC(fmt.Sprintf("02:00:00:00:%02x:%02x", i>>8, i&255))
		h.Gave(last, addr, false)
	}
	if len(h.strangers) > maxStrangerHosts || len(h.at) > maxStrangerHosts+1 {
		t.Errorf("%d strangers and %d addresses are remembered", len(h.strangers), len(h.at))
	}
	wantAt(t, &h, "10.0.0.1", node1)
	wantAt(t, &h, addr.String(), last)
}
