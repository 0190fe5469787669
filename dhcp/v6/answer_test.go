package v6

import (
	"bytes"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv6"
	"github.com/insomniacslk/dhcp/iana"

	"cloudlets/dhcp"
)

var (
	card   = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}
	other  = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 2}
	own    = netip.MustParseAddr("fd77::1")
	lab    = Network{Name: "lab6", Subnet: netip.MustParsePrefix("fd77::/64"), Pool: ranges("fd77::1000-fd77::1fff"), DNS: []netip.Addr{netip.MustParseAddr("fd77::53")}, NTP: []netip.Addr{netip.MustParseAddr("fd77::123")}, Domain: "lab.example"}
	server = Identity{DUID: &dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: other}, TFTP: own, Network: lab}
	leased = Grant{Addr: netip.MustParseAddr("fd77::1005"), Term: time.Hour, Reason: "lease confirmed"}
)

func ranges(text ...string) (all dhcp.Ranges) {
	for _, t := range text {
		first, last, _ := strings.Cut(t, "-")
		all = append(all, dhcp.Range{First: netip.MustParseAddr(first), Last: netip.MustParseAddr(last)})
	}
	return all
}

// linkLocal is the address at which a card's host is on its link.
func linkLocal(mac net.HardwareAddr) netip.AddrPort {
	b := [16]byte{0xfe, 0x80, 8: mac[0] ^ 2, 9: mac[1], 10: mac[2], 11: 0xff, 12: 0xfe, 13: mac[3], 14: mac[4], 15: mac[5]}
	return netip.AddrPortFrom(netip.AddrFrom16(b), 546)
}

// asks makes a client's message, which asks for an address.
func asks(t dhcpv6.MessageType, options ...dhcpv6.Option) *dhcpv6.Message {
	m := &dhcpv6.Message{MessageType: t, TransactionID: dhcpv6.TransactionID{1, 2, 3}}
	m.AddOption(dhcpv6.OptClientID(&dhcpv6.DUIDUUID{UUID: [16]byte{0xaa, 15: 0xbb}}))
	m.AddOption(&dhcpv6.OptIANA{IaId: [4]byte{1}})
	m.AddOption(dhcpv6.OptRequestedOption(dhcpv6.OptionBootfileURL, dhcpv6.OptionDNSRecursiveNameServer, dhcpv6.OptionDomainSearchList, dhcpv6.OptionNTPServer))
	for _, o := range options {
		m.UpdateOption(o)
	}
	return m
}

// boots are the options of a boot client.
func boots(class string, arch iana.Arch, user ...string) []dhcpv6.Option {
	all := []dhcpv6.Option{&dhcpv6.OptVendorClass{EnterpriseNumber: enterprise, Data: [][]byte{[]byte(class)}}, dhcpv6.OptClientArchType(arch)}
	for _, u := range user {
		all = append(all, &dhcpv6.OptUserClass{UserClasses: [][]byte{[]byte(u)}})
	}
	return all
}

// arrive has a message come from a host on the link, as bytes.
func arrive(t *testing.T, m dhcpv6.DHCPv6) Request {
	t.Helper()
	req, err := Parse(m.ToBytes(), linkLocal(card))
	if err != nil {
		t.Fatal(err)
	}
	return req
}

// answer answers a request, and reads the reply as its client does.
func answer(t *testing.T, req Request, id Identity, g Grant, b dhcp.Boot) (*dhcpv6.Message, Reply) {
	t.Helper()
	r := Answer(req, Classify(req), id, g, b)
	if r.Reason == "" {
		t.Error("the reply has no reason")
	}
	if r.Message == nil {
		return nil, r
	}
	m, err := dhcpv6.MessageFromBytes(r.Message.ToBytes())
	if err != nil {
		t.Fatal(err)
	}
	return m, r
}

const (
	pxeClass  = "PXEClient:Arch:00007:UNDI:003000"
	httpClass = "HTTPClient:Arch:00016:UNDI:003001"
)

