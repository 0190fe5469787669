package ether

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"

	"cloudlets/dhcp"
	"cloudlets/dhcp/serving"
)

const (
	// probeTime is how long a probe listens if its context has no deadline.
	probeTime = 3 * time.Second
	// probeAgain is after how long a probe asks a second time, in case the
	// first packet was lost.
	probeAgain = time.Second
)

// Found is a DHCP server that answered a probe.
type Found struct {
	// Server is its identifier (option 54), or else its address.
	Server netip.Addr
	// Offered is the address that it offered; invalid for a proxy.
	Offered netip.Addr
	// File is the boot file that it named, if any.
	File string
}

// Proxy says that the server gives boot files but no addresses.
func (f Found) Proxy() bool { return !f.Offered.IsValid() }

// Probe sends a DISCOVER on an interface as a UEFI machine would, and lists the
// servers that answer before ctx ends (3 s if ctx has no deadline). It takes no
// lease. It needs root or CAP_NET_RAW, but no free port and no address on the
// interface. Servers on the same host do not receive it.
func Probe(ctx context.Context, iface string) ([]Found, error) {
	p, err := OpenProber(iface)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.Probe(ctx, "")
}

// Prober is a prober on one interface.
type Prober struct {
	*Frames
	iface string
	mac   net.HardwareAddr
}

// OpenProber opens a socket that finds the other DHCP servers of an Ethernet interface. It
// takes root or CAP_NET_RAW.
func OpenProber(iface string) (*Prober, error) {
	ifc, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("probe for DHCP servers: find network interface %q (ip link lists them): %w", iface, err)
	}
	if len(ifc.HardwareAddr) != 6 {
		return nil, fmt.Errorf("probe for DHCP servers: %s is no Ethernet interface: name another one", iface)
	}
	sock, err := OpenFrames(iface, dhcp.ClientPort)
	if err != nil {
		return nil, fmt.Errorf("probe for DHCP servers: %w", err)
	}
	return &Prober{sock, iface, ifc.HardwareAddr}, nil
}

// Probe is [Probe] by the server with an ID, whose fellows do not answer it; "" is nobody's.
func (p *Prober) Probe(ctx context.Context, self string) ([]Found, error) {
	if _, ok := ctx.Deadline(); !ok {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, probeTime)
		defer cancel()
	}
	stop := context.AfterFunc(ctx, func() { _ = p.file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	ask, err := probePacket(p.mac, self)
	var found []Found
	if err == nil {
		p.drain()
		found, err = p.converse(ctx, ask)
	}
	if err != nil {
		return nil, fmt.Errorf("probe for DHCP servers on %s: %w", p.iface, err)
	}
	return found, nil
}

// proberClass begins the user class (option 77) of a probe that a server with an ID
// sends. The ID follows.
const proberClass = "cloudlets server "

// ProberOf is the ID of the server that sent a probe. ok is false if a packet is none.
func ProberOf(c dhcp.Client) (self string, ok bool) {
	return strings.CutPrefix(c.UserClass, proberClass)
}

// probePacket is a DISCOVER that both DHCP servers and proxies answer.
func probePacket(mac net.HardwareAddr, self string) (*dhcpv4.DHCPv4, error) {
	more := func(*dhcpv4.DHCPv4) {}
	if self != "" {
		more = dhcpv4.WithUserClass(proberClass+self, false)
	}
	return dhcpv4.NewDiscovery(mac, more,
		dhcpv4.WithBroadcast(true),
		dhcpv4.WithOption(dhcpv4.OptClassIdentifier("PXEClient:Arch:00007:UNDI:003001")),
		dhcpv4.WithOption(dhcpv4.OptClientArch(iana.EFI_X86_64)),
		dhcpv4.WithGeneric(dhcpv4.OptionClientNetworkInterfaceIdentifier, []byte{1, 3, 1}),
		dhcpv4.WithGeneric(dhcpv4.OptionClientMachineIdentifier, make([]byte, 17)))
}

// converse sends the DISCOVER twice and collects the answers until ctx ends.
func (f *Frames) converse(ctx context.Context, ask *dhcpv4.DHCPv4) ([]Found, error) {
	end, _ := ctx.Deadline()
	var all []Found
	for _, until := range []time.Time{time.Now().Add(probeAgain), end} {
		if err := f.broadcast(ask); err != nil {
			return nil, err
		}
		more, err := f.collect(ctx, ask, until)
		if err != nil {
			return nil, err
		}
		all = append(all, more...)
	}
	return slices.CompactFunc(slices.SortedFunc(slices.Values(all), Found.compare), Found.SameServer), nil
}

func (f Found) compare(g Found) int {
	return cmp.Or(f.Server.Compare(g.Server), g.Offered.Compare(f.Offered))
}

// SameServer says whether two answers are of one server. A DHCP server and a proxy may
// be on one host.
func (f Found) SameServer(g Found) bool { return f.Server == g.Server && f.Proxy() == g.Proxy() }

func (f *Frames) broadcast(p *dhcpv4.DHCPv4) error {
	nowhere := netip.AddrPortFrom(netip.IPv4Unspecified(), dhcp.ClientPort)
	to := netip.AddrPortFrom(netip.AddrFrom4([4]byte{255, 255, 255, 255}), dhcp.ServerPort)
	return f.SendTo(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, nowhere, to, p.ToBytes())
}

// collect reads the answers to a DISCOVER until a time, or until ctx ends.
func (f *Frames) collect(ctx context.Context, ask *dhcpv4.DHCPv4, until time.Time) ([]Found, error) {
	if err := f.file.SetReadDeadline(until); err != nil {
		return nil, err
	}
	var all []Found
	buf := make([]byte, serving.MaxPacket)
	for ctx.Err() == nil { // if ctx ends after this, it ends the read too
		n, err := f.file.Read(buf)
		if errors.Is(err, os.ErrDeadlineExceeded) {
			break
		}
		if err != nil {
			return nil, err
		}
		if found, ok := answerTo(ask, buf[:n]); ok {
			all = append(all, found)
		}
	}
	return all, nil
}

// answerTo reads an IPv4 packet if it is an answer to the DISCOVER ask.
func answerTo(ask *dhcpv4.DHCPv4, packet []byte) (Found, bool) {
	payload, ok := udpPayload(packet, dhcp.ClientPort)
	if !ok {
		return Found{}, false
	}
	p, err := dhcpv4.FromBytes(payload)
	if err != nil || p.OpCode != dhcpv4.OpcodeBootReply || p.TransactionID != ask.TransactionID {
		return Found{}, false
	}
	found := Found{Server: dhcp.ToAddr(p.ServerIdentifier()), Offered: dhcp.ToAddr(p.YourIPAddr), File: dhcp.Printable([]byte(p.BootFileName))}
	if !found.Server.IsValid() {
		found.Server = netip.AddrFrom4([4]byte(packet[12:16]))
	}
	if name := p.GetOneOption(dhcpv4.OptionBootfileName); found.File == "" {
		found.File = dhcp.Printable(name)
	}
	return found, true
}
