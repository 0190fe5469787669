package web

import (
	"cmp"
	"maps"
	"net/http"
	"slices"

	"cloudlets/provision/depot"
)

// ImageStatus says whether machines can boot an image: "packing", "ready".
type ImageStatus string

// The statuses of an image.
const (
	ImagePacking ImageStatus = "packing" // it is being packed, or waits its turn
	ImageReady   ImageStatus = "ready"
	ImageFailed  ImageStatus = "failed" // see Image.Error
)

// Image is one image of the site, with one of its kernel entry points.
type Image struct {
	Name string `json:"name"`
	// EntryPoint is "" for the image's default.
	EntryPoint string `json:"entrypoint,omitempty"`
	// AsIs says that machines boot its kernel as it is, and nothing is installed.
	AsIs bool `json:"asIs,omitempty"`
	// Live says that machines start its system in memory. Their root is made beside the pack.
	Live   bool        `json:"live,omitempty"`
	Status ImageStatus `json:"status"`
	// Error is why the last attempt to pack it failed. If the sizes are there,
	// an earlier pack is still in use.
	Error string `json:"error,omitempty"`
	// Sizes in bytes: of the files' content, of the pack that a machine
	// fetches, of the kernel and of the RAM disk.
	Bytes   int64 `json:"bytes,omitempty"`
	Pack    int64 `json:"pack,omitempty"`
	Kernel  int64 `json:"kernel,omitempty"`
	RAMDisk int64 `json:"ramdisk,omitempty"`
	// Entries is how many files it has.
	Entries int    `json:"entries,omitempty"`
	Digest  string `json:"digest,omitempty"` // of the pack
	// Machines is how many machines' files name it.
	Machines int `json:"machines"`
}

func (s *Server) images(*http.Request) (any, error) { return s.imageTable(), nil }

// imageTable returns a row for each image of the site, one more for each entry point that
// machines name, and one for each that they start in memory.
func (s *Server) imageTable() []Image {
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
	table := make([]Image, 0, len(keys))
	for _, key := range slices.SortedFunc(maps.Keys(keys), compareKeys) {
		table = append(table, newImage(key, s.Images.Status(key), keys[key]))
	}
	return table
}

func compareKeys(a, b depot.Key) int {
	return cmp.Or(cmp.Compare(a.Image, b.Image), cmp.Compare(a.EntryPoint, b.EntryPoint), cmp.Compare(a.String(), b.String()))
}

func newImage(key depot.Key, status depot.Status, machines int) Image {
	img := Image{Name: key.Image, EntryPoint: key.EntryPoint, AsIs: key.AsIs, Live: key.Live, Status: ImagePacking, Machines: machines}
	if kit := status.Kit; kit != nil {
		img.Status = ImageReady
		img.Bytes, img.Entries = kit.Bytes, kit.Entries
		img.Pack, img.Kernel, img.RAMDisk = kit.Pack.Size, kit.Kernel.Size, kit.RAMDisk.Size
		img.Digest = kit.Pack.Digest
	}
	switch {
	case status.Busy:
		img.Status = ImagePacking
	case status.Err != nil:
		img.Status, img.Error = ImageFailed, status.Err.Error()
	}
	return img
}