// TestBootFile: each kind of client gets the URL that it can load.
func TestBootFile(t *testing.T) {
	for _, test := range []struct {
		name      string
		options   []dhcpv6.Option
		kind      dhcp.Kind
		file, url string
		class     string
	}{
		{"PXE", boots(pxeClass, iana.EFI_X86_64), dhcp.PXE, "snponly.efi", "tftp://[fd77::1]/snponly.efi", ""},
		{"HTTP Boot", boots(httpClass, iana.EFI_X86_64_HTTP), dhcp.HTTPBoot, "http://[fd77::1]/boot/snponly.efi", "http://[fd77::1]/boot/snponly.efi", classHTTP},
		{"HTTP Boot with no URL", boots(httpClass, iana.EFI_X86_64_HTTP), dhcp.HTTPBoot, "snponly.efi", "", ""},
		{"iPXE", boots(pxeClass, iana.EFI_X86_64, "iPXE"), dhcp.IPXE, "http://[fd77::1]/boot/x/script", "http://[fd77::1]/boot/x/script", ""},
		{"our iPXE", boots(pxeClass, iana.EFI_X86_64, dhcp.OwnUserClass), dhcp.OwnIPXE, "http://[fd77::1]/boot/x/script", "http://[fd77::1]/boot/x/script", ""},
		{"a system", nil, dhcp.Plain, "snponly.efi", "", ""},
		{"nothing to boot", boots(pxeClass, iana.EFI_X86_64), dhcp.PXE, "", "", ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := arrive(t, asks(dhcpv6.MessageTypeSolicit, test.options...))
			if c := Classify(req); c.Kind != test.kind || c.Kind != dhcp.Plain && c.Firmware != dhcp.EFIX64 {
				t.Errorf("it is %s of %s", c.Kind, c.Firmware)
			}
			m, r := answer(t, req, server, leased, dhcp.Boot{File: test.file, Reason: "install"})
			if m.Options.BootFileURL() != test.url || r.URL != test.url {
				t.Errorf("URL %q, reported as %q, want %q; %s", m.Options.BootFileURL(), r.URL, test.url, r.Reason)
			}
			class := string(bytes.Join(m.Options.VendorClass(enterprise), nil))
			if class != test.class {
				t.Errorf("vendor class %q, want %q", class, test.class)
			}
			if atOnce := m.Options.Preference() == 255; atOnce != (test.url != "") {
				t.Errorf("the client takes the offer at once: %t", atOnce)
			}
			if a := given(m); a != leased.Addr {
				t.Errorf("address %s", a)
			}
			if !bytes.Contains(m.ToBytes(), append([]byte(test.url), 0)) && test.class == classHTTP {
				t.Error("no NUL follows the URL, and UEFI reads on")
			}
		})
	}
}

// TestProxyAnswers boot clients alone, and never with an address.
func TestProxyAnswers(t *testing.T) {
	proxy := server
	proxy.Network.Mode = dhcp.Proxy
	boot := dhcp.Boot{File: "http://[fd77::1]/x.efi", Reason: "install"}
	information := asks(dhcpv6.MessageTypeInformationRequest, boots(pxeClass, iana.EFI_X86_64, "iPXE")...)
	information.Options.Del(dhcpv6.OptionIANA)
	toServer := append(boots(pxeClass, iana.EFI_X86_64), dhcpv6.OptServerID(server.DUID))
	for _, test := range []struct {
		name  string
		m     *dhcpv6.Message
		port  uint16
		reply dhcpv6.MessageType
	}{
		{"PXE asks all", asks(dhcpv6.MessageTypeSolicit, boots(pxeClass, iana.EFI_X86_64)...), ServerPort, dhcpv6.MessageTypeAdvertise},
		{"PXE asks again", asks(dhcpv6.MessageTypeRequest, toServer...), BootPort, dhcpv6.MessageTypeReply},
		{"HTTP Boot asks all", asks(dhcpv6.MessageTypeSolicit, boots(httpClass, iana.EFI_X86_64_HTTP)...), ServerPort, dhcpv6.MessageTypeAdvertise},
		{"iPXE asks all", asks(dhcpv6.MessageTypeSolicit, boots(pxeClass, iana.EFI_X86_64, "iPXE")...), ServerPort, 0},
		{"iPXE with an address", information, ServerPort, dhcpv6.MessageTypeReply},
		{"a system", asks(dhcpv6.MessageTypeSolicit), ServerPort, 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := arrive(t, test.m)
			req.Port = test.port
			m, r := answer(t, req, proxy, Grant{}, boot)
			if m == nil {
				if test.reply != 0 {
					t.Errorf("no answer: %s", r.Reason)
				}
				return
			}
			if m.MessageType != test.reply || m.Options.BootFileURL() != boot.File || len(m.Options.IANA()) > 0 {
				t.Errorf("answer %s", m.Summary())
			}
		})
	}
}

