package netconfig

import (
	"fmt"
	"strings"

	"cloudlets/images"
)

// networkd renders files of systemd.network(5) and systemd.netdev(5). The first
// .network file that matches an interface counts, in the order of the names. So the
// files of interfaces with names come before those of cards: a VLAN has its card's MAC.
// All come before those that distributions have.
func (p plan) networkd() (files []images.File) {
	const dir = "/etc/systemd/network/"
	for _, l := range p.links {
		order := "02"
		if l.Name != "" {
			order = "01"
			files = append(files, newFile(dir+"01-cloudlets-"+l.label()+".netdev", l.netdev(), 0o644))
		}
		files = append(files, newFile(dir+order+"-cloudlets-"+l.label()+".network", l.networkdNetwork(p), 0o644))
	}
	return files
}

// netdev renders how an interface is made.
func (l link) netdev() string {
	var b strings.Builder
	fmt.Fprintf(&b, "[NetDev]\nName=%s\n", l.Name)
	switch {
	case l.Bond != nil:
		fmt.Fprintf(&b, "Kind=bond\nMACAddress=%s\n\n[Bond]\nMode=%s\nMIIMonitorSec=100ms\n", l.hardware, l.Bond.Mode)
	case l.VLAN != nil:
		fmt.Fprintf(&b, "Kind=vlan\n\n[VLAN]\nId=%d\n", l.VLAN.ID)
	case l.Bridge != nil:
		fmt.Fprintf(&b, "Kind=bridge\nMACAddress=%s\n\n[Bridge]\nSTP=no\n", l.hardware)
	}
	return b.String()
}

// networkdNetwork renders how an interface is configured.
func (l link) networkdNetwork(p plan) string {
	var b strings.Builder
	b.WriteString("[Match]\n")
	if l.Name != "" {
		fmt.Fprintf(&b, "Name=%s\n", l.Name)
	} else {
		fmt.Fprintf(&b, "MACAddress=%s\n", l.MAC)
	}
	if l.MTU != 0 {
		fmt.Fprintf(&b, "\n[Link]\nMTUBytes=%d\n", l.MTU)
	}
	b.WriteString("\n[Network]\n")
	switch {
	case l.master != nil && l.master.Bond != nil:
		fmt.Fprintf(&b, "Bond=%s\n", l.master.Name)
	case l.master != nil:
		fmt.Fprintf(&b, "Bridge=%s\n", l.master.Name)
	}
	for _, name := range l.vlans {
		fmt.Fprintf(&b, "VLAN=%s\n", name)
	}
	if !l.configured() {
		b.WriteString("LinkLocalAddressing=no\n") // nothing speaks to it, and nobody waits for it
		return b.String()
	}
	if l.DHCP {
		b.WriteString("DHCP=ipv4\n")
	}
	for _, a := range l.Addresses {
		fmt.Fprintf(&b, "Address=%s\n", a)
	}
	for _, server := range p.dns {
		fmt.Fprintf(&b, "DNS=%s\n", server)
	}
	if len(p.search) > 0 {
		fmt.Fprintf(&b, "Domains=%s\n", strings.Join(p.search, " "))
	}
	for _, r := range l.Routes {
		fmt.Fprintf(&b, "\n[Route]\nDestination=%s\nGateway=%s\n", r.To, r.Via)
	}
	return b.String()
}
