package dhcp

import (
	"flag"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/insomniacslk/dhcp/dhcpv4"
)

var update = flag.Bool("update", false, "write the golden replies anew")

// testIdentity is the server of the golden replies.
func testIdentity(mode Mode) Identity {
	return Identity{
		Addr: netip.MustParseAddr("10.77.0.1"),
		TFTP: netip.MustParseAddr("10.77.0.3"),
		Network: Network{
			Mode:   mode,
			Subnet: netip.MustParsePrefix("10.77.0.0/24"),
			Router: netip.MustParseAddr("10.77.0.254"),
			DNS:    []netip.Addr{netip.MustParseAddr("10.77.0.53"), netip.MustParseAddr("9.9.9.9")},
			Domain: "example.net",
		},
	}
}

// testGrant is what a lease table says in the golden replies.
func testGrant(mode Mode) Grant {
	if mode == Proxy {
		return Grant{}
	}
	return Grant{Verdict: Granted, Addr: netip.MustParseAddr("10.77.0.100"), Hostname: "web1", Term: time.Hour, Reason: "granted"}
}

// testBoot gives each kind of client what the boot chain would.
func testBoot(c Client) Boot {
	switch {
	case c.Kind == OwnIPXE:
		return Boot{File: "http://10.77.0.1/boot/52:54:00:00:00:01/script", Reason: "armed"}
	case c.Kind == HTTPBoot:
		return Boot{File: "http://10.77.0.1/boot/snponly.efi", Reason: "armed"}
	case c.Firmware == RaspberryPi:
		return Boot{File: "bootcode.bin", Reason: "armed"}
	case c.Firmware == BIOS:
		return Boot{File: "undionly.kpxe", Reason: "armed"}
	}
	return Boot{File: "snponly.efi", Reason: "armed"}
}

func answerSample(s sample, mode Mode, boot Boot) Reply {
	return Answer(s.req, testIdentity(mode), testGrant(mode), boot)
}

// TestAnswerGolden compares the replies to all sample packets with the files
// that a person has read.
func TestAnswerGolden(t *testing.T) {
	for _, s := range samples(t) {
		for _, mode := range []Mode{Pool, Proxy} {
			name := s.name + "." + mode.String()
			t.Run(name, func(t *testing.T) {
				got := render(answerSample(s, mode, testBoot(s.req.Client)))
				golden := filepath.Join("testdata", "replies", name+".txt")
				if *update {
					if err := os.WriteFile(golden, []byte(got), 0o644); err != nil {
						t.Fatal(err)
					}
				}
				want, err := os.ReadFile(golden)
				if err != nil {
					t.Fatal(err)
				}
				if diff := cmp.Diff(string(want), got); diff != "" {
					t.Errorf("reply differs from %s (-want +got):\n%s", golden, diff)
				}
			})
		}
	}
}

// TestEveryAnswer holds what is true of all replies, whatever the client.
func TestEveryAnswer(t *testing.T) {
	for _, s := range samples(t) {
		for _, mode := range []Mode{Pool, Proxy} {
			r := answerSample(s, mode, testBoot(s.req.Client))
			if r.Reason == "" {
				t.Errorf("%s, %s: no reason given", s.name, mode)
			}
			if r.Packet != nil {
				t.Run(s.name+"."+mode.String(), func(t *testing.T) { checkReply(t, s.req.Packet, r) })
			}
		}
	}
}

func checkReply(t *testing.T, q *dhcpv4.DHCPv4, r Reply) {
	t.Helper()
	p, err := dhcpv4.FromBytes(r.Packet.ToBytes())
	if err != nil {
		t.Fatalf("the reply does not parse: %v", err)
	}
	if p.OpCode != dhcpv4.OpcodeBootReply || p.TransactionID != q.TransactionID || p.ClientHWAddr.String() != q.ClientHWAddr.String() {
		t.Errorf("not a reply to the client's packet: %s", p)
	}
	if !p.ServerIdentifier().Equal(net.IPv4(10, 77, 0, 1)) {
		t.Errorf("server identifier %s", p.ServerIdentifier())
	}
	for _, echoed := range []uint8{61, 82, 97} {
		if string(p.Options[echoed]) != string(q.Options[echoed]) {
			t.Errorf("option %d is %x, the client sent %x", echoed, p.Options[echoed], q.Options[echoed])
		}
	}
	if p.BootFileName != "" && string(p.Options[67]) != p.BootFileName+"\x00" {
		t.Errorf("file is %q in the header, %q in option 67", p.BootFileName, p.Options[67])
	}
	class, has43 := string(p.Options[60]), p.Options.Has(optVendor)
	hasAddress := toAddr(p.YourIPAddr).IsValid()
	fromUEFI := !strings.Contains(string(q.Options[77]), "cloudlets") && strings.HasPrefix(string(q.Options[60]), "PXE")
	if hasAddress && class == classPXE && !has43 && fromUEFI {
		t.Error("a lease with option 60 but without 43 sends UEFI to port 4011")
	}
	if strings.HasPrefix(class, classHTTP) && has43 {
		t.Error("an HTTP Boot answer has option 43")
	}
}

