package uplink

import (
	"context"
	"fmt"
	"net"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"cloudlets/images/pause"
	"cloudlets/provision"
)

// waitForLink waits for the interface to appear, which takes seconds for USB
// adapters and those that need firmware. Meanwhile it loads the drivers of
// devices that appear.
func waitForLink(ctx context.Context, o Options) (netlink.Link, error) {
	for {
		links, err := netlink.LinkList()
		if err != nil {
			return nil, fmt.Errorf("list interfaces: %w", err)
		}
		for _, l := range links {
			if l.Attrs().HardwareAddr.String() == string(o.MAC) && l.Type() == "device" {
				return l, nil
			}
		}
		if _, err := o.LoadDrivers(ctx); err != nil && ctx.Err() == nil {
			return nil, err
		}
		if err := pause.For(ctx, 500*time.Millisecond); err != nil {
			return nil, fmt.Errorf("no interface has the address %s that this machine booted from; there are %s (is its driver in the image's kernel?)", o.MAC, describeLinks(links))
		}
	}
}

// Cards waits until a network card has a carrier. It returns the addresses of all cards
// that have one then, and of those that have none, both in the kernel's order. It
// switches on every card, since one that is off has no carrier. Before each look it
// loads the drivers of devices that have appeared.
func Cards(ctx context.Context, loadDrivers func(context.Context) (int, error)) (ready, dark []provision.MAC, err error) {
	for {
		if _, err := loadDrivers(ctx); err != nil && ctx.Err() == nil {
			return nil, nil, err
		}
		links, err := netlink.LinkList()
		if err != nil {
			return nil, nil, fmt.Errorf("list interfaces: %w", err)
		}
		ready, dark = nil, nil
		for _, l := range links {
			card, err := provision.MACFrom(l.Attrs().HardwareAddr)
			if err != nil || l.Type() != "device" || l.Attrs().Flags&net.FlagLoopback != 0 {
				continue
			}
			_ = netlink.LinkSetUp(l) // one that stays off has no carrier
			if l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 {
				ready = append(ready, card)
			} else {
				dark = append(dark, card)
			}
		}
		if len(ready) > 0 {
			return ready, dark, nil
		}
		if err := pause.For(ctx, 500*time.Millisecond); err != nil {
			return nil, nil, fmt.Errorf("no network card has a carrier; there are %s (is a cable in, and is the driver in the image's kernel?)", describeLinks(links))
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
		l, err := netlink.LinkByName(name)
		if err == nil && l.Attrs().RawFlags&unix.IFF_LOWER_UP != 0 {
			return nil
		}
		if err := pause.For(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("%s has no carrier: is its cable still in?", name)
		}
	}
}
