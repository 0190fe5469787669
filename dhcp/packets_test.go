package dhcp_test

import (
	"encoding/hex"
	"fmt"
	"slices"
	"strings"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
)

// render writes a reply as text that a person can check against the standard.
func render(r dhcp.Reply) string {
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

func renderDestination(d dhcp.Destination) string {
	switch d.Route {
	case dhcp.Broadcast:
		return "broadcast " + d.Addr.String()
	case dhcp.Hardware:
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
	if a := dhcp.ToAddr(ip); a.IsValid() {
		return a.String()
	}
	return "-"
}
