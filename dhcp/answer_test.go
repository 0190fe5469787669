package dhcp_test

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
	"github.com/google/go-cmp/cmp/cmpopts"
	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

var update = flag.Bool("update", false, "write the golden replies anew")

// testIdentity is the server of the golden replies.
func testIdentity(mode dhcp.Mode) dhcp.Identity {
	return dhcp.Identity{
		Addr: netip.MustParseAddr("10.77.0.1"),
		TFTP: netip.MustParseAddr("10.77.0.3"),
		Network: dhcp.Network{
			Mode:   mode,
			Subnet: netip.MustParsePrefix("10.77.0.0/24"),
			Router: netip.MustParseAddr("10.77.0.254"),
			DNS:    []netip.Addr{netip.MustParseAddr("10.77.0.53"), netip.MustParseAddr("9.9.9.9")},
			Domain: "example.net",
		},
	}
}

// testGrant is what a lease table says in the golden replies.
func testGrant(mode dhcp.Mode) dhcp.Grant {
	if mode == dhcp.Proxy {
		return dhcp.Grant{}
	}
	return dhcp.Grant{Verdict: dhcp.Granted, Addr: netip.MustParseAddr("10.77.0.100"), Hostname: "web1", Term: time.Hour, Reason: "granted"}
}

func answerSample(s dhcptest.Sample, mode dhcp.Mode, boot dhcp.Boot) dhcp.Reply {
	return dhcp.Answer(s.Req, testIdentity(mode), testGrant(mode), boot)
}

