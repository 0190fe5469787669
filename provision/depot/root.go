package depot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/chunks"
	"cloudlets/images/disk/erofs"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/pack"
	"cloudlets/images/target"
)

// Root is the root filesystem of live machines: an EROFS, of which they fetch what they
// read.
type Root struct {
	File
	// Chunks is a [chunks.List] of the file.
	Chunks File `json:"chunks"`
}

// rootForm begins the keys of memos of live machines' roots; see [packForm].
const rootForm = "root 1 "

// rootSpace is the space of the names of which the roots' UUIDs are made (RFC 9562, 5.5).
var rootSpace = uuid.MustParse("5b2f6c0e-3f52-4e0a-9d1c-5a8f0b7e2d11")

// makeRoot makes the root filesystem of live machines from a kit's pack. Servers with the
// same pack make the same bytes.
func (d *Depot) makeRoot(ctx context.Context, kit *Kit, tree *pack.Pack, kernel boot.Kernel) error {
	if len(kit.NotLive) > 0 {
		return fmt.Errorf("kernel %s has no %s, which a live machine needs: use a kernel that has it, e.g. from Debian's package linux-image-amd64",
			kernel.Version, strings.Join(kit.NotLive, ", no "))
	}
	how, err := target.LiveCompression(tree, kernel)
	if err != nil {
		return err
	}
	options := erofs.Options{UUID: uuid.NewSHA1(rootSpace, []byte(kit.Pack.Digest)), Label: "root", Time: time.Unix(0, 0), Compression: how.Compression}
	key := fmt.Sprint(rootForm, kit.Pack.Digest, " ", int(how.Compression))
	build := func() (Root, error) {
		d.log.Info("making the root of live machines", "image", kit.Key, "compression", how.Compression, "because", how.Why)
		return d.writeRoot(ctx, tree, options)
	}
	file := func(r Root) File { return r.File }
	root, err := memo(d, key, d.intact, file, build)
	if err == nil && !d.intact(root.Chunks) {
		if err = os.Remove(d.record(key)); err == nil {
			root, err = memo(d, key, d.intact, file, build)
		}
	}
	d.touch(root.Chunks)
	kit.Root = root
	return err
}

func (d *Depot) writeRoot(ctx context.Context, tree images.Source, options erofs.Options) (root Root, err error) {
	layout, err := erofs.Plan(ctx, tree, options)
	if err != nil {
		return root, err
	}
	defer func() { err = errors.Join(err, layout.Close()) }()
	var cut chunks.Writer
	root.File, err = d.put(func(w io.Writer) (string, error) {
		return "", layout.Write(ctx, sparse.To(io.MultiWriter(w, &cut)))
	})
	if err != nil {
		return root, err
	}
	root.Chunks, err = d.put(func(w io.Writer) (string, error) {
		list, err := cut.List().MarshalBinary()
		if err == nil {
			_, err = w.Write(list)
		}
		return "", err
	})
	return root, err
}
