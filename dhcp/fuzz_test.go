package dhcp

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// FuzzAnswer: whatever bytes come in, nothing panics, and what goes out is a
// packet that the client can read and that fits.
func FuzzAnswer(f *testing.F) {
	for _, s := range samples(f) {
		f.Add(s.raw, s.req.Port == BootPort, true, "undionly.kpxe")
		f.Add(s.raw, s.req.Port == BootPort, false, "http://10.77.0.1/script")
	}
	f.Fuzz(func(t *testing.T, raw []byte, bootPort, holdsPool bool, file string) {
		p, err := Parse(raw)
		if err != nil {
			return
		}
		req := Request{Packet: p, Client: Classify(p), Port: ServerPort, Source: netip.MustParseAddrPort("10.77.0.9:4011")}
		if bootPort {
			req.Port = BootPort
		}
		mode := Proxy
		if holdsPool {
			mode = Pool
		}
		r := Answer(req, testIdentity(mode), testGrant(mode), Boot{File: file})
		if r.Reason == "" {
			t.Error("no reason")
		}
		if r.Packet == nil {
			return
		}
		b := r.Packet.ToBytes()
		again, err := dhcpv4.FromBytes(b)
		if err != nil {
			t.Fatalf("the reply does not parse: %v", err)
		}
		if !slices.Equal(again.ToBytes(), b) {
			t.Error("the reply parses to something else")
		}
		if r.To.Addr.Port() == 0 || !r.To.Addr.Addr().IsValid() {
			t.Errorf("the reply goes nowhere: %+v", r.To)
		}
	})
}

// FuzzFrame: foreign frames on the probe's socket never panic, and what
// datagram builds is read back.
func FuzzFrame(f *testing.F) {
	from, to := netip.MustParseAddrPort("10.77.0.1:67"), netip.MustParseAddrPort("10.77.0.100:68")
	f.Add(datagram(from, to, []byte("payload")))
	f.Fuzz(func(t *testing.T, b []byte) {
		answerTo(&dhcpv4.DHCPv4{}, b)
		if len(b) > maxPacket {
			return
		}
		payload, ok := udpPayload(datagram(from, to, b), ClientPort)
		if !ok || !slices.Equal(payload, b) {
			t.Errorf("payload %x comes back as %x, %v", b, payload, ok)
		}
	})
}

// FuzzSuboptions: what encapsulate writes, suboptionOf finds.
func FuzzSuboptions(f *testing.F) {
	f.Add([]byte{6, 1, 8, 71, 4, 0, 0, 0, 0, 255}, byte(71), []byte{0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, foreign []byte, code byte, value []byte) {
		suboptionOf(foreign, code)
		userClasses(&dhcpv4.DHCPv4{Options: dhcpv4.Options{77: foreign}})
		uuidText(foreign)
		if code == 0 || code == 255 || len(value) > 255 {
			return
		}
		got, ok := suboptionOf(encapsulate(suboption{code, value}), code)
		if !ok || !slices.Equal(got, value) {
			t.Errorf("%x under %d comes back as %x, %v", value, code, got, ok)
		}
	})
}
