package ether

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

// FuzzFrame: foreign frames on the probe's socket never panic, and what
// datagram builds is read back.
func FuzzFrame(f *testing.F) {
	from, to := netip.MustParseAddrPort("10.77.0.1:67"), netip.MustParseAddrPort("10.77.0.100:68")
	f.Add(datagram(from, to, []byte("payload")))
	f.Fuzz(func(t *testing.T, b []byte) {
		answerTo(&dhcpv4.DHCPv4{}, b)
		if len(b) > serving.MaxPacket {
			return
		}
		payload, ok := udpPayload(datagram(from, to, b), dhcp.ClientPort)
		if !ok || !slices.Equal(payload, b) {
			t.Errorf("payload %x comes back as %x, %v", b, payload, ok)
		}
	})
}
