package v4

import (
	"bytes"
	"log/slog"
	"strings"
	"testing"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
	"cloudlets/dhcp/ether"
)

// These tests have clients that do not do as the standards say, and get what other
// servers give them.

// TestTheVendorClassOfTheDiscover counts for the REQUEST that follows it, and for no
// other one of that MAC.
func TestTheVendorClassOfTheDiscover(t *testing.T) {
	b := startBed(t, poolInterface(), nil)
	offer := b.put(dhcptest.SampleNamed(t, "bios-pxe-discover"))
	b.got()
	request := dhcptest.SampleNamed(t, "bios-pxe-discover")
	request.Req.Packet.UpdateOption(dhcpv4.OptMessageType(dhcpv4.MessageTypeRequest))
	request.Req.Packet.UpdateOption(dhcpv4.OptServerIdentifier([]byte{10, 77, 0, 1}))
	request.Req.Packet.UpdateOption(dhcpv4.OptRequestedIPAddress(offer.Addr.AsSlice()))
	for _, code := range []dhcpv4.OptionCode{dhcpv4.OptionClassIdentifier, dhcpv4.OptionClientSystemArchitectureType} {
		request.Req.Packet.Options.Del(code)
	}
	if e := b.put(request); e.Reply != "ACK" || e.File != "undionly.kpxe" || e.Client.Firmware != dhcp.BIOS {
		t.Errorf("the REQUEST that takes the offer: %+v", e)
	}
	if p := parseSent(t, b.got()); p.BootFileName != "undionly.kpxe" || p.ClassIdentifier() != "PXEClient" {
		t.Errorf("the ACK names %q for %q", p.BootFileName, p.ClassIdentifier())
	}
	request.Req.Packet.TransactionID[0]++
	if e := b.put(request); e.Reply != "ACK" || e.File != "" {
		t.Errorf("a REQUEST of the system that was booted: %+v", e)
	}
}

// TestInfiniBand is not served, which the log says.
func TestInfiniBand(t *testing.T) {
	lines := make(lineLog, 1)
	b := startBed(t, poolInterface(), func(s *Server) {
		s.Log = lines.logger()
	})
	raw := bytes.Clone(dhcptest.SampleNamed(t, "udhcpc-discover").Raw)
	raw[1], raw[2] = 32, 0 // RFC 4390, 2.1
	for range 2 {          // the second is within the same minute, and would not fit
		b.ports[dhcp.ServerPort].in <- ether.Datagram{Data: raw}
	}
	select {
	case line := <-lines:
		if !strings.Contains(line, "hardware type 32") && !strings.Contains(line, "InfiniBand") || !strings.Contains(line, "Ethernet") {
			t.Errorf("the log says %s", line)
		}
	case <-time.After(dhcptest.Patience):
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
