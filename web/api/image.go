package api

import (
	"context"
	"net/http"
)

// Images returns the images of the site, and whether each can be booted.
func (c *Client) Images(ctx context.Context) (images []Image, err error) {
	return images, c.do(ctx, http.MethodGet, "images", nil, &images)
}

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
