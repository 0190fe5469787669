package uplink

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
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
		if err := wait(ctx, 500*time.Millisecond); err != nil {
			return nil, fmt.Errorf("no interface has the address %s that this machine booted from; there are %s (is its driver in the image's kernel?)", o.MAC, describeLinks(links))
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
		if err := wait(ctx, 100*time.Millisecond); err != nil {
			return fmt.Errorf("%s has no carrier: is its cable still in?", name)
		}
	}
}

// wait returns after d, or with an error when ctx ends.
func wait(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-timer.C:
		return nil
	}
}
