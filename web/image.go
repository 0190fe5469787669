package web

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"cloudlets/provision/depot"
	"cloudlets/web/api"
)

func (s *Server) images(*http.Request) (any, error) { return s.imageTable(), nil }

// imageTable returns a row for each image of the site, one more for each entry point that
// machines name, and one for each that they start in memory.
func (s *Server) imageTable() []api.Image {
	keys := make(map[depot.Key]int)
	asIs := make(map[string]bool) // they may have nothing that could be installed
	for use, machines := range s.Site.ImageUses() {
		if _, there := s.Site.ImagePath(use.Image); there {
			keys[depot.Key{Image: use.Image, EntryPoint: use.EntryPoint, AsIs: use.AsIs, Live: use.Live}] = machines
			asIs[use.Image] = asIs[use.Image] || use.AsIs
		}
	}
	for _, name := range s.Site.Images() {
		if key := (depot.Key{Image: name}); !asIs[name] && keys[key] == 0 {
			keys[key] = 0
		}
	}
	table := make([]api.Image, 0, len(keys))
	for _, key := range slices.SortedFunc(maps.Keys(keys), compareKeys) {
		table = append(table, newImage(key, s.Images.Status(key), keys[key]))
	}
	return table
}

func compareKeys(a, b depot.Key) int {
	return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.EntryPoint, b.EntryPoint), cmp.Compare(a.String(), b.String()))
}

func newImage(key depot.Key, status depot.Status, machines int) api.Image {
	img := api.Image{Name: key.Image, EntryPoint: key.EntryPoint, AsIs: key.AsIs, Live: key.Live, Status: api.ImagePacking, Machines: machines}
	if kit := status.Kit; kit != nil {
		img.Status = api.ImageReady
		img.Bytes, img.Entries = kit.Bytes, kit.Entries
		img.Pack, img.Kernel, img.RAMDisk = kit.Pack.Size, kit.Kernel.Size, kit.RAMDisk.Size
		img.Digest = kit.Pack.Digest
	}
	switch {
	case status.Busy:
		img.Status = api.ImagePacking
	case status.Err != nil:
		img.Status, img.Error = api.ImageFailed, status.Err.Error()
	}
	return img
}
