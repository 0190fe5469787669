// Package dhcp has the nouns of DHCP for machines that boot from the network, and the rules
// of DHCPv4 for one packet.
//
// A server asks its [Booter] what a client shall boot, keeps its leases in a [LeaseStore],
// and reports each packet and the reason for its reply as an [Exchange]. It knows nothing
// of images and machines. [Parse] and [Classify] read a packet, and [Answer] has the rules
// of what real firmware accepts: all are pure functions.
//
// The servers are packages v4 and v6.
//
// Standards: RFC 2131, 2132, 3004, 3011, 3046, 3074, 3527, 4361, 4578, 5970, 7440; PXE 2.1;
// UEFI 2.10 chapter 24 (HTTP Boot).
package dhcp

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"time"
)

// Kind says which program of a machine sent a packet.
type Kind uint8

// The kinds of client, in the order in which a packet is classified.
const (
	Plain    Kind = iota // an ordinary DHCP client: an operating system
	OwnIPXE              // an iPXE with user class "cloudlets"
	HTTPBoot             // UEFI HTTP Boot, vendor class HTTPClient
	IPXE                 // a stock iPXE: a NIC's option ROM, or one that we chainloaded
	PXE                  // a PXE ROM: BIOS, or UEFI's own stack; or U-Boot
)

// Firmware is the platform that a client boots on. It comes from option 93 (RFC 4578), in
// DHCPv6 from option 61 (RFC 5970), whose values are IANA's processor architecture types.
type Firmware uint8

// The platforms, with their types in option 93.
const (
	NoFirmware  Firmware = iota // not a boot client, or an unknown type
	BIOS                        // 0
	EFIIA32                     // 6, 15
	EFIX64                      // 7, 9, 16
	EFIARM32                    // 10, 18
	EFIARM64                    // 11, 19
	RaspberryPi                 // claims type 0, known by its MAC prefix
	UBoot                       // 21 to 24; others are known by their vendor class
)

// Client is what one packet says about the machine that sent it.
type Client struct {
	MAC      net.HardwareAddr
	Kind     Kind
	Firmware Firmware
	// Arch is the architecture of a U-Boot: "arm64", "arm", or "" if its packet does
	// not tell. That of any other firmware is in Firmware.
	Arch string
	// HTTP says that an iPXE client can fetch http URLs (option 175.19).
	HTTP bool
	// BzImage says that an iPXE client can start a Linux kernel by the boot protocol
	// of BIOS (option 175.24). On UEFI it needs no such ability.
	BzImage bool
	// UUID is option 97's machine identifier in its usual text form, or "".
	UUID        string
	Hostname    string
	VendorClass string
	UserClass   string
	// Server is this server's own address on the interface that the packet came
	// to. The client can reach it.
	Server netip.Addr
	// Addr is the address that the client has, asks for or is offered;
	// invalid if none is known.
	Addr netip.Addr
}

// Boot says what a client shall boot.
type Boot struct {
	// File is a TFTP name ("undionly.kpxe") or an absolute URL. If it is
	// empty, the client must not boot from the network now, and its firmware
	// goes to the next boot device.
	File string
	// OneStep names the file to a UEFI PXE client in the offer itself, for
	// machines that do not come to port 4011.
	OneStep bool
	// Final says of an empty File that no other server has one for the client either, so it
	// need not wait for a proxy.
	Final bool
	// Reason says why the client boots this, for the machine's trace.
	Reason string
}

// Booter decides what a client boots. It must not block on the network and
// may be called by several goroutines at once.
type Booter interface {
	Boot(ctx context.Context, c Client) Boot
}

// NoBooter is a [Booter] with which no client boots.
type NoBooter struct{}

// Boot implements [Booter].
func (NoBooter) Boot(context.Context, Client) Boot {
	return Boot{Reason: "this server has no boot files"}
}

// Reservation is what is kept for one client.
type Reservation struct {
	// Addr is its address; invalid means one of the pool.
	Addr netip.Addr
	// Hostname is the name that it is given (option 12), if any.
	Hostname string
}

// Reserver is an optional interface of a [Booter] that keeps addresses for
// clients. It is called several times for each packet and must answer from
// memory.
//
// One address may be kept for several clients, which are the network cards of one
// machine. The card that asks first gets it. While that card has an offer or a lease
// of it, the others get addresses of the pool, and keep those as long as they renew
// them.
type Reserver interface {
	// Reserve returns the client's reservation on the network with a subnet. If
	// it has reservations on other networks only, it returns one of those.
	Reserve(mac net.HardwareAddr, subnet netip.Prefix) (Reservation, bool)
	// Reserved says which client an address is kept for in the first place, so
	// that the pool does not give it to others.
	Reserved(addr netip.Addr) (net.HardwareAddr, bool)
}

