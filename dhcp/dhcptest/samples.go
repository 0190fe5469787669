// Package dhcptest has what the tests of several packages of DHCP stand on: packets of
// real clients, a clock that stands still, network namespaces with a cable.
package dhcptest

import (
	"bufio"
	"bytes"
	"embed"
	"encoding/hex"
	"fmt"
	"net/netip"
	"path"
	"strings"
	"testing"

	"cloudlets/dhcp"
)

// packets are requests of real clients, as text: see readSample.
//
//go:embed packets/*.hex
var packets embed.FS

// Sample is a request of packets: its bytes and how it came.
type Sample struct {
	Name string
	Req  dhcp.Request
	Raw  []byte
}

// Samples reads all requests of packets.
func Samples(t testing.TB) []Sample {
	t.Helper()
	files, err := packets.ReadDir("packets")
	if err != nil {
		t.Fatal(err)
	}
	var all []Sample
	for _, f := range files {
		all = append(all, readSample(t, f.Name()))
	}
	return all
}

// SampleNamed reads the request in packets/NAME.hex.
func SampleNamed(t testing.TB, name string) Sample {
	t.Helper()
	return readSample(t, name+".hex")
}

// readSample reads a file of hexadecimal bytes with comments, in which lines
// that begin with "source" and "port" say how the packet came.
func readSample(t testing.TB, file string) Sample {
	t.Helper()
	text, err := packets.ReadFile(path.Join("packets", file))
	if err != nil {
		t.Fatal(err)
	}
	s := Sample{Name: strings.TrimSuffix(file, ".hex")}
	lines := bufio.NewScanner(bytes.NewReader(text))
	for lines.Scan() {
		line := lines.Text()
		if source, ok := strings.CutPrefix(line, "source "); ok {
			s.Req.Source = netip.MustParseAddrPort(source)
		} else if port, ok := strings.CutPrefix(line, "port "); ok {
			fmt.Sscan(port, &s.Req.Port)
		} else if !strings.HasPrefix(line, "#") {
			b, err := hex.DecodeString(strings.ReplaceAll(line, " ", ""))
			if err != nil {
				t.Fatalf("%s: %v", file, err)
			}
			s.Raw = append(s.Raw, b...)
		}
	}
	if s.Req.Packet, err = dhcp.Parse(s.Raw); err != nil {
		t.Fatalf("%s: %v", file, err)
	}
	s.Req.Client = dhcp.Classify(s.Req.Packet)
	return s
}

// WithoutEnd cuts a packet off where its End option begins.
func WithoutEnd(raw []byte) []byte { return bytes.TrimRight(raw, "\xff\x00") }

// Boot gives each kind of client what the boot chain would.
func Boot(c dhcp.Client) dhcp.Boot {
	switch {
	case c.Kind == dhcp.OwnIPXE:
		return dhcp.Boot{File: "http://10.77.0.1/boot/52:54:00:00:00:01/script", Reason: "armed"}
	case c.Kind == dhcp.HTTPBoot:
		return dhcp.Boot{File: "http://10.77.0.1/boot/snponly.efi", Reason: "armed"}
	case c.Firmware == dhcp.RaspberryPi:
		return dhcp.Boot{File: "bootcode.bin", Reason: "armed"}
	case c.Firmware == dhcp.BIOS:
		return dhcp.Boot{File: "undionly.kpxe", Reason: "armed"}
	}
	return dhcp.Boot{File: "snponly.efi", Reason: "armed"}
}
