package target

import (
	"cmp"
	"fmt"
	"slices"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk/erofs"
)

// Compression is how the files of a live image are kept.
type Compression string

// The compressions of a live image.
const (
	LZ4          Compression = "lz4"
	ZSTD         Compression = "zstd"
	Uncompressed Compression = "none"
)

// zstdSince is the first Linux whose EROFS knows zstd.
const zstdSince = "6.10"

// Chosen is the compression of a live system's root filesystem.
type Chosen struct {
	erofs.Compression
	// Why is why it is not another one, as a part of a sentence.
	Why string
}

// allowed are the compressions of the files that a kernel reads if it reads the chosen
// one, the best first.
func (c Chosen) allowed() []Compression {
	switch c.Compression {
	case erofs.ZSTD:
		return []Compression{ZSTD, LZ4, Uncompressed}
	case erofs.LZ4:
		return []Compression{LZ4, Uncompressed}
	}
	return []Compression{Uncompressed}
}

// LiveCompression is the best compression of a root filesystem that some kernels of an
// image all read. Zstd is chosen only if the configuration of each says so, because a
// kernel that cannot read it does not start.
func LiveCompression(t images.Tree, kernels ...boot.Kernel) (Chosen, error) {
	if len(kernels) == 0 {
		return Chosen{Compression: erofs.LZ4, Why: "no kernel of the image is known"}, nil
	}
	best := Chosen{Compression: erofs.ZSTD, Why: "each kernel of the image reads it"}
	for _, k := range kernels {
		c, err := compressionOf(t, k)
		if err != nil {
			return Chosen{}, fmt.Errorf("read the configuration of kernel %s: %w", k.Version, err)
		}
		if len(c.allowed()) < len(best.allowed()) {
			best = c
		}
	}
	return best, nil
}

// compressionOf is the best compression that a kernel reads.
func compressionOf(t images.Tree, k boot.Kernel) (Chosen, error) {
	lacksAll, err1 := k.Lacks(t, "EROFS_FS_ZIP")
	known, err2 := k.IsConfigured(t)
	has, err3 := k.Has(t, "EROFS_FS_ZIP_ZSTD")
	if err := cmp.Or(err1, err2, err3); err != nil {
		return Chosen{}, err
	}
	c := Chosen{Compression: erofs.LZ4}
	switch {
	case lacksAll:
		c = Chosen{erofs.None, fmt.Sprintf("the image's kernel %s was built without CONFIG_EROFS_FS_ZIP", k.Version)}
	case !k.IsAtLeast(zstdSince):
		c.Why = fmt.Sprintf("zstd needs Linux %s, and the image has kernel %s", zstdSince, k.Version)
	case !known:
		c.Why = fmt.Sprintf("the image has no /boot/config-%[1]s, which says whether its kernel %[1]s reads zstd", k.Version)
	case !has:
		c.Why = fmt.Sprintf("the image's kernel %s was built without CONFIG_EROFS_FS_ZIP_ZSTD", k.Version)
	default:
		c.Compression = erofs.ZSTD
	}
	return c, nil
}

// chooseCompression is the compression that a person asked for, or the best one if that is
// "". Every kernel of the image must be able to read it.
func chooseCompression(t images.Tree, kernels []boot.Kernel, asked Compression) (Chosen, error) {
	best, err := LiveCompression(t, kernels...)
	if err != nil || asked == "" {
		return best, err
	}
	if !slices.Contains(best.allowed(), asked) {
		return Chosen{}, fmt.Errorf("a kernel of the image could not read files that are compressed with %s: %s: choose the compression %s", asked, best.Why, best.Compression)
	}
	how := map[Compression]erofs.Compression{LZ4: erofs.LZ4, ZSTD: erofs.ZSTD, Uncompressed: erofs.None}[asked]
	return Chosen{Compression: how, Why: "you chose it"}, nil
}
