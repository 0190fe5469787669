package netconfig

import (
	"fmt"
	"strings"

	"cloudlets/images"
	"cloudlets/provision"
)

// ifupdown renders interfaces(5), and a rule of udev that names each card. ifupdown
// can find a card by its MAC, but whatever is on a card or joins cards has to name it.
// So each card gets the name that udev itself makes of a MAC, "enx525400123456". The
// interfaces are made by ip(8), which ifupdown depends on, so that no further
// package is needed.
func (p plan) ifupdown() []images.File {
	var rules, b strings.Builder
	b.WriteString("auto lo\niface lo inet loopback\n")
	for _, l := range p.links {
		if l.MAC != "" {
			// A VLAN has its card's MAC, but no driver.
			fmt.Fprintf(&rules, "SUBSYSTEM==\"net\", ACTION==\"add\", DRIVERS==\"?*\", ATTR{type}==\"1\", ATTR{address}==\"%s\", NAME=\"%s\"\n", l.MAC, l.device())
		}
		if l.MAC != "" && l.master != nil && l.MTU == 0 {
			continue // its master sets it up
		}
		fmt.Fprintf(&b, "\nauto %s\n", l.device())
		l.stanzas(&b, p)
	}
	files := []images.File{newFile("/etc/network/interfaces", b.String(), 0o644)}
	if rules.Len() > 0 {
		files = append(files, newFile("/etc/udev/rules.d/70-cloudlets-net.rules", rules.String(), 0o644))
	}
	return files
}

// device is the name that an interface has in the installed system.
func (l link) device() string { return device(l.ID()) }

func device(id string) string {
	if !strings.Contains(id, ":") {
		return id
	}
	return "enx" + strings.ReplaceAll(id, ":", "")
}

// stanzas writes one for how the interface is made, and one for each address.
func (l link) stanzas(b *strings.Builder, p plan) {
	fmt.Fprintf(b, "iface %s inet manual\n", l.device())
	l.making(b)
	if l.MTU != 0 {
		fmt.Fprintf(b, "\tpre-up ip link set dev $IFACE mtu %d\n", l.MTU)
	}
	if l.DHCP {
		fmt.Fprintf(b, "iface %s inet dhcp\n", l.device())
		l.rest(b, p, false, true)
	}
	for _, six := range []bool{false, true} {
		addresses, _ := l.of(six)
		for i, a := range addresses {
			fmt.Fprintf(b, "iface %s %s static\n\taddress %s\n", l.device(), family(six), a)
			l.rest(b, p, six, i == 0 && (six || !l.DHCP))
		}
	}
}

func family(six bool) string {
	if six {
		return "inet6"
	}
	return "inet"
}

// making writes the commands that make a bond, a VLAN or a bridge, and take it away.
func (l link) making(b *strings.Builder) {
	switch {
	case l.Bond != nil:
		fmt.Fprintf(b, "\tpre-up ip link add dev $IFACE address %s type bond mode %s miimon 100\n", l.hardware, l.Bond.Mode)
	case l.VLAN != nil:
		// ifupdown itself makes a VLAN whose name has a dot.
		fmt.Fprintf(b, "\tvlan-raw-device %s\n\tpre-up test -e /sys/class/net/$IFACE || ip link add link %[1]s name $IFACE type vlan id %d\n", device(l.VLAN.Of), l.VLAN.ID)
	case l.Bridge != nil:
		fmt.Fprintf(b, "\tpre-up ip link add dev $IFACE address %s type bridge stp_state 0\n", l.hardware)
	default:
		return
	}
	for _, id := range l.members {
		fmt.Fprintf(b, "\tpre-up ip link set dev %s down\n\tpre-up ip link set dev %[1]s master $IFACE\n", device(id))
		if l.Bridge != nil {
			fmt.Fprintf(b, "\tpre-up ip link set dev %s up\n", device(id))
		}
	}
	b.WriteString("\tpost-down test ! -e /sys/class/net/$IFACE || ip link delete dev $IFACE\n")
}

// rest writes what goes with the first address of a version of IP: the routes, and the
// name servers for programs such as resolvconf.
func (l link) rest(b *strings.Builder, p plan, six, first bool) {
	if !first {
		return
	}
	_, routes := l.of(six)
	l.routes(b, routes)
	if len(p.dns) > 0 {
		var servers []string
		for _, server := range p.dns {
			servers = append(servers, server.String())
		}
		fmt.Fprintf(b, "\tdns-nameservers %s\n", strings.Join(servers, " "))
	}
	if len(p.search) > 0 {
		fmt.Fprintf(b, "\tdns-search %s\n", strings.Join(p.search, " "))
	}
}

func (l link) routes(b *strings.Builder, routes []provision.Route) {
	for _, r := range routes {
		fmt.Fprintf(b, "\tup ip route replace %s via %s dev $IFACE\n", r.To, r.Via)
	}
}
