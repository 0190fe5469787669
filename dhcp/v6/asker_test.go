package v6

import (
	"bytes"
	"net"
	"net/netip"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"cloudlets/dhcp"
)

// TestWhoAsksOnTheBootPort: OVMF asks there from the address that another server gave it,
// which is not made from its card's, and with a DUID of the machine's UUID.
func TestWhoAsksOnTheBootPort(t *testing.T) {
	d := newDesk(t, &dhcp.MemoryLeases{})
	d.link.lan.Mode = dhcp.Proxy
	arrives := func(m *dhcpv6.Message, from string, port uint16) packet {
		t.Helper()
		d.link.received(m.ToBytes(), arrivedAt{from: netip.MustParseAddrPort(from), port: port})
		p, _ := d.link.queue.Next(t.Context())
		d.link.queue.end(p)
		return p
	}
	pxe := boots(pxeClass, iana.EFI_X86_64)
	again := asks(dhcpv6.MessageTypeRequest, append(pxe, dhcpv6.OptServerID(d.link.now().duid()))...)
	again.Options.Del(dhcpv6.OptionIANA)
	if p := arrives(again, "[fd77::2000]:4011", BootPort); bytes.Equal(p.client.MAC, card) {
		t.Error("a client that did not ask all servers is known")
	}
	arrives(asks(dhcpv6.MessageTypeSolicit), linkLocal(other).String(), ServerPort) // its system, by another card
	arrives(asks(dhcpv6.MessageTypeSolicit, pxe...), linkLocal(card).String(), ServerPort)
	p := arrives(again, "[fd77::2000]:4011", BootPort)
	if !bytes.Equal(p.client.MAC, card) {
		t.Errorf("it asks again as %s", p.client.MAC)
	}
	id := server
	id.DUID, id.Network.Mode = d.link.now().duid(), dhcp.Proxy
	m, r := answer(t, p.Request, id, Grant{}, dhcp.Boot{File: "snponly.efi", Reason: "install"})
	if m == nil || m.MessageType != dhcpv6.MessageTypeReply || m.Options.BootFileURL() != "tftp://[fd77::1]/snponly.efi" {
		t.Errorf("answer %v: %s", m, r.Reason)
	}
	d.link.lan.Mode = dhcp.Pool
	if p := arrives(again, "[fd77::2000]:4011", BootPort); bytes.Equal(p.client.MAC, card) {
		t.Error("where this server gives the addresses, an address that is not its own tells the card")
	}
}

// TestAnswersOnTheBootPortComeAgain: EDK2 asks once, and may listen too late for the first.
func TestAnswersOnTheBootPortComeAgain(t *testing.T) {
	t.Parallel()
	d := newDesk(t, &dhcp.MemoryLeases{})
	var conns [2]*net.UDPConn
	for i := range conns {
		conn, err := net.ListenUDP("udp6", &net.UDPAddr{IP: net.IPv6loopback})
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conns[i] = conn
	}
	from := conns[1].LocalAddr().(*net.UDPAddr).AddrPort()
	m := asks(dhcpv6.MessageTypeReply)
	for port, want := range map[uint16]int{ServerPort: 1, BootPort: 1 + len(repeats)} {
		p := packet{Request: Request{Message: m, Source: from, Port: port}, at: arrivedAt{conns[0], from, port}}
		if err := d.link.send(p, m); err != nil {
			t.Fatal(err)
		}
		_ = conns[1].SetReadDeadline(time.Now().Add(time.Minute))
		for range want {
			if _, err := conns[1].Read(make([]byte, 1500)); err != nil {
				t.Fatalf("on port %d: %v", port, err)
			}
		}
	}
}
