//go:build linux

package daemon

import (
	"cmp"
	"slices"
	"strings"

	"cloudlets/provision/depot"
	"cloudlets/provision/site"
)

// KitKeys are the images of the site, with the entry points that machines name.
func KitKeys(site *site.Site) []depot.Key {
	var keys []depot.Key
	asIs := make(map[string]bool) // they may have nothing that could be installed
	for use := range site.ImageUses() {
		asIs[use.Image] = asIs[use.Image] || use.AsIs
		keys = append(keys, depot.Key{Image: use.Image, EntryPoint: use.EntryPoint, AsIs: use.AsIs, Live: use.Live})
	}
	for _, name := range site.Images() {
		if !asIs[name] {
			keys = append(keys, depot.Key{Image: name})
		}
	}
	if image := site.Settings().Strangers.Image; image != "" {
		keys = append(keys, depot.Key{Image: image})
	}
	slices.SortFunc(keys, func(a, b depot.Key) int {
		return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.EntryPoint, b.EntryPoint), strings.Compare(a.String(), b.String()))
	})
	return slices.Compact(keys)
}
