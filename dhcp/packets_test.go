package dhcp

import (
	"bufio"
	"bytes"
	"encoding/hex"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

// sample is a request of testdata/packets: its bytes and how it came.
type sample struct {
	name string
	req  Request
	raw  []byte
}

// samples reads all requests of testdata/packets.
func samples(t testing.TB) []sample {
	t.Helper()
	files, err := filepath.Glob("testdata/packets/*.hex")
	if err != nil || len(files) == 0 {
		t.Fatalf("no packets in testdata/packets: %v", err)
	}
	var all []sample
	for _, f := range files {
		all = append(all, readSample(t, f))
	}
	return all
}

func sampleNamed(t testing.TB, name string) sample {
	t.Helper()
	return readSample(t, "testdata/packets/"+name+".hex")
}

// readSample reads a file of hexadecimal bytes with comments, in which lines
// that begin with "source" and "port" say how the packet came.
func readSample(t testing.TB, file string) sample {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	s := sample{name: strings.TrimSuffix(filepath.Base(file), ".hex")}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if source, ok := strings.CutPrefix(line, "source "); ok {
			s.req.Source = netip.MustParseAddrPort(source)
		} else if port, ok := strings.CutPrefix(line, "port "); ok {
			fmt.Sscan(port, &s.req.Port)
		} else if !strings.HasPrefix(line, "#") {
			b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			s.raw = append(s.raw, b...)
		}
	}
	if s.req.Packet, err = Parse(s.raw); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	s.req.Client = Classify(s.req.Packet)
	return s
}

// render writes a reply as text that a person can check against the standard.
func render(r Reply) string {
	var b strings.Builder
	fmt.Fprintf(&b, "reason  %s\n", r.Reason)
	if r.Packet == nil {
		return b.String() + "silence\n"
	}
	p := r.Packet
	fmt.Fprintf(&b, "to      %s\n", renderDestination(r.To))
	fmt.Fprintf(&b, "xid     %s\nflags   %04x\n", p.TransactionID, p.Flags)
	fmt.Fprintf(&b, "ciaddr  %s\nyiaddr  %s\n", dotted(p.ClientIPAddr), dotted(p.YourIPAddr))
	fmt.Fprintf(&b, "siaddr  %s\ngiaddr  %s\n", dotted(p.ServerIPAddr), dotted(p.GatewayIPAddr))
	fmt.Fprintf(&b, "chaddr  %s\nsname   %q\nfile    %q\n", p.ClientHWAddr, p.ServerHostName, p.BootFileName)
	var codes []int
	for c := range p.Options {
		codes = append(codes, int(c))
	}
	slices.Sort(codes)
	for _, c := range codes {
		fmt.Fprintf(&b, "%-6d  %s\n", c, renderValue(c, p.Options[uint8(c)]))
	}
	return b.String()
}

func renderDestination(d Destination) string {
	switch d.Route {
	case Broadcast:
		return "broadcast " + d.Addr.String()
	case Hardware:
		return d.Addr.String() + " at " + d.MAC.String()
	default:
		return d.Addr.String()
	}
}

func renderValue(code int, v []byte) string {
	switch code {
	case 12, 15, 56, 60, 66, 67:
		return fmt.Sprintf("%q", v)
	case 53:
		return dhcpv4.MessageType(v[0]).String()
	case 1, 3, 6, 28, 54:
		var addrs []string
		for ip := range slices.Chunk(v, 4) {
			addrs = append(addrs, dotted(ip))
		}
		return strings.Join(addrs, " ")
	default:
		return hex.EncodeToString(v)
	}
}

func dotted(ip []byte) string {
	if a := toAddr(ip); a.IsValid() {
		return a.String()
	}
	return "-"
}
