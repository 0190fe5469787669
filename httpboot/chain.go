// Package httpboot is the boot chain: it takes a machine from its firmware to the
// agent that installs it, or to a system that runs in memory or as its image has it. It decides which file DHCP names, serves boot loaders,
// scripts, kernels, RAM disks and packs over HTTP, and talks to the agent. Only
// [provision.Decide] decides what a machine shall do; every path here asks it. Which machine
// asks, and what is known of it, package machines says.
//
// These are the steps of a boot, each with the file that has its code:
//
//	DHCP           which file, and why                     chain.go, nextstep.go
//	TFTP or HTTP   the boot loader: iPXE, or shim and GRUB bootfiles.go, and package loaders
//	               what it boots, in its dialect           tell.go
//	HTTP           iPXE: script, kernel and RAM disk       dialect/ipxe.go, tell.go
//	TFTP           GRUB: the same                          dialect/grub.go, bootfiles.go
//	TFTP           U-Boot: the same                        dialect/uboot.go, bootfiles.go
//	TFTP           Raspberry Pi: the same, and firmware    dialect/pi.go, pi.go
//	HTTP           one signed program has it all           unified.go
//	TFTP or HTTP   or: the machine starts its own disk     own_disk.go, and package owndisk
//	HTTP           the agent inspects a stranger           inspect.go
//	HTTP           the agent claims its plan               claim.go
//	HTTP           a person confirms its plan              proposal.go
//	HTTP           pack, overlay, boot loaders for disks   handler.go, overlay.go
//	HTTP           a system in memory, or as it is         live.go, rescue.go, as_is.go
//	HTTP           what the agent showed before its claim  console.go
//	HTTP           what a running system says and is told  package systems
//	HTTP           the agent's reports                     report.go
package httpboot

import (
	"context"
	"fmt"
	"net/netip"
	"sync"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/loaders"
	"cloudlets/httpboot/machines"
	"cloudlets/httpboot/overlays"
	"cloudlets/httpboot/requests"
	"cloudlets/httpboot/systems"
	"cloudlets/httpboot/turns"
	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/tickets"
)

// Chain serves the boot chain. It decides by the machines' files (Site) and by
// their states (Tracker), as its Machines know them. Systems have the same Machines. Set its fields before you use it, and do not change
// them afterwards.
type Chain struct {
	*machines.Machines
	Systems *systems.Systems
	Tickets *tickets.Tickets
	Depot   *depot.Depot
	Render  images.Renderer
	Loaders loaders.Files
	// Base returns the URL at which a machine reaches [Chain.Handler] that reaches
	// this server at an address, without a slash at its end: "http://10.0.0.1".
	// TFTP returns the address of the TFTP server. The address is invalid if it is
	// not known.
	Base func(own netip.Addr) string
	TFTP func(own netip.Addr) netip.Addr
	// Proxy says whether another server gives such a machine its address.
	Proxy func(own netip.Addr) bool
	// Others returns the URLs at which such a machine reaches other servers that
	// share the store and the site, in the form of Base. It may be nil.
	Others func(own netip.Addr) []string
	// Approve writes the file of a stranger that a rule approved, and may be nil if there
	// are no rules.
	Approve func(provision.Approval) error
	// Rescue is what all rescue systems are given, asked each time; nil gives them nothing.
	Rescue func() provision.Rescue
	// HTTPS is nil if this server has none.
	HTTPS *HTTPS
	// Overlays are those of running installs.
	Overlays overlays.Folder

	untold untold
	// signed are the programs for machines that start only what their owner signed.
	signed signedPrograms
	// claims bound the plans that are made at once, and the others the files that
	// are sent at once.
	claims, downloads, strangers, inspections turns.Turns
	// approving is held while a rule approves a machine, so that names stay unique.
	approving sync.Mutex
	kept      turns.Pace // of inspections
	// consoles and failures bound what agents say before they have a session.
	consoles, failures ration
	// rescues bounds what rescue systems say. One of them may follow many failures.
	rescues ration
}

var (
	_ dhcp.Booter     = (*Chain)(nil)
	_ dhcp.Reserver   = (*Chain)(nil)
	_ dhcp.Registry   = (*Chain)(nil)
	_ dhcp.Recogniser = (*Chain)(nil)
)

// base is the URL of this server for who sent an HTTP request.
func (c *Chain) base(ctx context.Context) string { return c.Base(requests.LocalAddr(ctx)) }

func kitKey(spec *provision.Spec) depot.Key {
	return depot.Key{Image: spec.Image, EntryPoint: spec.EntryPoint}
}

