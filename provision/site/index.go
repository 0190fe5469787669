package site

import (
	"cmp"
	"net/netip"
	"slices"
	"strings"

	"cloudlets/provision"
)

// ImageUse is an image with one of its kernel entry points, as machines' files
// name them.
type ImageUse struct {
	Image string
	// EntryPoint is "" for the image's default.
	EntryPoint string
	// AsIs says that its kernel is booted as it is, and nothing installed.
	AsIs bool
	// Live says that its system is started in memory. Machines that say so are those of the
	// use without it, too.
	Live bool
}

// index finds machines by what is asked about them for each packet and each
// request, so that the cost of an answer does not grow with the site. It is
// made once for each view of the site, and never changed.
type index struct {
	specs     []provision.Spec // by MAC
	at        map[provision.MAC]int
	byCard    map[provision.MAC]provision.MAC // further cards of machines
	byUUID    map[provision.UUID]provision.MAC
	byAddress map[netip.Addr]provision.MAC
	byName    map[string][]provision.MAC // whole hostnames, and their first labels, in lower case
	byImage   map[string][]provision.MAC
	uses      map[ImageUse]int
	bootFiles map[string]struct{} // in lower case
	tags      map[string]struct{}
}

func newIndex(specs []provision.Spec) index {
	slices.SortFunc(specs, func(a, b provision.Spec) int { return cmp.Compare(a.MAC, b.MAC) })
	x := index{
		specs: specs, at: make(map[provision.MAC]int, len(specs)), byCard: make(map[provision.MAC]provision.MAC), byUUID: make(map[provision.UUID]provision.MAC),
		byAddress: make(map[netip.Addr]provision.MAC), byName: make(map[string][]provision.MAC),
		byImage: make(map[string][]provision.MAC), uses: make(map[ImageUse]int), bootFiles: make(map[string]struct{}), tags: make(map[string]struct{}),
	}
	for i := range specs {
		x.add(i, &specs[i])
	}
	return x
}

func (x *index) add(i int, s *provision.Spec) {
	x.at[s.MAC] = i
	for _, card := range s.Cards {
		x.byCard[card] = s.MAC
	}
	if s.UUID != "" {
		x.byUUID[s.UUID] = s.MAC
	}
	if s.Address.IsValid() {
		x.byAddress[s.Address] = s.MAC
	}
	for _, a := range s.MoreAddresses {
		x.byAddress[a] = s.MAC
	}
	if s.Image != "" {
		x.byImage[s.Image] = append(x.byImage[s.Image], s.MAC)
		x.uses[ImageUse{Image: s.Image, EntryPoint: s.EntryPoint}]++
	}
	if s.Boot != nil && s.Boot.Image != "" {
		x.uses[ImageUse{Image: s.Boot.Image, EntryPoint: s.Boot.EntryPoint, AsIs: s.Boot.Kind == provision.BootKernel}]++
	}
	if s.Boot != nil && s.Boot.Kind == provision.BootLive && s.Image != "" {
		x.uses[ImageUse{Image: s.Image, EntryPoint: s.EntryPoint, Live: true}]++
	}
	for _, tag := range s.Tags {
		x.tags[tag] = struct{}{}
	}
	if s.Quirks.BootFile != "" {
		x.bootFiles[strings.ToLower(s.Quirks.BootFile)] = struct{}{}
	}
	if s.Hostname == "" {
		return
	}
	whole := strings.ToLower(s.Hostname)
	x.byName[whole] = append(x.byName[whole], s.MAC)
	if first, _, more := strings.Cut(whole, "."); more {
		x.byName[first] = append(x.byName[first], s.MAC)
	}
}

func (x *index) spec(mac provision.MAC) (provision.Spec, bool) {
	i, ok := x.at[mac]
	if !ok {
		return provision.Spec{}, false
	}
	return x.specs[i], true
}

// named returns the machine with the hostname, or else those with a hostname
// that begins with this label.
func (x *index) named(name string) []provision.MAC {
	name = strings.ToLower(name)
	found := x.byName[name]
	for _, mac := range found {
		if strings.EqualFold(x.specs[x.at[mac]].Hostname, name) {
			return []provision.MAC{mac}
		}
	}
	return found
}
