// Package httpboot is the boot chain: which client gets which step. It decides
// what DHCP tells a machine to boot, serves boot loaders, scripts, kernels, RAM
// disks and packs over HTTP, and speaks with the agent on the machine. What a
// machine shall do is decided by [provision.Decide] alone; here every path
// asks it.
//
// The steps of a boot, each with the file that has its code:
//
//	DHCP           which file, and why                     chain.go, loaders.go
//	TFTP or HTTP   the boot loader, iPXE                   loaders.go
//	HTTP           /boot/MAC/script, kernel and RAM disk   script.go, handler.go
//	HTTP           the agent claims its plan               claim.go
//	HTTP           pack, overlay, boot loaders for disks   handler.go
//	HTTP           the agent's reports                     report.go
package httpboot

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"sync"

	"cloudlets/dhcp"
	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/track"
)

// Site says what each machine shall be.
type Site interface {
	Spec(provision.MAC) (provision.Spec, bool)
	Specs() []provision.Spec
}

// Chain joins what the machines shall be with what they are. Its fields are
// set before it is used and not changed after.
type Chain struct {
	Site    Site
	Tracker *track.Tracker
	Tickets *track.Tickets
	Depot   *depot.Depot
	Render  images.Renderer
	Loaders Loaders
	// Base is the URL that machines reach the boot side at, with no slash at
	// its end: "http://10.0.0.1". TFTP is the host of its TFTP server.
	Base string
	TFTP netip.Addr
	// Overlays is the folder for the overlays of running installs.
	Overlays string
	Log      *slog.Logger // nil is silence

	mu    sync.Mutex
	hosts map[netip.Addr]provision.MAC // who was last seen at an address
}

var (
	_ dhcp.Booter   = (*Chain)(nil)
	_ dhcp.Reserver = (*Chain)(nil)
)

func (c *Chain) log() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// spec is what the site says of a machine, nil for a stranger.
func (c *Chain) spec(mac provision.MAC) *provision.Spec {
	if spec, ok := c.Site.Spec(mac); ok {
		return &spec
	}
	return nil
}

// decide is what a machine shall do now.
func (c *Chain) decide(mac provision.MAC) (*provision.Spec, provision.Decision) {
	spec := c.spec(mac)
	state, _ := c.Tracker.State(mac)
	return spec, provision.Decide(spec, state)
}

func kitKey(spec *provision.Spec) depot.Key {
	return depot.Key{Image: spec.Image, EntryPoint: spec.EntryPoint}
}

// Boot implements [dhcp.Booter]: a machine that installs gets the next step of
// the chain, any other is let go to its next boot device.
func (c *Chain) Boot(_ context.Context, client dhcp.Client) dhcp.Boot {
	mac, err := provision.MACFrom(client.MAC)
	if err != nil {
		return dhcp.Boot{Reason: err.Error()}
	}
	spec, decision := c.decide(mac)
	switch {
	case decision.Action == provision.ActionLocal && client.Firmware.UEFI():
		return c.letGo(mac, client, spec, decision)
	case decision.Action != provision.ActionInstall:
		return dhcp.Boot{Reason: decision.Reason}
	}
	if status := c.Depot.Status(kitKey(spec)); status.Err != nil && !status.Busy {
		return dhcp.Boot{Reason: fmt.Sprintf("%s; but its image cannot be booted: %v", decision.Reason, status.Err)}
	}
	file, err := c.nextStep(mac, client, spec.Quirks)
	if err != nil {
		return dhcp.Boot{Reason: fmt.Sprintf("%s; but %v", decision.Reason, err)}
	}
	return dhcp.Boot{File: file, OneStep: spec.Quirks.OneStep, Reason: decision.Reason}
}

// letGo sends a UEFI machine of the site to its own disk by way of iPXE, whose
// script then exits. UEFI firmware that gets no boot file asks again for a
// minute by PXE, and for another one by HTTP, before it looks at the disk; BIOS
// firmware gives up at once. Where there is no iPXE the machine has to wait.
func (c *Chain) letGo(mac provision.MAC, client dhcp.Client, spec *provision.Spec, decision provision.Decision) dhcp.Boot {
	file, err := c.nextStep(mac, client, spec.Quirks)
	if err != nil {
		return dhcp.Boot{Reason: decision.Reason}
	}
	return dhcp.Boot{File: file, OneStep: spec.Quirks.OneStep, Reason: decision.Reason + "; iPXE takes it there, which is faster than silence"}
}

// Reserve implements [dhcp.Reserver].
func (c *Chain) Reserve(hw net.HardwareAddr) (dhcp.Reservation, bool) {
	mac, err := provision.MACFrom(hw)
	if err != nil {
		return dhcp.Reservation{}, false
	}
	spec, ok := c.Site.Spec(mac)
	if !ok || !spec.Address.IsValid() {
		return dhcp.Reservation{}, false
	}
	return dhcp.Reservation{Addr: spec.Address, Hostname: spec.Hostname}, true
}

// Reserved implements [dhcp.Reserver].
func (c *Chain) Reserved(addr netip.Addr) (net.HardwareAddr, bool) {
	for _, spec := range c.Site.Specs() {
		if spec.Address == addr {
			return spec.MAC.HardwareAddr(), true
		}
	}
	return nil, false
}
