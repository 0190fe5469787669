package depot

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"io"

	"cloudlets/images"
	"cloudlets/images/layers"
	"cloudlets/images/target"
)

// content identifies what is in a pack, whatever the bytes of the pack are. Two
// servers that have the same files under their own copies of an image know the same
// content without a word between them. A fingerprint cannot do that, as it depends
// on inodes.
type content struct {
	digest  string // "sha256:…" of all entries in canonical order
	entries int
	bytes   int64 // of all files
}

// contentOf reads all of a source that is in canonical order.
func contentOf(ctx context.Context, src images.Source) (content, error) {
	sum, c := sha256.New(), content{}
	err := src.Walk(ctx, func(e images.Entry, r io.Reader) error {
		c.entries++
		c.bytes += e.Size
		if err := target.HashEntry(sum, e); err != nil || r == nil {
			return err
		}
		_, err := io.Copy(sum, r)
		return err
	})
	if err != nil {
		return content{}, err
	}
	c.digest = "sha256:" + hex.EncodeToString(sum.Sum(nil))
	return c, nil
}

// packable is the content that an image's pack will have: without its volatile
// files.
func packable(ctx context.Context, image *images.Image) (content, error) {
	tree, err := image.Tree(ctx)
	if err != nil {
		return content{}, err
	}
	files, volatile, err := target.CopyOf(image.Manifest, tree)
	if err != nil {
		return content{}, err
	}
	return contentOf(ctx, layers.Select(files, func(path string) bool { return !volatile(path) }))
}

// maxPack is the length in bytes that a pack of this content may have at most. A
// peer cannot make a depot keep more than that.
func (c content) maxPack() int64 { return c.bytes + c.bytes/4 + 8<<10*int64(c.entries) + 1<<20 }
