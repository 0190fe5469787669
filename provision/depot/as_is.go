package depot

import (
	"errors"
	"io"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/target"
)

// initrdForm begins the keys of memos of an image's own initrds; see [packForm].
const initrdForm = "initrd 1 "

// completeAsIs adds to a kit the kernel and the initrd of the image, as they are. They
// need not be Linux's, so nothing is asked of them but that they fit the processor.
func (d *Depot) completeAsIs(kit *Kit, tree images.Tree) error {
	kernels, err := boot.Kernels(kit.Manifest, tree, kit.Key.EntryPoint)
	if err != nil {
		return err
	}
	kernel := kernels[0]
	if err := kernel.Check(""); err != nil {
		return err
	}
	kit.Image = target.Image{Title: kit.Key.Image, Kernels: kernels[:1]}
	if kit.Kernel, err = d.makeKernel(kit, tree, kernel); err != nil || kernel.Initrd == "" {
		return err
	}
	key := initrdForm + kit.Pack.Digest + " " + kernel.Initrd
	kit.RAMDisk, err = memo(d, key, d.intact, func(f File) File { return f }, func() (File, error) {
		return d.put(func(w io.Writer) (string, error) {
			r, err := tree.Open(kernel.Initrd)
			if err != nil {
				return "", err
			}
			_, err = io.Copy(w, r)
			return "", errors.Join(err, r.Close())
		})
	})
	return err
}
