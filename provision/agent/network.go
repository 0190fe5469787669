package agent

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/insomniacslk/dhcp/dhcpv4"
	"github.com/insomniacslk/dhcp/dhcpv4/nclient4"
	"github.com/vishvananda/netlink"

	"cloudlets/provision"
	"cloudlets/provision/kmod"
)

// link is the interface that the machine booted from, with its address.
type link struct {
	name    string
	address string
	link    netlink.Link
}

// bringUp finds the interface with the given MAC, waits for its carrier, and
// configures it by DHCP. It fails after the time limit.
func bringUp(ctx context.Context, mac provision.MAC, limit time.Duration, drivers *kmod.Loader) (*link, error) {
	ctx, stop := context.WithTimeout(ctx, limit)
	defer stop()
	if lo, err := netlink.LinkByName("lo"); err == nil {
		_ = netlink.LinkSetUp(lo)
	}
	found, err := waitForLink(ctx, mac, drivers)
	if err != nil {
		return nil, err
	}
	name := found.Attrs().Name
	if err := netlink.LinkSetUp(found); err != nil {
		return nil, fmt.Errorf("switch %s on: %w", name, err)
	}
	if err := waitForCarrier(ctx, name); err != nil {
		return nil, err
	}
	drivers.Log.Info("asking for an address", "interface", name)
	lease, err := askAddress(ctx, name)
	if err != nil {
		return nil, err
	}
	address, err := configure(found, lease)
	if err != nil {
		return nil, fmt.Errorf("configure %s: %w", name, err)
	}
	return &link{name: name, address: address, link: found}, nil
}

// waitForLink waits for the interface to appear, which takes seconds for USB
// adapters and those that need firmware. Meanwhile it loads the drivers of
// devices that appear.
func waitForLink(ctx context.Context, mac provision.MAC, drivers *kmod.Loader) (netlink.Link, error) {
	for {
		links, err := netlink.LinkList()
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		for _, l := range links {
			if l.Attrs().HardwareAddr.String() == string(mac) && l.Type() == "device" {
				return l, nil
			}
		}
		if _, err := drivers.LoadNew(ctx); err != nil && ctx.Err() == nil {
			return nil, err
		}
		if err := pause(ctx, 500*time.Millisecond); err != nil {
			return nil, fmt.Errorf("no interface has the address %s that this machine booted from; there are %s (is its driver in the image's kernel?)", mac, describeLinks(links))
		}
	}
}

func describeLinks(links []netlink.Link) string {
	var words []string
	for _, l := range links {
		if l.Type() == "device" && l.Attrs().Name != "lo" {
			words = append(words, l.Attrs().Name+" "+l.Attrs().HardwareAddr.String())
		}
	}
	if len(words) == 0 {
		return "none"
	}
	return strings.Join(words, ", ")
}

func waitForCarrier(ctx context.Context, name string) error {
	for {
		state, err := os.ReadFile("/sys/class/net/" + name + "/carrier")
		if err == nil && strings.TrimSpace(string(state)) == "1" {
			return nil
		}
		if err := pause(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("%s has no carrier: is its cable still in?", name)
		}
	}
}

func pause(ctx context.Context, d time.Duration) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-time.After(d):
		return nil
	}
}

// askAddress asks for an address until a DHCP server gives one or ctx ends.
func askAddress(ctx context.Context, name string) (*dhcpv4.DHCPv4, error) {
	client, err := nclient4.New(name, nclient4.WithTimeout(2*time.Second), nclient4.WithRetry(2))
	if err != nil {
		return nil, fmt.Errorf("open a DHCP socket on %s: %w", name, err)
	}
	defer client.Close()
	for {
		lease, err := client.Request(ctx)
		if err == nil {
			return lease.ACK, nil
		}
		// Some failures return at once, so wait before asking again.
		if pause(ctx, time.Second) != nil {
			return nil, fmt.Errorf("no DHCP server gave %s an address: %w", name, err)
		}
	}
}

// configure gives the interface the lease's address, and a default route by
// the lease's first router. It returns the address with its prefix length.
func configure(l netlink.Link, ack *dhcpv4.DHCPv4) (string, error) {
	mask := ack.SubnetMask()
	if mask == nil {
		mask = ack.YourIPAddr.DefaultMask()
	}
	address := &netlink.Addr{IPNet: &net.IPNet{IP: ack.YourIPAddr, Mask: mask}}
	if err := netlink.AddrReplace(l, address); err != nil {
		return "", fmt.Errorf("add %s: %w", address.IPNet, err)
	}
	for _, gateway := range ack.Router() {
		route := &netlink.Route{LinkIndex: l.Attrs().Index, Gw: gateway}
		if err := netlink.RouteReplace(route); err != nil {
			return "", fmt.Errorf("add the default route by %s: %w", gateway, err)
		}
		break // the routers come in order of preference (RFC 2132, 3.5)
	}
	return address.IPNet.String(), nil
}

// down removes the interface's IPv4 addresses and switches it off, as the new
// system expects to find it.
func (l *link) down() {
	addresses, err := netlink.AddrList(l.link, netlink.FAMILY_V4)
	for _, address := range addresses {
		err = errors.Join(err, netlink.AddrDel(l.link, &address))
	}
	_ = errors.Join(err, netlink.LinkSetDown(l.link))
}