// TestWithoutAddress: a client that cannot have its address is told so in the way that
// RFC 8415, 18.3 wants for its message.
func TestWithoutAddress(t *testing.T) {
	away := netip.MustParseAddr("fd99::5")
	for _, test := range []struct {
		t      dhcpv6.MessageType
		g      Grant
		status iana.StatusCode
	}{
		{dhcpv6.MessageTypeSolicit, Grant{Reason: "full"}, iana.StatusNoAddrsAvail},
		{dhcpv6.MessageTypeRequest, Grant{Reason: "taken", Refused: leased.Addr}, iana.StatusNoAddrsAvail},
		{dhcpv6.MessageTypeRequest, Grant{Reason: "elsewhere", Refused: away, Off: true}, iana.StatusNotOnLink},
		{dhcpv6.MessageTypeRenew, Grant{Reason: "taken", Refused: leased.Addr}, iana.StatusNoBinding},
		{dhcpv6.MessageTypeRenew, Grant{Reason: "elsewhere", Refused: away, Off: true}, iana.StatusSuccess},
		{dhcpv6.MessageTypeRebind, Grant{Reason: "elsewhere", Refused: away, Off: true}, iana.StatusSuccess},
	} {
		options := []dhcpv6.Option{dhcpv6.OptServerID(server.DUID)}
		if test.t == dhcpv6.MessageTypeSolicit || test.t == dhcpv6.MessageTypeRebind {
			options = nil
		}
		m, _ := answer(t, arrive(t, asks(test.t, options...)), server, test.g, dhcp.Boot{})
		ia := m.Options.OneIANA()
		if ia.Options.Status() == nil {
			if a := ia.Options.OneAddress(); test.status != iana.StatusSuccess || a == nil || a.ValidLifetime != 0 {
				t.Errorf("%s, %s: the answer has %s", test.t, test.g.Reason, ia)
			}
		} else if ia.Options.Status().StatusCode != test.status {
			t.Errorf("%s, %s: status %s, want %s", test.t, test.g.Reason, ia.Options.Status(), test.status)
		}
	}
	if m, r := answer(t, arrive(t, asks(dhcpv6.MessageTypeRebind)), server, Grant{Reason: "unknown", Refused: leased.Addr}, dhcp.Boot{}); m != nil {
		t.Errorf("a Rebind of what another server may know was answered: %s", r.Reason)
	}
}

// TestConfirm: a client learns whether it is on the link of its address.
func TestConfirm(t *testing.T) {
	for at, want := range map[string]iana.StatusCode{"fd77::1005": iana.StatusSuccess, "fd99::5": iana.StatusNotOnLink} {
		ia := &dhcpv6.OptIANA{}
		ia.Options.Add(address(netip.MustParseAddr(at), time.Hour))
		m, _ := answer(t, arrive(t, asks(dhcpv6.MessageTypeConfirm, ia)), server, Grant{}, dhcp.Boot{})
		if got := m.Options.Status(); got == nil || got.StatusCode != want {
			t.Errorf("%s: %v, want %s", at, got, want)
		}
	}
}

