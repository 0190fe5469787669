package netconfig

import (
	"fmt"
	"strings"

	"github.com/google/uuid"

	"cloudlets/images"
)

// networkManager renders keyfiles, nm-settings-keyfile(5). NetworkManager ignores a
// keyfile that others can read.
func (p plan) networkManager() (files []images.File) {
	for _, l := range p.links {
		name := "/etc/NetworkManager/system-connections/cloudlets-" + l.label() + ".nmconnection"
		files = append(files, newFile(name, l.keyfile(p), 0o600))
	}
	return files
}

// connection is the identifier of a link's connection, which is made of its name so
// that the same network gives the same file.
func connection(id string) uuid.UUID {
	return uuid.NewSHA1(uuid.NameSpaceURL, []byte("cloudlets:network:"+id))
}

func (l link) keyfile(p plan) string {
	var b strings.Builder
	fmt.Fprintf(&b, "[connection]\nid=cloudlets-%s\nuuid=%s\ntype=%s\n", l.label(), connection(l.ID()), l.nmType())
	if l.Name != "" {
		fmt.Fprintf(&b, "interface-name=%s\n", l.Name)
	}
	b.WriteString("autoconnect-priority=100\n") // before one that NetworkManager makes up for a card
	if l.members != nil {
		b.WriteString("autoconnect-slaves=1\n")
	}
	if l.master != nil {
		kind := "bridge"
		if l.master.Bond != nil {
			kind = "bond"
		}
		fmt.Fprintf(&b, "master=%s\nslave-type=%s\n", connection(l.master.Name), kind)
	}
	l.nmHardware(&b)
	l.nmKind(&b)
	if l.master != nil {
		return b.String()
	}
	l.nmIP(&b, p, false)
	l.nmIP(&b, p, true)
	return b.String()
}

func (l link) nmType() string {
	switch {
	case l.Bond != nil:
		return "bond"
	case l.VLAN != nil:
		return "vlan"
	case l.Bridge != nil:
		return "bridge"
	}
	return "ethernet"
}

// nmHardware writes the card that the connection is for, or the address that the
// interface gets.
func (l link) nmHardware(b *strings.Builder) {
	b.WriteString("\n[ethernet]\n")
	switch {
	case l.MAC != "":
		fmt.Fprintf(b, "mac-address=%s\n", strings.ToUpper(string(l.MAC)))
	case l.VLAN == nil:
		fmt.Fprintf(b, "cloned-mac-address=%s\n", strings.ToUpper(string(l.hardware)))
	}
	if l.MTU != 0 {
		fmt.Fprintf(b, "mtu=%d\n", l.MTU)
	}
}

func (l link) nmKind(b *strings.Builder) {
	switch {
	case l.Bond != nil:
		fmt.Fprintf(b, "\n[bond]\nmode=%s\nmiimon=100\n", l.Bond.Mode)
	case l.VLAN != nil:
		parent := l.VLAN.Of
		if strings.Contains(parent, ":") {
			parent = connection(parent).String() // NetworkManager finds the card by its connection
		}
		fmt.Fprintf(b, "\n[vlan]\nflags=1\nid=%d\nparent=%s\n", l.VLAN.ID, parent)
	case l.Bridge != nil:
		b.WriteString("\n[bridge]\nstp=false\n")
	}
}

// nmIP writes the addresses of one version of IP. Without a static address, IPv6 is as
// routers advertise it.
func (l link) nmIP(b *strings.Builder, p plan, six bool) {
	section, method := "ipv4", "disabled"
	addresses, routes := l.of(six)
	switch {
	case six && l.configured():
		section, method = "ipv6", "auto"
	case six:
		section = "ipv6"
	case l.DHCP:
		method = "auto"
	case len(addresses) > 0:
		method = "manual"
	}
	fmt.Fprintf(b, "\n[%s]\nmethod=%s\n", section, method)
	if method == "disabled" {
		return
	}
	for i, a := range addresses {
		fmt.Fprintf(b, "address%d=%s\n", i+1, a)
	}
	for i, r := range routes {
		fmt.Fprintf(b, "route%d=%s,%s\n", i+1, r.To, r.Via)
	}
	var servers strings.Builder
	for _, server := range p.dns {
		if server.Is6() == six {
			fmt.Fprintf(&servers, "%s;", server)
		}
	}
	if servers.Len() > 0 {
		fmt.Fprintf(b, "dns=%s\n", servers.String())
	}
	if len(p.search) > 0 {
		fmt.Fprintf(b, "dns-search=%s;\n", strings.Join(p.search, ";"))
	}
}
