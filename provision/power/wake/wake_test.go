package wake

import (
	"bytes"
	"errors"
	"net"
	"net/netip"
	"testing"

	"cloudlets/provision/power"
)

// TestPacket: the packet is the card's address, 16 times after six bytes of ones, and
// goes to the broadcast address of the server's network.
func TestPacket(t *testing.T) {
	card := net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	packet := Packet(card)
	if len(packet) != 102 || !bytes.Equal(packet[:6], bytes.Repeat([]byte{0xff}, 6)) || bytes.Count(packet, card) != 16 {
		t.Errorf("%x", packet)
	}
	for own, want := range map[string]string{"10.9.0.1/24": "10.9.0.255", "10.9.0.1/22": "10.9.3.255", "10.9.0.1/32": "10.9.0.1", "fd00::1/64": "ff02::1%eth0"} {
		if got := (Link{Own: netip.MustParsePrefix(own), Interface: "eth0"}).everyone(); got.String() != want {
			t.Errorf("all stations of %s are %s, not %s", own, got, want)
		}
	}
}

// TestOnlyOn: it can do nothing else, and says so.
func TestOnlyOn(t *testing.T) {
	c := &Controller{Cards: []net.HardwareAddr{{0x52, 0x54, 0, 0, 0, 1}}, Links: func() []Link { return nil }}
	if err := c.Do(t.Context(), power.Off); !errors.Is(err, power.ErrUnsupported) {
		t.Error(err)
	}
	if err := c.Do(t.Context(), power.On); err == nil {
		t.Error("a packet was sent to no network")
	}
	c.Links = func() []Link { return []Link{{Own: netip.MustParsePrefix("127.0.0.1/8"), Interface: "lo"}} }
	if err := c.Do(t.Context(), power.On); err != nil {
		t.Error(err)
	}
}
