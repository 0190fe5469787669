package disk

import (
	"context"
	"encoding/binary"
	"fmt"
	"io/fs"

	"github.com/google/uuid"

	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/grub"
	"cloudlets/images/disk/sparse"
)

// ESP is an EFI system partition by itself, as small as it can be: what a CD
// has in a file.
type ESP struct {
	files []fat.File
	opts  fat.Options
	size  int64
}

// NewESP makes one with the files that boot a menu; its serial number follows
// from id. What cannot be installed is refused here.
func NewESP(ctx context.Context, arch Arch, id uuid.UUID, c Contents) (*ESP, error) {
	files, err := c.SecureBoot.bootFiles(ctx, arch, c.Menu, c.Loaders)
	if err != nil {
		return nil, err
	}
	files = append(files, c.SecureBoot.filesOnCD(c.Menu)...)
	e := &ESP{files: files, opts: fat.Options{Label: espLabel, Serial: binary.BigEndian.Uint32(id[:4]), SectorSize: 512, Time: c.Time}}
	// Beside contents a filesystem has its tables, and halves of clusters.
	e.size = 2 * mib
	for _, f := range files {
		e.size += f.Size + f.Size/64
	}
	e.size = (e.size + mib - 1) / mib * mib
	if err := fat.Check(e.size, e.opts, e.files); err != nil {
		return nil, fmt.Errorf("prepare EFI system partition: %w", err)
	}
	return e, nil
}

// Size is its length in bytes.
func (e *ESP) Size() int64 { return e.size }

// Write writes it from its beginning to its end.
func (e *ESP) Write(ctx context.Context, w sparse.Writer) error {
	out := sparse.InOrder(w)
	if err := fat.WriteInOrder(ctx, out, e.size, e.opts, e.files); err != nil {
		return fmt.Errorf("write EFI system partition: %w", err)
	}
	return out.SkipTo(e.size)
}

// HybridCore is GRUB for a CD and for a disk that a CD's image was written to,
// made of its modules, see [Assets.GRUB]. It looks for its menu on the first
// partition, the ESP, of whatever it was started from: a hybrid image has its
// partition table on a CD, too.
func HybridCore(modules fs.FS) *grub.Core {
	return &grub.Core{Files: modules, Prefix: "(,gpt1)/grub", Modules: grubModuleNames(), Medium: grub.CD}
}
