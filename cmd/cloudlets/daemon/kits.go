//go:build linux

package daemon

import (
	"cmp"
	"slices"

	"cloudlets/provision/depot"
	"cloudlets/provision/site"
)

// KitKeys are the images of the site, with the entry points that machines name.
func KitKeys(site *site.Site) []depot.Key {
	var keys []depot.Key
	for _, name := range site.Images() {
		keys = append(keys, depot.Key{Image: name})
	}
	for use := range site.ImageUses() {
		keys = append(keys, depot.Key{Image: use.Image, EntryPoint: use.EntryPoint})
	}
	if image := site.Settings().Strangers.Image; image != "" {
		keys = append(keys, depot.Key{Image: image})
	}
	slices.SortFunc(keys, func(a, b depot.Key) int {
		return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.EntryPoint, b.EntryPoint))
	})
	return slices.Compact(keys)
}
