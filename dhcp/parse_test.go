package dhcp_test

import (
	"bytes"
	"encoding/binary"
	"net/netip"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

func TestTheEndOptionMayBeMissing(t *testing.T) {
	for _, name := range []string{"bios-pxe-discover", "udhcpc-discover", "ovmf-pxe-discover"} {
		s := dhcptest.SampleNamed(t, name)
		p, err := dhcp.Parse(dhcptest.WithoutEnd(s.Raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got, want := dhcp.Classify(p), s.Req.Client; got.Kind != want.Kind || got.VendorClass != want.VendorClass {
			t.Errorf("%s: client %+v, want %+v", name, got, want)
		}
	}
}

// TestAnOptionThatIsCutOff is not repaired by the End option that Parse adds.
func TestAnOptionThatIsCutOff(t *testing.T) {
	raw := append(dhcptest.WithoutEnd(dhcptest.SampleNamed(t, "udhcpc-discover").Raw), 12, 1)
	if _, err := dhcp.Parse(raw); err == nil {
		t.Error("no error")
	}
}

// TestAnInformThatNamesNoAddress is answered where it came from, and not to all.
func TestAnInformThatNamesNoAddress(t *testing.T) {
	nameless := func(raw []byte) []byte { return append(raw[:12:12], append(make([]byte, 4), raw[16:]...)...) }
	s := mutated(t, "plain-inform", nameless)
	r := answerSample(s, dhcp.Pool, dhcp.Boot{})
	if want := netip.MustParseAddrPort("10.77.0.9:68"); r.Packet == nil || r.To.Route != dhcp.Routed || r.To.Addr != want {
		t.Errorf("reply %+v, want one to %s", r, want)
	}
	s.Req.Source = netip.MustParseAddrPort("0.0.0.0:68")
	if r := answerSample(s, dhcp.Pool, dhcp.Boot{}); r.Packet != nil || !strings.Contains(r.Reason, "no address") {
		t.Errorf("an INFORM from nowhere: %+v", r)
	}
}

// TestInfiniBandIsAnsweredToAll, when it has an address of 6 bytes: that is none that a
// frame could go to (RFC 4390, 2.1).
func TestInfiniBandIsAnsweredToAll(t *testing.T) {
	s := mutated(t, "udhcpc-discover", func(raw []byte) []byte { raw[1] = 32; binary.BigEndian.PutUint16(raw[10:], 0); return raw })
	if r := answerSample(s, dhcp.Pool, dhcp.Boot{}); r.Packet == nil || r.To.Route != dhcp.Broadcast {
		t.Errorf("reply %+v, want a broadcast", r)
	}
}

// mutated is a sample with other bytes.
func mutated(t testing.TB, name string, change func(raw []byte) []byte) dhcptest.Sample {
	t.Helper()
	s := dhcptest.SampleNamed(t, name)
	s.Raw = change(bytes.Clone(s.Raw))
	p, err := dhcp.Parse(s.Raw)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s.Req.Packet, s.Req.Client = p, dhcp.Classify(p)
	return s
}
