package dhcp

import (
	"bytes"
	"encoding/binary"
	"log/slog"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// These tests have clients that do not do as the standards say, and get what other
// servers give them.

// mutated is a sample with other bytes.
func mutated(t testing.TB, name string, change func(raw []byte) []byte) sample {
	t.Helper()
	s := sampleNamed(t, name)
	s.raw = change(bytes.Clone(s.raw))
	p, err := Parse(s.raw)
	if err != nil {
		t.Fatalf("%s: %v", name, err)
	}
	s.req.Packet, s.req.Client = p, Classify(p)
	return s
}

// withoutEnd cuts a packet off where its End option begins.
func withoutEnd(raw []byte) []byte { return bytes.TrimRight(raw, "\xff\x00") }

func TestTheEndOptionMayBeMissing(t *testing.T) {
	for _, name := range []string{"bios-pxe-discover", "udhcpc-discover", "ovmf-pxe-discover"} {
		s := sampleNamed(t, name)
		p, err := Parse(withoutEnd(s.raw))
		if err != nil {
			t.Errorf("%s: %v", name, err)
		} else if got, want := Classify(p), s.req.Client; got.Kind != want.Kind || got.VendorClass != want.VendorClass {
			t.Errorf("%s: client %+v, want %+v", name, got, want)
		}
	}
}

// TestAnOptionThatIsCutOff is not repaired by the End option that Parse adds.
func TestAnOptionThatIsCutOff(t *testing.T) {
	raw := append(withoutEnd(sampleNamed(t, "udhcpc-discover").raw), 12, 1)
	if _, err := Parse(raw); err == nil {
		t.Error("no error")
	}
}

// TestTheVendorClassOfTheDiscover counts for the REQUEST that follows it, and for no
// other one of that MAC.
func TestTheVendorClassOfTheDiscover(t *testing.T) {
	b := startBed(t, poolInterface(), nil)
	offer := b.put(sampleNamed(t, "bios-pxe-discover"))
	b.got()
	request := sampleNamed(t, "bios-pxe-discover")
	request.req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	request.req.Packet.UpdateOption(dhcpv4.OptServerIdentifier([]byte{10, 77, 0, 1}))
	request.req.Packet.UpdateOption(dhcpv4.OptRequestedIPAddress(offer.Addr.AsSlice()))
	for _, code := range []dhcpv4.OptionCode{dhcpv4.OptionClassIdentifier, dhcpv4.OptionClientSystemArchitectureType} {
		request.req.Packet.Options.Del(code)
	}
	if e := b.put(request); e.Reply != "ACK" || e.File != "undionly.kpxe" || e.Client.Firmware != BIOS {
		t.Errorf("the REQUEST that takes the offer: %+v", e)
	}
	if p := parseSent(t, b.got()); p.BootFileName != "undionly.kpxe" || p.ClassIdentifier() != "PXEClient" {
		t.Errorf("the ACK names %q for %q", p.BootFileName, p.ClassIdentifier())
	}
	request.req.Packet.TransactionID[0]++
	if e := b.put(request); e.Reply != "ACK" || e.File != "" {
		t.Errorf("a REQUEST of the system that was booted: %+v", e)
	}
}

// TestAnInformThatNamesNoAddress is answered where it came from, and not to all.
func TestAnInformThatNamesNoAddress(t *testing.T) {
	nameless := func(raw []byte) []byte { return append(raw[:12:12], append(make([]byte, 4), raw[16:]...)...) }
	s := mutated(t, "plain-inform", nameless)
	r := answerSample(s, Pool, Boot{})
	if want := netip.MustParseAddrPort("10.77.0.9:68"); r.Packet == nil || r.To.Route != Routed || r.To.Addr != want {
		t.Errorf("reply %+v, want one to %s", r, want)
	}
	s.req.Source = netip.MustParseAddrPort("0.0.0.0:68")
	if r := answerSample(s, Pool, Boot{}); r.Packet != nil || !strings.Contains(r.Reason, "no address") {
		t.Errorf("an INFORM from nowhere: %+v", r)
	}
}

// TestInfiniBand is not served, which the log says.
func TestInfiniBand(t *testing.T) {
	lines := make(lineLog, 1)
	b := startBed(t, poolInterface(), func(s *Server) {
		s.Log = lines.logger()
	})
	raw := bytes.Clone(sampleNamed(t, "udhcpc-discover").raw)
	raw[1], raw[2] = 32, 0 // RFC 4390, 2.1
	for range 2 {          // the second is within the same minute, and would not fit
		b.ports[ServerPort].in <- arrival{data: raw}
	}
	select {
	case line := <-lines:
		if !strings.Contains(line, "hardware type 32") && !strings.Contains(line, "InfiniBand") || !strings.Contains(line, "Ethernet") {
			t.Errorf("the log says %s", line)
		}
	case <-time.After(patience):
		t.Error("the log does not say that InfiniBand is not served")
	}
}

// lineLog is a log whose lines can be waited for.
type lineLog chan string

// logger logs warnings alone.
func (l lineLog) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelWarn}))
}

func (l lineLog) Write(b []byte) (int, error) { l <- string(b); return len(b), nil }

// TestInfiniBandIsAnsweredToAll, when it has an address of 6 bytes: that is none that a
// frame could go to (RFC 4390, 2.1).
func TestInfiniBandIsAnsweredToAll(t *testing.T) {
	s := mutated(t, "udhcpc-discover", func(raw []byte) []byte { raw[1] = 32; binary.BigEndian.PutUint16(raw[10:], 0); return raw })
	if r := answerSample(s, Pool, Boot{}); r.Packet == nil || r.To.Route != Broadcast {
		t.Errorf("reply %+v, want a broadcast", r)
	}
}
