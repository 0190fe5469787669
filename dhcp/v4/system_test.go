package v4

import (
	"net"
	"net/netip"
	"testing"
	"time"

	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/serving"
)

// TestUnicastIsTold: a socket tells what was sent to this host alone from what was
// sent to all.
func TestUnicastIsTold(t *testing.T) {
	conn, err := linux{}.listen(t.Context(), "lo", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sender, err := net.ListenPacket("udp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	port := conn.LocalAddr().(*net.UDPAddr).AddrPort().Port()
	for to, want := range map[string]bool{"127.0.0.1": true, "127.255.255.255": false} {
		if _, err := sender.WriteTo([]byte(to), net.UDPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(to), port))); err != nil {
			t.Fatal(err)
		}
		if err := conn.SetReadDeadline(time.Now().Add(dhcptest.Patience)); err != nil {
			t.Fatal(err)
		}
		b := make([]byte, serving.MaxPacket)
		n, from, unicast, err := conn.Receive(b)
		if err != nil {
			t.Fatal(err)
		}
		if string(b[:n]) != to || unicast != want || from.String() != sender.LocalAddr().String() {
			t.Errorf("%q from %s, unicast %t; want %q from %s, %t", b[:n], from, unicast, to, sender.LocalAddr(), want)
		}
	}
}