// TestAnswerChangesNothing: the same arguments give the same reply, and are
// left as they were.
func TestAnswerChangesNothing(t *testing.T) {
	for _, s := range samples(t) {
		before := s.req.Packet.ToBytes()
		first := answerSample(s, Pool, testBoot(s.req.Client))
		if first.Packet != nil {
			maps.DeleteFunc(first.Packet.Options, func(c uint8, _ []byte) bool { return c == 54 })
			first.Packet.ClientHWAddr[0] ^= 0xff
		}
		if !slices.Equal(before, s.req.Packet.ToBytes()) {
			t.Errorf("%s: the reply shares memory with the request", s.name)
		}
		again := render(answerSample(s, Pool, testBoot(s.req.Client)))
		if once := render(answerSample(s, Pool, testBoot(s.req.Client))); once != again {
			t.Errorf("%s: two answers to one request differ", s.name)
		}
	}
}

func TestMustNotBoot(t *testing.T) {
	off := Boot{Reason: "installed"}
	for _, name := range []string{"bios-pxe-discover", "ipxe-rom-discover", "ovmf-pxe-discover", "ovmf-http-discover", "own-ipxe-discover", "raspberrypi-discover"} {
		s := sampleNamed(t, name)
		if r := answerSample(s, Proxy, off); r.Packet != nil {
			t.Errorf("%s: a proxy answers a client that must not boot:\n%s", name, render(r))
		}
		r := answerSample(s, Pool, off)
		if r.Packet == nil || !r.Packet.YourIPAddr.Equal(net.IPv4(10, 77, 0, 100)) {
			t.Fatalf("%s: no address: %s", name, r.Reason)
		}
		for _, code := range []uint8{43, 60, 66, 67, 175} {
			if v, ok := r.Packet.Options[code]; ok {
				t.Errorf("%s: option %d = %q lures the client into booting", name, code, v)
			}
		}
		if r.Packet.BootFileName != "" || toAddr(r.Packet.ServerIPAddr).IsValid() || !strings.Contains(r.Reason, "installed") {
			t.Errorf("%s: want the address only, and why:\n%s", name, render(r))
		}
	}
	if r := answerSample(sampleNamed(t, "ovmf-pxe-4011"), Proxy, off); r.Packet != nil {
		t.Errorf("port 4011 answers a client that must not boot")
	}
}

func TestOneStepQuirk(t *testing.T) {
	boot := Boot{File: "snponly.efi", OneStep: true}
	r := answerSample(sampleNamed(t, "ovmf-pxe-discover"), Proxy, boot)
	if r.Packet.BootFileName != "snponly.efi" || !slices.Equal(r.Packet.Options[43], []byte{6, 1, 8, 255}) {
		t.Errorf("want the file and option 43 in the offer:\n%s", render(r))
	}
}

func TestHTTPBootNeedsURL(t *testing.T) {
	s := sampleNamed(t, "ovmf-http-discover")
	for _, file := range []string{"snponly.efi", "tftp://10.77.0.1/snponly.efi"} {
		r := answerSample(s, Proxy, Boot{File: file})
		if r.Packet != nil || !strings.Contains(r.Reason, "URL") {
			t.Errorf("file %q for HTTP Boot: %s", file, render(r))
		}
	}
	if r := answerSample(s, Proxy, Boot{File: "https://10.77.0.1/x.efi"}); r.Packet == nil {
		t.Errorf("an https URL is refused: %s", r.Reason)
	}
}