// TestAnswerGolden compares the replies to all sample packets with the files
// that a person has read.
func TestAnswerGolden(t *testing.T) {
	for _, s := range dhcptest.Samples(t) {
		for _, mode := range []dhcp.Mode{dhcp.Pool, dhcp.Proxy} {
			name := s.Name + "." + mode.String()
			t.Run(name, func(t *testing.T) {
				got := render(answerSample(s, mode, dhcptest.Boot(s.Req.Client)))
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
	for _, s := range dhcptest.Samples(t) {
		for _, mode := range []dhcp.Mode{dhcp.Pool, dhcp.Proxy} {
			r := answerSample(s, mode, dhcptest.Boot(s.Req.Client))
			if r.Reason == "" {
				t.Errorf("%s, %s: no reason given", s.Name, mode)
			}
			if r.Packet != nil {
				t.Run(s.Name+"."+mode.String(), func(t *testing.T) { checkReply(t, s.Req.Packet, r) })
			}
		}
	}
}

func checkReply(t *testing.T, q *dhcpv4.DHCPv4, r dhcp.Reply) {
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
	class, has43 := string(p.Options[60]), p.Options.Has(dhcpv4.OptionVendorSpecificInformation)
	hasAddress := dhcp.ToAddr(p.YourIPAddr).IsValid()
	fromUEFI := !strings.Contains(string(q.Options[77]), "cloudlets") && strings.HasPrefix(string(q.Options[60]), "PXE")
	if hasAddress && class == dhcp.ClassPXE && !has43 && fromUEFI {
		t.Error("a lease with option 60 but without 43 sends UEFI to port 4011")
	}
	if strings.HasPrefix(class, dhcp.ClassHTTP) && has43 {
		t.Error("an HTTP Boot answer has option 43")
	}
}

// TestAnswerChangesNothing: the same arguments give the same reply, and are
// left as they were.
func TestAnswerChangesNothing(t *testing.T) {
	for _, s := range dhcptest.Samples(t) {
		before := s.Req.Packet.ToBytes()
		first := answerSample(s, dhcp.Pool, dhcptest.Boot(s.Req.Client))
		if first.Packet != nil {
			maps.DeleteFunc(first.Packet.Options, func(c uint8, _ []byte) bool { return c == 54 })
			first.Packet.ClientHWAddr[0] ^= 0xff
		}
		if !slices.Equal(before, s.Req.Packet.ToBytes()) {
			t.Errorf("%s: the reply shares memory with the request", s.Name)
		}
		again := render(answerSample(s, dhcp.Pool, dhcptest.Boot(s.Req.Client)))
		if once := render(answerSample(s, dhcp.Pool, dhcptest.Boot(s.Req.Client))); once != again {
			t.Errorf("%s: two answers to one request differ", s.Name)
		}
	}
}

func TestMustNotBoot(t *testing.T) {
	off := dhcp.Boot{Reason: "installed"}
	for _, name := range []string{"bios-pxe-discover", "ipxe-rom-discover", "ovmf-pxe-discover", "ovmf-http-discover", "own-ipxe-discover", "raspberrypi-discover"} {
		s := dhcptest.SampleNamed(t, name)
		if r := answerSample(s, dhcp.Proxy, off); r.Packet != nil {
			t.Errorf("%s: a proxy answers a client that must not boot:\n%s", name, render(r))
		}
		r := answerSample(s, dhcp.Pool, off)
		if r.Packet == nil || !r.Packet.YourIPAddr.Equal(net.IPv4(10, 77, 0, 100)) {
			t.Fatalf("%s: no address: %s", name, r.Reason)
		}
		for _, code := range []uint8{43, 60, 66, 67, 175} {
			if v, ok := r.Packet.Options[code]; ok {
				t.Errorf("%s: option %d = %q lures the client into booting", name, code, v)
			}
		}
		if r.Packet.BootFileName != "" || dhcp.ToAddr(r.Packet.ServerIPAddr).IsValid() || !strings.Contains(r.Reason, "installed") {
			t.Errorf("%s: want the address only, and why:\n%s", name, render(r))
		}
	}
	if r := answerSample(dhcptest.SampleNamed(t, "ovmf-pxe-4011"), dhcp.Proxy, off); r.Packet != nil {
		t.Errorf("port 4011 answers a client that must not boot")
	}
}

// TestGoesToItsOwnDisk: an iPXE of a machine that no other server boots either is told not to
// wait for a proxy. Firmware is told nothing that it could take for an offer to boot.
func TestGoesToItsOwnDisk(t *testing.T) {
	final := dhcp.Boot{Reason: "installed", Final: true}
	for name, want := range map[string][]byte{"ipxe-rom-discover": {176, 1, 1}, "bios-pxe-discover": nil, "ovmf-pxe-discover": nil} {
		r := answerSample(dhcptest.SampleNamed(t, name), dhcp.Pool, final)
		if got := r.Packet.Options[175]; !slices.Equal(got, want) || r.Packet.Options.Has(dhcpv4.OptionBootfileName) {
			t.Errorf("%s: option 175 is %v, want %v:\n%s", name, got, want, render(r))
		}
	}
	other := dhcp.Boot{Reason: "a stranger"} // which another server may boot
	if r := answerSample(dhcptest.SampleNamed(t, "ipxe-rom-discover"), dhcp.Pool, other); r.Packet.Options[175] != nil {
		t.Errorf("an iPXE that another server may boot is told not to wait:\n%s", render(r))
	}
}

func TestOneStepQuirk(t *testing.T) {
	boot := dhcp.Boot{File: "snponly.efi", OneStep: true}
	r := answerSample(dhcptest.SampleNamed(t, "ovmf-pxe-discover"), dhcp.Proxy, boot)
	if r.Packet.BootFileName != "snponly.efi" || !slices.Equal(r.Packet.Options[43], []byte{6, 1, 8, 255}) {
		t.Errorf("want the file and option 43 in the offer:\n%s", render(r))
	}
}

func TestHTTPBootNeedsURL(t *testing.T) {
	s := dhcptest.SampleNamed(t, "ovmf-http-discover")
	for _, file := range []string{"snponly.efi", "tftp://10.77.0.1/snponly.efi"} {
		r := answerSample(s, dhcp.Proxy, dhcp.Boot{File: file})
		if r.Packet != nil || !strings.Contains(r.Reason, "URL") {
			t.Errorf("file %q for HTTP Boot: %s", file, render(r))
		}
	}
	if r := answerSample(s, dhcp.Proxy, dhcp.Boot{File: "https://10.77.0.1/x.efi"}); r.Packet == nil {
		t.Errorf("an https URL is refused: %s", r.Reason)
	}
}

func TestLongFileNames(t *testing.T) {
	s := dhcptest.SampleNamed(t, "own-ipxe-discover")
	url := func(n int) string { return "http://10.77.0.1/" + strings.Repeat("x", n-17) }
	for _, test := range []struct {
		length   int
		inHeader bool
		sent     bool
	}{{127, true, true}, {128, false, true}, {254, false, true}, {255, false, false}} {
		r := answerSample(s, dhcp.Proxy, dhcp.Boot{File: url(test.length)})
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
		s := dhcptest.SampleNamed(t, "ipxe-rom-discover")
		s.Req.Packet.Options[61] = make([]byte, 250)
		s.Req.Packet.Options[82] = make([]byte, 200)
		delete(s.Req.Packet.Options, 57)
		if test.stated != nil {
			s.Req.Packet.Options[57] = test.stated
		}
		r := answerSample(s, dhcp.Pool, dhcp.Boot{File: "http://10.77.0.1/" + strings.Repeat("x", 100)})
		if n := len(r.Packet.ToBytes()); n > test.limit {
			t.Errorf("client that stated %x gets %d bytes, more than %d", test.stated, n, test.limit)
		}
		if r.Packet.BootFileName == "" || r.Packet.Options[53] == nil || r.Packet.Options[51] == nil {
			t.Errorf("client that stated %x: an essential part was dropped:\n%s", test.stated, render(r))
		}
	}
}

func TestRefusal(t *testing.T) {
	s := dhcptest.SampleNamed(t, "udhcpc-request")
	grant := dhcp.Grant{Verdict: dhcp.Refused, Reason: "in use by another"}
	r := dhcp.Answer(s.Req, testIdentity(dhcp.Pool), grant, dhcp.Boot{})
	want := dhcp.Destination{Route: dhcp.Broadcast, Addr: netip.MustParseAddrPort("255.255.255.255:68")}
	if r.Packet.MessageType() != dhcpv4.MessageTypeNak || !cmp.Equal(r.To, want, cmpopts.EquateComparable(netip.AddrPort{})) {
		t.Errorf("want a NAK by broadcast:\n%s", render(r))
	}
	if dhcp.ToAddr(r.Packet.YourIPAddr).IsValid() || r.Packet.Options.Has(dhcpv4.OptionSubnetMask) {
		t.Errorf("a NAK carries configuration:\n%s", render(r))
	}
	if r.Packet.Message() != grant.Reason {
		t.Errorf("the NAK's message is %q", r.Packet.Message())
	}
}

func TestNoAddressIsSilence(t *testing.T) {
	for _, name := range []string{"udhcpc-discover", "udhcpc-request", "ovmf-pxe-discover"} {
		s := dhcptest.SampleNamed(t, name)
		r := dhcp.Answer(s.Req, testIdentity(dhcp.Pool), dhcp.Grant{Reason: "pool full"}, dhcptest.Boot(s.Req.Client))
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
		s := dhcptest.SampleNamed(t, "udhcpc-discover")
		s.Req.Packet.Options[53] = []byte{byte(mt)}
		if r := answerSample(s, dhcp.Pool, dhcp.Boot{}); r.Packet != nil || r.Reason == "" {
			t.Errorf("message type %d is answered:\n%s", mt, render(r))
		}
	}
}

func BenchmarkAnswer(b *testing.B) {
	s := dhcptest.SampleNamed(b, "ovmf-pxe-discover")
	for b.Loop() {
		p, err := dhcp.Parse(s.Raw)
		if err != nil {
			b.Fatal(err)
		}
		req := dhcp.Request{Packet: p, Client: dhcp.Classify(p), Port: dhcp.ServerPort, Source: s.Req.Source}
		if r := dhcp.Answer(req, testIdentity(dhcp.Pool), testGrant(dhcp.Pool), dhcptest.Boot(req.Client)); len(r.Packet.ToBytes()) == 0 {
			b.Fatal("no reply")
		}
	}
}