// TestConfiguration: a client gets of the network's configuration what it asks for.
func TestConfiguration(t *testing.T) {
	m, _ := answer(t, arrive(t, asks(dhcpv6.MessageTypeSolicit)), server, leased, dhcp.Boot{})
	if len(m.Options.DNS()) != 1 || len(m.Options.NTPServers()) != 1 || m.Options.DomainSearchList().Labels[0] != "lab.example" {
		t.Errorf("the answer has %s", m.Summary())
	}
	silent := asks(dhcpv6.MessageTypeSolicit)
	silent.Options.Del(dhcpv6.OptionORO)
	if m, _ = answer(t, arrive(t, silent), server, leased, dhcp.Boot{}); len(m.Options.DNS()) > 0 {
		t.Error("a client got name servers for which it did not ask")
	}
	ia := m.Options.OneIANA()
	if ia.T1 != 30*time.Minute || ia.T2 != 48*time.Minute || ia.Options.OneAddress().ValidLifetime != time.Hour {
		t.Errorf("the lease is %s", ia)
	}
}

// TestWhoAsks: a client is its network card, whatever its DUID is.
func TestWhoAsks(t *testing.T) {
	private := netip.MustParseAddrPort("[fe80::1234:5678:9abc:def0]:546")
	relayed := func(mac net.HardwareAddr) []*dhcpv6.RelayMessage {
		r := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: net.ParseIP("fd77::9"), PeerAddr: private.Addr().AsSlice()}
		if mac != nil {
			r.AddOption(dhcpv6.OptClientLinkLayerAddress(iana.HWTypeEthernet, mac))
		}
		return []*dhcpv6.RelayMessage{r}
	}
	ofCard, ofOther := dhcpv6.OptClientID(&dhcpv6.DUIDLLT{HWType: iana.HWTypeEthernet, LinkLayerAddr: card}), dhcpv6.OptClientID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: other})
	for _, test := range []struct {
		name string
		r    Request
	}{
		{"relay", Request{Message: asks(dhcpv6.MessageTypeSolicit, ofOther), Relays: relayed(card), Source: private}},
		{"link-local address", Request{Message: asks(dhcpv6.MessageTypeSolicit, ofOther), Source: linkLocal(card)}},
		{"DUID", Request{Message: asks(dhcpv6.MessageTypeSolicit, ofCard), Source: private}},
	} {
		if c := Classify(test.r); !bytes.Equal(c.MAC, card) {
			t.Errorf("by its %s, the client is %s", test.name, c.MAC)
		}
	}
	unknown := Classify(Request{Message: asks(dhcpv6.MessageTypeSolicit), Source: private}).MAC
	again := Classify(Request{Message: asks(dhcpv6.MessageTypeRequest), Source: private}).MAC
	if !bytes.Equal(unknown, again) || !isCard(unknown) || unknown[0]&2 == 0 {
		t.Errorf("a client that nothing tells is %s, and then %s", unknown, again)
	}
	if c := Classify(Request{Message: asks(dhcpv6.MessageTypeSolicit), Source: private}); c.UUID != "aa000000-0000-0000-0000-0000000000bb" {
		t.Errorf("UUID %q", c.UUID)
	}
}