func TestLongFileNames(t *testing.T) {
	s := sampleNamed(t, "own-ipxe-discover")
	url := func(n int) string { return "http://10.77.0.1/" + strings.Repeat("x", n-17) }
	for _, test := range []struct {
		length   int
		inHeader bool
		sent     bool
	}{{127, true, true}, {128, false, true}, {254, false, true}, {255, false, false}} {
		r := answerSample(s, Proxy, Boot{File: url(test.length)})
		if sent := r.Packet != nil; sent != test.sent {
			t.Fatalf("a name of %d bytes: sent is %v (%s)", test.length, sent, r.Reason)
		}
		if r.Packet == nil {
			continue
		}
		p, _ := dhcpv4.FromBytes(r.Packet.ToBytes())
		if got := p.BootFileName == url(test.length); got != test.inHeader {
			t.Errorf("a name of %d bytes: whole in the header is %v", test.length, got)
		}
		if !test.inHeader && p.BootFileName != "" {
			t.Errorf("a name of %d bytes is cut in the header: %q", test.length, p.BootFileName)
		}
		if string(p.Options[67]) != url(test.length)+"\x00" {
			t.Errorf("a name of %d bytes: option 67 is %q", test.length, p.Options[67])
		}
	}
}

func TestReplyFitsClient(t *testing.T) {
	for _, test := range []struct {
		stated []byte
		limit  int
	}{
		{nil, 548},
		{[]byte{0, 10}, 548}, // less than every client must take: not believed
		{[]byte{0x02, 0x40}, 548},
		{[]byte{0x05, 0xc0}, 1444},
		{[]byte{0xff, 0x00}, 1472},
	} {
		s := sampleNamed(t, "ipxe-rom-discover")
		s.req.Packet.Options[61] = make([]byte, 250)
		s.req.Packet.Options[82] = make([]byte, 200)
		delete(s.req.Packet.Options, 57)
		if test.stated != nil {
			s.req.Packet.Options[57] = test.stated
		}
		r := answerSample(s, Pool, Boot{File: "http://10.77.0.1/" + strings.Repeat("x", 100)})
		if n := len(r.Packet.ToBytes()); n > test.limit {
			t.Errorf("client that stated %x gets %d bytes, more than %d", test.stated, n, test.limit)
		}
		if r.Packet.BootFileName == "" || r.Packet.Options[53] == nil || r.Packet.Options[51] == nil {
			t.Errorf("client that stated %x: an essential part was dropped:\n%s", test.stated, render(r))
		}
	}
}

func TestRefusal(t *testing.T) {
	s := sampleNamed(t, "udhcpc-request")
	grant := Grant{Verdict: Refused, Reason: "in use by another"}
	r := Answer(s.req, testIdentity(Pool), grant, Boot{})
	want := Destination{Broadcast, everyone, nil}
	if r.Packet.MessageType() != dhcpv4.MessageTypeNak || !cmp.Equal(r.To, want, cmp.Comparer(sameDestination)) {
		t.Errorf("want a NAK by broadcast:\n%s", render(r))
	}
	if toAddr(r.Packet.YourIPAddr).IsValid() || r.Packet.Options.Has(dhcpv4.OptionSubnetMask) {
		t.Errorf("a NAK carries configuration:\n%s", render(r))
	}
	if r.Packet.Message() != grant.Reason {
		t.Errorf("the NAK's message is %q", r.Packet.Message())
	}
}

func TestNoAddressIsSilence(t *testing.T) {
	for _, name := range []string{"udhcpc-discover", "udhcpc-request", "ovmf-pxe-discover"} {
		s := sampleNamed(t, name)
		r := Answer(s.req, testIdentity(Pool), Grant{Reason: "pool full"}, testBoot(s.req.Client))
		if r.Packet != nil || !strings.Contains(r.Reason, "pool full") {
			t.Errorf("%s: want silence and why:\n%s", name, render(r))
		}
	}
}

func TestNeverAnswered(t *testing.T) {
	for _, mt := range []dhcpv4.MessageType{
		dhcpv4.MessageTypeDecline, dhcpv4.MessageTypeRelease, dhcpv4.MessageTypeOffer,
		dhcpv4.MessageTypeAck, dhcpv4.MessageTypeNone, 99,
	} {
		s := sampleNamed(t, "udhcpc-discover")
		s.req.Packet.Options[53] = []byte{byte(mt)}
		if r := answerSample(s, Pool, Boot{}); r.Packet != nil || r.Reason == "" {
			t.Errorf("message type %d is answered:\n%s", mt, render(r))
		}
	}
}

func sameDestination(a, b Destination) bool {
	return a.Route == b.Route && a.Addr == b.Addr && a.MAC.String() == b.MAC.String()
}

