// Package httpboot is the boot chain: it takes a machine from its firmware to the
// agent that installs it. It decides which file DHCP names, serves boot loaders,
// scripts, kernels, RAM disks and packs over HTTP, and talks to the agent. Only
// [provision.Decide] decides what a machine shall do; every path here asks it.
//
// These are the steps of a boot, each with the file that has its code:
//
//	DHCP           which file, and why                     chain.go, nextstep.go
//	TFTP or HTTP   the boot loader: iPXE, or shim and GRUB bootfiles.go, and package loaders
//	               what it boots, in its dialect           tell.go
//	HTTP           iPXE: script, kernel and RAM disk       dialect/ipxe.go, handler.go
//	TFTP           GRUB: the same                          dialect/grub.go, bootfiles.go
//	TFTP           U-Boot: the same                        dialect/uboot.go, bootfiles.go
//	TFTP           Raspberry Pi: the same, and firmware    dialect/pi.go, pi.go
//	HTTP           one signed program has it all           unified.go
//	HTTP           the agent inspects a stranger           inspect.go
//	HTTP           the agent claims its plan               claim.go
//	HTTP           pack, overlay, boot loaders for disks   handler.go
//	HTTP           what an installed cloud-init is told    cloudinit.go, ec2.go
//	HTTP           the agent's reports                     report.go
package httpboot

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"sync"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/hosts"
	"cloudlets/httpboot/loaders"
	"cloudlets/httpboot/overlays"
	"cloudlets/httpboot/turns"
	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
)

// Site knows the machines' files. Its answers come from memory, and their cost
// does not depend on how many machines there are, since every packet asks.
type Site interface {
	track.Files
	// ByName are the machines with a hostname.
	ByName(name string) []provision.MAC
	// ByAddress is the machine for which an address is reserved.
	ByAddress(netip.Addr) (provision.MAC, bool)
	// ByImage are the machines whose files name an image.
	ByImage(image string) []provision.MAC
	// Refresh reads the files again, and has the rules of profiles judged by what is
	// known of the machines by now.
	Refresh()
}

