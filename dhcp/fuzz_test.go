package dhcp_test

import (
	"net/netip"
	"slices"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

// FuzzAnswer: whatever bytes come in, nothing panics, and what goes out is a
// packet that the client can read and that fits.
func FuzzAnswer(f *testing.F) {
	for _, s := range dhcptest.Samples(f) {
		f.Add(s.Raw, s.Req.Port == dhcp.BootPort, true, "undionly.kpxe")
		f.Add(s.Raw, s.Req.Port == dhcp.BootPort, false, "http://10.77.0.1/script")
	}
	f.Fuzz(func(t *testing.T, raw []byte, bootPort, holdsPool bool, file string) {
		p, err := dhcp.Parse(raw)
		if err != nil {
			return
		}
		req := dhcp.Request{Packet: p, Client: dhcp.Classify(p), Port: dhcp.ServerPort, Source: netip.MustParseAddrPort("10.77.0.9:4011")}
		if bootPort {
			req.Port = dhcp.BootPort
		}
		mode := dhcp.Proxy
		if holdsPool {
			mode = dhcp.Pool
		}
		r := dhcp.Answer(req, testIdentity(mode), testGrant(mode), dhcp.Boot{File: file})
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
