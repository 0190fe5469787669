package dhcp

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"slices"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/iana"
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
	p, err := openProber(iface)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	return p.probe(ctx, "")
}

// prober finds the DHCP servers of a network.
type prober interface {
	// probe is [Probe] by the server with an ID, whose fellows do not answer it.
	probe(ctx context.Context, self string) ([]Found, error)
	Close() error
}

// frameProber is a prober on one interface.
type frameProber struct {
	*frames
	iface string
	mac   net.HardwareAddr
}

func openProber(iface string) (*frameProber, error) {
	ifc, err := net.InterfaceByName(iface)
	if err != nil {
		return nil, fmt.Errorf("probe for DHCP servers: find network interface %q (ip link lists them): %w", iface, err)
	}
	if len(ifc.HardwareAddr) != 6 {
		return nil, fmt.Errorf("probe for DHCP servers: %s is no Ethernet interface: name another one", iface)
	}
	sock, err := openFrames(iface, ClientPort)
	if err != nil {
		return nil, fmt.Errorf("probe for DHCP servers: %w", err)
	}
	return &frameProber{sock, iface, ifc.HardwareAddr}, nil
}

func (p *frameProber) probe(ctx context.Context, self string) ([]Found, error) {
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
		dhcpv4.WithGeneric(optUUID, make([]byte, 17)))
}

// converse sends the DISCOVER twice and collects the answers until ctx ends.
func (f *frames) converse(ctx context.Context, ask *dhcpv4.DHCPv4) ([]Found, error) {
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
	return slices.CompactFunc(slices.SortedFunc(slices.Values(all), Found.compare), Found.sameServer), nil
}

func (f Found) compare(g Found) int {
	return cmp.Or(f.Server.Compare(g.Server), g.Offered.Compare(f.Offered))
}

// sameServer says whether two answers are of one server. A DHCP server and a proxy may
// be on one host.
func (f Found) sameServer(g Found) bool { return f.Server == g.Server && f.Proxy() == g.Proxy() }

func (f *frames) broadcast(p *dhcpv4.DHCPv4) error {
	nowhere := netip.AddrPortFrom(netip.IPv4Unspecified(), ClientPort)
	to := netip.AddrPortFrom(everyone.Addr(), ServerPort)
	return f.sendTo(net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}, nowhere, to, p.ToBytes())
}

// collect reads the answers to a DISCOVER until a time, or until ctx ends.
func (f *frames) collect(ctx context.Context, ask *dhcpv4.DHCPv4, until time.Time) ([]Found, error) {
	if err := f.file.SetReadDeadline(until); err != nil {
		return nil, err
	}
	var all []Found
	buf := make([]byte, maxPacket)
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
	payload, ok := udpPayload(packet, ClientPort)
	if !ok {
		return Found{}, false
	}
	p, err := dhcpv4.FromBytes(payload)
	if err != nil || p.OpCode != dhcpv4.OpcodeBootReply || p.TransactionID != ask.TransactionID {
		return Found{}, false
	}
	found := Found{Server: toAddr(p.ServerIdentifier()), Offered: toAddr(p.YourIPAddr), File: printable([]byte(p.BootFileName))}
	if !found.Server.IsValid() {
		found.Server = netip.AddrFrom4([4]byte(packet[12:16]))
	}
	if name := p.GetOneOption(dhcpv4.OptionBootfileName); found.File == "" {
		found.File = printable(name)
	}
	return found, true
}
