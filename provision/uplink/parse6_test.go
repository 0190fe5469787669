package uplink

import (
	"bytes"
	"io"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"
	"github.com/mdlayher/ndp"
)

var quiet = slog.New(slog.NewTextHandler(io.Discard, nil))

// FuzzRouterAdvertisement: whatever comes in, the resolver's file has only lines
// that name a server.
func FuzzRouterAdvertisement(f *testing.F) {
	for _, ra := range []*ndp.RouterAdvertisement{
		{ManagedConfiguration: true, RouterLifetime: time.Hour},
		{Options: []ndp.Option{
			&ndp.PrefixInformation{PrefixLength: 64, AutonomousAddressConfiguration: true, ValidLifetime: time.Hour, Prefix: netip.MustParseAddr("fd77::")},
			&ndp.RecursiveDNSServer{Lifetime: time.Hour, Servers: []netip.Addr{netip.MustParseAddr("fe80::1"), netip.MustParseAddr("fd77::1")}},
		}},
	} {
		b, err := ndp.MarshalMessage(ra)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, message []byte) {
		file := t.TempDir() + "/resolv.conf"
		r := newRouters("eth0", &learned{resolver: file, log: quiet}, quiet)
		r.take(message, netip.MustParseAddr("fe80::1%eth0"))
		r.take(message, netip.MustParseAddr("fe80::1%eth0"))
		text, _ := os.ReadFile(file)
		for line := range bytes.Lines(text) {
			server, ok := bytes.CutPrefix(bytes.TrimSpace(line), []byte("nameserver "))
			if a, err := netip.ParseAddr(string(server)); !ok || err != nil || a.IsLinkLocalUnicast() && a.Is6() && a.Zone() != "eth0" {
				t.Errorf("the resolver's file has the line %q", line)
			}
		}
	})
}

// FuzzLease6: a lease has an address that a host can have, and its times are in
// order.
func FuzzLease6(f *testing.F) {
	w := newWire6("eth0", net.HardwareAddr{2, 0, 0, 0, 0, 1}, "")
	reply := func(id [4]byte, address string, valid time.Duration) {
		m, err := w.message(dhcpv6.MessageTypeReply, w.duid, nil)
		if err != nil {
			f.Fatal(err)
		}
		a := &dhcpv6.OptIANA{IaId: id, T1: 10 * time.Second, T2: 20 * time.Second}
		a.Options.Add(&dhcpv6.OptIAAddress{IPv6Addr: net.ParseIP(address), PreferredLifetime: valid / 2, ValidLifetime: valid})
		m.UpdateOption(a)
		f.Add(m.ToBytes())
	}
	reply(w.iaid, "fd77::5", time.Hour)
	reply(w.iaid, "fd77::5", 0)
	reply(w.iaid, "ff02::1", time.Hour)
	reply([4]byte{}, "fd77::5", time.Hour)
	f.Fuzz(func(t *testing.T, b []byte) {
		m, err := dhcpv6.MessageFromBytes(b)
		if err != nil {
			return
		}
		l, err := w.lease(m, time.Now())
		if err != nil {
			return
		}
		if !l.ip().IsGlobalUnicast() || l.ip().To4() != nil {
			t.Errorf("the lease is for %s", l.ip())
		}
		if t1, t2, end := l.times(); !l.since.Before(t1) || !t1.Before(t2) || !t2.Before(end) || end.Sub(l.since) < shortestLease {
			t.Errorf("the lease is renewed at %s, rebound at %s, and ends at %s", t1, t2, end)
		}
	})
}

// TestIdentityOfTheFirmware: the values are those that iPXE sends for this UUID and
// this MAC.
func TestIdentityOfTheFirmware(t *testing.T) {
	mac := net.HardwareAddr{0x52, 0x54, 0x00, 0x12, 0x34, 0x56}
	w := newWire6("eth0", mac, "4C4C4544-0042-3510-8052-B4C04F564433")
	if want := [4]byte{0xaa, 0x55, 0xb0, 0xdf}; w.iaid != want {
		t.Errorf("the IAID is %x, want %x", w.iaid, want)
	}
	want := []byte{0, 4, 0x4c, 0x4c, 0x45, 0x44, 0, 0x42, 0x35, 0x10, 0x80, 0x52, 0xb4, 0xc0, 0x4f, 0x56, 0x44, 0x33}
	if got := w.duid.ToBytes(); !bytes.Equal(got, want) {
		t.Errorf("the DUID is %x, want %x", got, want)
	}
	for _, shared := range []string{"", "00000000-0000-0000-0000-000000000000", "03000200-0400-0500-0006-000700080009"} {
		if got := newWire6("eth0", mac, shared).duid; !got.Equal(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: mac}) {
			t.Errorf("with the UUID %q the DUID is %s", shared, got)
		}
	}
}