// Boot implements [dhcp.Booter]. A machine that installs gets the next step of
// the chain. Any other machine goes on to its next boot device.
func (c *Chain) Boot(_ context.Context, client dhcp.Client) dhcp.Boot {
	mac, err := provision.MACFrom(client.MAC)
	if err != nil {
		return dhcp.Boot{Reason: err.Error()}
	}
	spec, decision := c.Decide(mac)
	key := depot.Key{}
	switch {
	case decision.Action == provision.ActionLocal && (client.Firmware.UEFI() || !decision.Order.IsZero()):
		// An order is used up by the answer to a boot loader, so BIOS machines get one too.
		return c.letGo(mac, client, spec, decision)
	case decision.Action == provision.ActionInspect:
		spec = c.inspected(mac)
	case decision.Action == provision.ActionKernel:
		key = asIsKey(decision.Boot)
	case decision.Action == provision.ActionRescue:
		key = kitKey(spec.Booting(*decision.Boot))
	case decision.Action == provision.ActionLive:
		key = liveKey(spec.Booting(*decision.Boot))
	case decision.Action != provision.ActionInstall:
		return dhcp.Boot{Reason: decision.Reason, Final: decision.Action == provision.ActionLocal}
	}
	if key == (depot.Key{}) {
		key = kitKey(spec)
	}
	status := c.Depot.Status(key)
	if status.Err != nil && !status.Busy {
		return dhcp.Boot{Reason: fmt.Sprintf("%s; but its image cannot be booted: %v", decision.Reason, status.Err)}
	}
	if status.Kit != nil {
		if err := status.Kit.Kernels[0].Check(processor(client)); err != nil {
			return dhcp.Boot{Reason: fmt.Sprintf("%s; but its image cannot be booted: %v", decision.Reason, err)}
		}
	}
	file, err := c.nextStep(mac, client, spec)
	if err != nil {
		return dhcp.Boot{Reason: fmt.Sprintf("%s; but %v", decision.Reason, err)}
	}
	return dhcp.Boot{File: file, OneStep: spec.Quirks.OneStep, Reason: decision.Reason}
}

// processor returns the architecture of a client's machine; "" if its firmware does not
// tell, as that of 32 bits, which 64-bit machines have too.
func processor(client dhcp.Client) string {
	switch client.Firmware {
	case dhcp.UBoot:
		return client.Arch
	case dhcp.BIOS, dhcp.EFIX64:
		return "amd64"
	case dhcp.EFIARM64:
		return "arm64"
	case dhcp.RaspberryPi:
		return dialect.PiProcessor
	}
	return ""
}

// letGo sends a UEFI machine of the site to its own disk. If this server has installed the
// machine, a program starts that disk at once. Otherwise iPXE starts, whose script exits at
// once, or GRUB, which starts the disk's boot loader. Without a boot file, UEFI firmware would
// ask again for a minute by PXE, and for another minute by HTTP, before it tries the disk. BIOS
// firmware gives up at once. If there is no such loader, the machine has to wait.
func (c *Chain) letGo(mac provision.MAC, client dhcp.Client, spec *provision.Spec, decision provision.Decision) dhcp.Boot {
	if file := c.ownDiskFor(mac, client, spec); file != "" {
		return dhcp.Boot{File: file, OneStep: spec.Quirks.OneStep, Reason: decision.Reason + "; its firmware gets a program that starts that disk"}
	}
	if bootsUnified(client, spec) {
		return c.letGoUnified(mac, client, spec, decision)
	}
	file, err := c.nextStep(mac, client, spec)
	if err != nil {
		return dhcp.Boot{Reason: decision.Reason}
	}
	return dhcp.Boot{File: file, OneStep: spec.Quirks.OneStep, Reason: decision.Reason + "; it gets there by a boot loader, which is faster than waiting for its firmware to give up"}
}

// SawKit records that an image is ready, or why it cannot be booted. It is the
// Notify of a [depot.Depot]. It writes to the log, and to the trace of each
// machine that waits to install the image.
func (c *Chain) SawKit(key depot.Key, status depot.Status) {
	event := provision.Event{Kind: provision.KindLog, Text: "the image " + key.String() + " is ready"}
	if status.Err != nil {
		event.Text, event.Reason = "the image "+key.String()+" cannot be booted", status.Err.Error()
	} else {
		kit := status.Kit
		c.Logger().Info("an image is ready", "image", key, "files", kit.Entries, "content", bytesize.Decimal(kit.Bytes),
			"pack", bytesize.Decimal(kit.Pack.Size), "kernel", kit.Kernels[0].Version)
	}
	if key.AsIs {
		return // whoever waits for it asks again
	}
	for _, mac := range c.Site.ByImage(key.Image) {
		if _, decision := c.Decide(mac); decision.Action == provision.ActionInstall || key.Live && decision.Action == provision.ActionLive {
			event.MAC = mac
			c.Record(context.Background(), event)
		}
	}
}