func TestDestination(t *testing.T) {
	mac, _ := net.ParseMAC("52:54:00:00:00:03")
	yours, relay, has := net.IPv4(10, 77, 0, 100).To4(), net.IPv4(10, 88, 0, 1).To4(), net.IPv4(10, 77, 0, 50).To4()
	source := netip.MustParseAddrPort("10.77.0.50:4011")
	for _, test := range []struct {
		name               string
		giaddr, ciaddr, yi net.IP
		broadcast          bool
		port               uint16
		source             netip.AddrPort
		message            dhcpv4.MessageType
		want               Destination
	}{
		{name: "relayed", giaddr: relay, ciaddr: has, yi: yours, want: Destination{Addr: netip.MustParseAddrPort("10.88.0.1:67")}},
		{name: "relayed refusal", giaddr: relay, message: dhcpv4.MessageTypeNak, want: Destination{Addr: netip.MustParseAddrPort("10.88.0.1:67")}},
		{name: "boot port", port: BootPort, source: source, ciaddr: has, want: Destination{Addr: source}},
		{name: "boot port, client on port 68", port: BootPort, source: netip.MustParseAddrPort("10.77.0.50:68"), want: Destination{Addr: netip.MustParseAddrPort("10.77.0.50:68")}},
		{name: "boot port, no source address", port: BootPort, source: netip.MustParseAddrPort("0.0.0.0:68"), want: Destination{Broadcast, everyone, nil}},
		{name: "refusal of a renewal", ciaddr: has, message: dhcpv4.MessageTypeNak, want: Destination{Broadcast, everyone, nil}},
		{name: "has an address", ciaddr: has, yi: has, want: Destination{Addr: netip.MustParseAddrPort("10.77.0.50:68")}},
		{name: "has an address, wants broadcast", ciaddr: has, yi: has, broadcast: true, want: Destination{Addr: netip.MustParseAddrPort("10.77.0.50:68")}},
		{name: "claims a broadcast address", ciaddr: net.IPv4bcast.To4(), yi: yours, want: Destination{Hardware, netip.MustParseAddrPort("10.77.0.100:68"), mac}},
		{name: "wants broadcast", yi: yours, broadcast: true, want: Destination{Broadcast, everyone, nil}},
		{name: "gets no address", want: Destination{Broadcast, everyone, nil}},
		{name: "gets its first address", yi: yours, want: Destination{Hardware, netip.MustParseAddrPort("10.77.0.100:68"), mac}},
	} {
		t.Run(test.name, func(t *testing.T) {
			req := Request{Packet: &dhcpv4.DHCPv4{GatewayIPAddr: test.giaddr, ClientIPAddr: test.ciaddr}, Port: max(test.port, ServerPort), Source: test.source}
			p := &dhcpv4.DHCPv4{YourIPAddr: test.yi, ClientHWAddr: mac, Options: dhcpv4.Options{53: {byte(test.message)}}}
			if test.broadcast {
				p.SetBroadcast()
			}
			if got := destination(req, p); !sameDestination(got, test.want) {
				t.Errorf("goes to %s, want %s", renderDestination(got), renderDestination(test.want))
			}
		})
	}
}

func BenchmarkAnswer(b *testing.B) {
	s := sampleNamed(b, "ovmf-pxe-discover")
	for b.Loop() {
		p, err := Parse(s.raw)
		if err != nil {
			b.Fatal(err)
		}
		req := Request{Packet: p, Client: Classify(p), Port: ServerPort, Source: s.req.Source}
		if r := Answer(req, testIdentity(Pool), testGrant(Pool), testBoot(req.Client)); len(r.Packet.ToBytes()) == 0 {
			b.Fatal("no reply")
		}
	}
}

func BenchmarkOffer(b *testing.B) {
	n := Network{Subnet: netip.MustParsePrefix("10.0.0.0/16"), Pool: Ranges{Range{netip.MustParseAddr("10.0.0.10"), netip.MustParseAddr("10.0.255.0")}}}
	now := time.Unix(0, 0)
	tab := newTable(n, nil, func() time.Time { return now })
	for i := 0; b.Loop(); i++ {
		now = now.Add(time.Second) // a pool that is always nearly full
		tab.offer(station{2, 0, byte(i >> 24), byte(i >> 16), byte(i >> 8), byte(i)}, netip.Addr{})
	}
}

// TestSizeOf: it is what the library writes.
func TestSizeOf(t *testing.T) {
	for _, n := range []int{0, 1, 59, 60, 254, 255, 256, 510, 511, 600} {
		p, err := dhcpv4.New(dhcpv4.WithGeneric(dhcpv4.OptionDomainName, make([]byte, n)), dhcpv4.WithGeneric(dhcpv4.OptionHostName, nil))
		if err != nil {
			t.Fatal(err)
		}
		if got, want := sizeOf(p), len(p.ToBytes()); got != want {
			t.Errorf("with an option of %d bytes, the size is %d, want %d", n, got, want)
		}
	}
}