// Registry is an optional interface of a [Booter] that knows which clients are
// machines of its own, and not strangers. They are answered first, and a part of
// each pool is theirs. It is called for each packet and must answer from memory.
type Registry interface {
	Known(mac net.HardwareAddr) bool
}

// Recogniser is an optional interface of a [Booter] that is told who asks, before it
// is asked for the client's reservation or boot file. It is called for each packet, and
// must not wait.
type Recogniser interface {
	Recognise(Client)
}

// Lease is an address that is in use by a client until it expires.
type Lease struct {
	Addr netip.Addr
	// MAC is the client's. If it is nil, the address has no lease; if it is all
	// zero, no client may have the address until the lease expires.
	MAC net.HardwareAddr
	// Hostname is what the client calls itself, or else the name that it is given.
	Hostname string
	Expires  time.Time
}

// LeaseStore keeps leases over restarts, one for each address. Several servers may
// share one: then it decides which client has an address. Their clocks must agree,
// since each decides by its own whether a lease has ended. The methods may be called
// by several goroutines at once.
type LeaseStore interface {
	// Follow calls told with all leases, and then with each change that any server
	// makes, in order, until stop is called. all says that the leases are all
	// that there are; this may happen again. They may be in any order, and have
	// expired: a client that comes back gets the address that it had. told must
	// not use the store.
	Follow(ctx context.Context, told func(leases []Lease, all bool)) (stop func(), err error)
	// Commit makes changes, each if its rule allows it, see [LeaseChange], and
	// returns what became of each. When the error is nil, they outlive a power
	// cut. Changes of several clients come in one call, so that they share the
	// cost of one write. After an error, any of them may have been made or not.
	Commit(ctx context.Context, now time.Time, changes []LeaseChange) ([]LeaseOutcome, error)
}

// LeaseChange is what one packet of a client does to the leases. It is made only
// if the address has no lease, one that has expired, or one of that client.
type LeaseChange struct {
	// Lease is the lease that its address has from now on.
	Lease Lease
	// Client is the client whose packet it was. It differs from the lease's own
	// if the address is taken out of use.
	Client net.HardwareAddr
	// Held says that the client gives the address back, or declines it: then the
	// change is made only if the address has a lease of that client.
	Held bool
	// Left is the address that the client had before, if any: if that still has
	// a lease of the client, it has none from now on.
	Left netip.Addr
}

// Allowed says whether a change may be made to an address that has a lease, which
// is nil if it has none.
func (c LeaseChange) Allowed(has *Lease, now time.Time) bool {
	if has != nil && bytes.Equal(has.MAC, c.Client) {
		return true
	}
	return !c.Held && (has == nil || !has.Expires.After(now))
}

// Outcome is what becomes of a change to an address that has a lease, which is nil
// if it has none.
func (c LeaseChange) Outcome(has *Lease, now time.Time) LeaseOutcome {
	o := LeaseOutcome{Made: c.Allowed(has, now), Before: Lease{Addr: c.Lease.Addr}}
	if has != nil {
		o.Before = *has
	}
	return o
}

// IsNew says whether a change that was made gave an address to a client that did not have
// it before.
func (o LeaseOutcome) IsNew(client net.HardwareAddr, now time.Time) bool {
	return !bytes.Equal(o.Before.MAC, client) || !o.Before.Expires.After(now)
}

// LeaseOutcome is what became of a [LeaseChange].
type LeaseOutcome struct {
	Made bool
	// Before is the lease that the address had, without a MAC if it had none. If
	// the change was not made, it still has it.
	Before Lease
}

// Exchange is one packet from a client and the reply to it.
type Exchange struct {
	Client Client
	// Request and Reply are DHCP message types ("DISCOVER", "OFFER"). Reply
	// is empty if the server stayed silent.
	Request, Reply string
	// Addr is the address that was offered or confirmed, if any. NewLease says that the
	// client had no lease of it before.
	Addr     netip.Addr
	NewLease bool
	// File is the boot file that the reply names, if any.
	File string
	// Reason says why the reply is what it is.
	Reason string
}