// TestRefused: what no client sends is not answered.
func TestRefused(t *testing.T) {
	wrap := func(m dhcpv6.DHCPv6, hops int) dhcpv6.DHCPv6 {
		for range hops {
			r := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: make(net.IP, 16), PeerAddr: make(net.IP, 16)}
			r.AddOption(dhcpv6.OptRelayMessage(m))
			m = r
		}
		return m
	}
	anonymous := asks(dhcpv6.MessageTypeSolicit)
	anonymous.Options.Del(dhcpv6.OptionClientID)
	crowded := asks(dhcpv6.MessageTypeSolicit)
	for range maxOptions {
		crowded.AddOption(dhcpv6.OptElapsedTime(0))
	}
	for name, m := range map[string]dhcpv6.DHCPv6{
		"an answer of a server":            asks(dhcpv6.MessageTypeAdvertise, dhcpv6.OptServerID(server.DUID)),
		"a Solicit to one server":          asks(dhcpv6.MessageTypeSolicit, dhcpv6.OptServerID(server.DUID)),
		"a Request to no server":           asks(dhcpv6.MessageTypeRequest),
		"no identifier":                    anonymous,
		"too many options":                 crowded,
		"too many relays":                  wrap(asks(dhcpv6.MessageTypeSolicit), maxHops+1),
		"a relay's message without one":    &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: make(net.IP, 16), PeerAddr: make(net.IP, 16)},
		"an Information-request that asks": asks(dhcpv6.MessageTypeInformationRequest),
	} {
		if _, err := Parse(m.ToBytes(), linkLocal(card)); err == nil {
			t.Errorf("%s was read", name)
		}
	}
	if _, err := Parse(wrap(asks(dhcpv6.MessageTypeSolicit), maxHops).ToBytes(), linkLocal(card)); err != nil {
		t.Errorf("%d relays: %v", maxHops, err)
	}
	toOther := asks(dhcpv6.MessageTypeRequest, dhcpv6.OptServerID(&dhcpv6.DUIDLL{HWType: iana.HWTypeEthernet, LinkLayerAddr: card}))
	if m, r := answer(t, arrive(t, toOther), server, leased, dhcp.Boot{}); m != nil {
		t.Errorf("a Request to another server was answered: %s", r.Reason)
	}
}

// FuzzAnswer: whatever bytes come in, nothing panics, and what goes out can be read.
func FuzzAnswer(f *testing.F) {
	f.Add(asks(dhcpv6.MessageTypeSolicit, boots(pxeClass, iana.EFI_X86_64)...).ToBytes(), false, "snponly.efi")
	f.Add(asks(dhcpv6.MessageTypeRequest, append(boots(httpClass, iana.EFI_X86_64_HTTP), dhcpv6.OptServerID(server.DUID))...).ToBytes(), true, "http://[fd77::1]/x.efi")
	f.Add(asks(dhcpv6.MessageTypeConfirm).ToBytes(), false, "")
	relay := &dhcpv6.RelayMessage{MessageType: dhcpv6.MessageTypeRelayForward, LinkAddr: net.ParseIP("fd77::9"), PeerAddr: net.ParseIP("fe80::1")}
	relay.AddOption(dhcpv6.OptRelayMessage(asks(dhcpv6.MessageTypeRenew, dhcpv6.OptServerID(server.DUID))))
	f.Add(relay.ToBytes(), false, "x")
	for _, m := range costly() {
		f.Add(m.ToBytes(), false, "")
	}
	f.Fuzz(func(t *testing.T, raw []byte, proxy bool, file string) {
		req, err := Parse(raw, linkLocal(card))
		if err != nil {
			return
		}
		id := server
		if proxy {
			id.Network.Mode = dhcp.Proxy
		}
		table := newTable(lab, nil, time.Now)
		c := Classify(req)
		g := Grant{Reason: "none"}
		if mac, ok := dhcp.StationOf(c.MAC); ok {
			g = table.offer(mac, c.Addr)
			table.request(mac, c.Addr)
			table.giveBack(mac, c.Addr, proxy)
		}
		r := Answer(req, c, id, g, dhcp.Boot{File: file})
		if r.Reason == "" {
			t.Error("no reason")
		}
		if r.Message == nil {
			return
		}
		if _, err := dhcpv6.FromBytes(req.wrap(r.Message).ToBytes()); err != nil {
			t.Fatalf("the reply does not parse: %v", err)
		}
	})
}
