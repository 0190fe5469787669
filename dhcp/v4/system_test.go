package v4

import (
	"bytes"
	"net"
	"net/netip"
	"strconv"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
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
		got := make([]ether.Datagram, 2)
		if n, err := conn.Receive(got); err != nil || n != 1 {
			t.Fatal(n, err)
		}
		if d := got[0]; string(d.Data) != to || d.Unicast != want || d.From.String() != sender.LocalAddr().String() {
			t.Errorf("%q from %s, unicast %t; want %q from %s, %t", d.Data, d.From, d.Unicast, to, sender.LocalAddr(), want)
		}
	}
}

// TestReceiveTakesAll: packets that wait are read together, as many as there is room for.
func TestReceiveTakesAll(t *testing.T) {
	conn, err := linux{}.listen(t.Context(), "lo", 0)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	sender, err := net.Dial("udp4", net.JoinHostPort("127.0.0.1", strconv.Itoa(conn.LocalAddr().(*net.UDPAddr).Port)))
	if err != nil {
		t.Fatal(err)
	}
	defer sender.Close()
	for i := range 5 {
		if _, err := sender.Write(bytes.Repeat([]byte{byte('a' + i)}, i+1)); err != nil { // on loopback it is there when this returns
			t.Fatal(err)
		}
	}
	for _, want := range []string{"a bb ccc", "dddd eeeee"} {
		got := make([]ether.Datagram, 3)
		n, err := conn.Receive(got)
		if err != nil {
			t.Fatal(err)
		}
		var texts []string
		for _, d := range got[:n] {
			texts = append(texts, string(d.Data))
		}
		if all := strings.Join(texts, " "); all != want {
			t.Errorf("read %q, want %q", all, want)
		}
	}
}