// Chain serves the boot chain. It decides by the machines' files (Site) and by
// their states (Tracker). Set its fields before you use it, and do not change
// them afterwards.
type Chain struct {
	Site    Site
	Tracker *track.Tracker
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
	// Strangers says what to do with machines that no file describes. It is asked each
	// time, since cloudlets.json may change; nil lets them go. Approve writes the file of
	// one that a rule approved, and may be nil if there are no rules.
	Strangers func() provision.Strangers
	Approve   func(provision.Approval) error
	// Rescue is what all rescue systems are given, asked each time; nil gives them nothing.
	Rescue func() provision.Rescue
	// Holder returns the network card that has an address by its lease, or "" if none
	// has, and whether the address is held by anyone. It may be nil if this server keeps no leases.
	Holder func(context.Context, netip.Addr) (card provision.MAC, held bool, err error)
	// SiteFile reads a file of the site that a machine's file names; nil if none does.
	SiteFile func(name string) ([]byte, error)
	// HTTPS is nil if this server has none.
	HTTPS *HTTPS
	// Overlays are those of running installs.
	Overlays overlays.Folder
	Log      *slog.Logger // may be nil; then nothing is logged

	hosts  hosts.Hosts
	untold untold
	// claims bound the plans that are made at once, and the others the files that
	// are sent at once.
	claims, downloads, strangers, inspections turns.Turns
	// approving is held while a rule approves a machine, so that names stay unique.
	approving sync.Mutex
	kept      turns.Pace // of inspections
	refusals  turns.Pace // of lines about questions for metadata that had no answer
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

// logger returns the log, or one that discards everything.
func (c *Chain) logger() *slog.Logger {
	if c.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return c.Log
}

// localAddr is the address of this server that an HTTP request came to, by the
// context of the request; invalid if that is not known.
func localAddr(ctx context.Context) netip.Addr {
	if at, ok := ctx.Value(http.LocalAddrContextKey).(*net.TCPAddr); ok {
		return at.AddrPort().Addr().Unmap()
	}
	return netip.Addr{}
}

// reachedAt is a context for a machine that reached this server at an address.
func reachedAt(ctx context.Context, own netip.Addr) context.Context {
	return context.WithValue(ctx, http.LocalAddrContextKey, &net.TCPAddr{IP: own.AsSlice()})
}

// base is the URL of this server for who sent an HTTP request.
func (c *Chain) base(ctx context.Context) string { return c.Base(localAddr(ctx)) }

// machine is the machine that has a network card. What asks this server has the
// card's address; files, states, tokens and overlays have the machine's.
func (c *Chain) machine(card provision.MAC) provision.MAC { return c.Tracker.Machine(c.Site, card) }

// spec returns what the site says about the machine that has a card, or nil for a
// stranger.
func (c *Chain) spec(card provision.MAC) *provision.Spec {
	if spec, ok := c.Site.Spec(c.machine(card)); ok {
		return &spec
	}
	return nil
}

// state is what is known about the machine that has a card.
func (c *Chain) state(card provision.MAC) provision.State {
	state, _ := c.Tracker.State(c.machine(card))
	return state
}

// decide returns what the machine that has a card shall do now, and its spec.
func (c *Chain) decide(card provision.MAC) (*provision.Spec, provision.Decision) {
	spec := c.spec(card)
	return spec, c.strangersOf().Decide(spec, c.state(card))
}

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
	spec, decision := c.decide(mac)
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
		return dhcp.Boot{Reason: decision.Reason}
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

// letGo sends a UEFI machine of the site to its own disk: it starts iPXE, whose
// script exits at once, or GRUB, which starts the disk's boot loader. Without a boot file, UEFI firmware would ask again for a
// minute by PXE, and for another minute by HTTP, before it tries the disk. BIOS
// firmware gives up at once. If there is no such loader, the machine has to wait.
func (c *Chain) letGo(mac provision.MAC, client dhcp.Client, spec *provision.Spec, decision provision.Decision) dhcp.Boot {
	if bootsUnified(client, spec) {
		return c.letGoUnified(mac, client, spec, decision)
	}
	file, err := c.nextStep(mac, client, spec)
	if err != nil {
		return dhcp.Boot{Reason: decision.Reason}
	}
	return dhcp.Boot{File: file, OneStep: spec.Quirks.OneStep, Reason: decision.Reason + "; it gets there by a boot loader, which is faster than waiting for its firmware to give up"}
}

// Known implements [dhcp.Registry]: the site's machines are known.
func (c *Chain) Known(hw net.HardwareAddr) bool {
	mac, err := provision.MACFrom(hw)
	if err != nil {
		return false
	}
	return c.spec(mac) != nil
}

// Reserve implements [dhcp.Reserver]. A machine's address is kept for each of its
// cards.
func (c *Chain) Reserve(hw net.HardwareAddr, subnet netip.Prefix) (dhcp.Reservation, bool) {
	mac, err := provision.MACFrom(hw)
	if err != nil {
		return dhcp.Reservation{}, false
	}
	spec := c.spec(mac)
	if spec == nil || !spec.Address.IsValid() && spec.Hostname == "" {
		return dhcp.Reservation{}, false
	}
	r := dhcp.Reservation{Addr: spec.Address, Hostname: spec.Hostname}
	if i := slices.IndexFunc(spec.MoreAddresses, subnet.Contains); i >= 0 && !subnet.Contains(r.Addr) {
		r.Addr = spec.MoreAddresses[i]
	}
	if r.Addr.Is6() != subnet.Addr().Is6() {
		r.Addr = netip.Addr{} // it is for the machine's other protocol
	}
	return r, true
}

// Reserved implements [dhcp.Reserver].
func (c *Chain) Reserved(addr netip.Addr) (net.HardwareAddr, bool) {
	mac, ok := c.Site.ByAddress(addr)
	if !ok {
		return nil, false
	}
	return mac.HardwareAddr(), true
}
