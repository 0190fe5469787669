package provision

import "net/netip"

// Network is how a person wants the network of the installed system. Its JSON form
// is that of "network" in a machine's file, and what templates see as env.network.
// The values were checked when the file was read.
type Network struct {
	// Renderer is the program for which files are written. "" means the one that
	// the image uses.
	Renderer   Renderer    `json:"renderer,omitempty"`
	Interfaces []Interface `json:"interfaces"`
	// DNS are the name servers, and Search the domains that complete short names.
	DNS    []netip.Addr `json:"dns,omitempty"`
	Search []string     `json:"search,omitempty"`
}

// Renderer is a program that configures the network of a system: "networkd".
type Renderer string

// The renderers.
const (
	Networkd       Renderer = "networkd"       // systemd-networkd
	NetworkManager Renderer = "NetworkManager" // by keyfiles
	Ifupdown       Renderer = "ifupdown"       // /etc/network/interfaces, with names from udev
	NoRenderer     Renderer = "none"           // the image's own templates do it, by env.network
)

// Interface is one interface of the installed system: a network card, which is
// known by its MAC alone, or else a bond, a VLAN or a bridge, which has a name.
type Interface struct {
	MAC    MAC     `json:"mac,omitempty"`
	Name   string  `json:"name,omitempty"`
	Bond   *Bond   `json:"bond,omitempty"`
	VLAN   *VLAN   `json:"vlan,omitempty"`
	Bridge *Bridge `json:"bridge,omitempty"`
	// MTU is in bytes, 68 to 65535; 0 leaves it to the driver.
	MTU int `json:"mtu,omitempty"`
	// DHCP asks for an IPv4 address. Addresses are static ones of either version,
	// each with the length of its subnet's prefix.
	DHCP      bool           `json:"dhcp,omitempty"`
	Addresses []netip.Prefix `json:"addresses,omitempty"`
	Routes    []Route        `json:"routes,omitempty"`
}

// ID is the interface's MAC or its name, by which others refer to it.
func (i Interface) ID() string {
	if i.MAC != "" {
		return string(i.MAC)
	}
	return i.Name
}

// Bond joins network cards into one interface.
type Bond struct {
	Members []MAC `json:"members"`
	// Mode is as Linux names it: "active-backup" (the default), "802.3ad".
	Mode string `json:"mode"`
}

// VLAN is the traffic with one tag of IEEE 802.1Q on another interface.
type VLAN struct {
	ID int    `json:"id"` // 1 to 4094
	Of string `json:"of"` // a card's MAC, or the name of a bond or a bridge
}

// Bridge joins interfaces into one Ethernet segment.
type Bridge struct {
	Members []string `json:"members"` // MACs of cards, names of bonds and VLANs
}

// Route leads to a subnet by way of a router.
type Route struct {
	To  netip.Prefix `json:"to"` // "0.0.0.0/0" and "::/0" are the default routes
	Via netip.Addr   `json:"via"`
}
