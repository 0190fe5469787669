package disk

import (
	"context"
	"encoding/binary"
	"fmt"

	"github.com/google/uuid"

	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/sparse"
)

// ESP is an EFI system partition that lies in a file on a CD. It is made only as
// large as its files need.
type ESP struct {
	files []fat.File
	opts  fat.Options
	size  int64
}

// NewESP plans an ESP with the files that boot a menu. The filesystem's serial
// number is derived from id. NewESP returns an error for contents that cannot be
// installed.
func NewESP(ctx context.Context, arch bootloader.Arch, id uuid.UUID, c Contents) (*ESP, error) {
	files, err := c.SecureBoot.ESPFiles(ctx, arch, c.Menu, c.Loaders)
	if err != nil {
		return nil, err
	}
	files = append(files, c.SecureBoot.FilesOnCD(c.Menu)...)
	e := &ESP{files: files, opts: fat.Options{Label: espLabel, Serial: binary.BigEndian.Uint32(id[:4]), SectorSize: 512, Time: c.Time}}
	// Besides its files the filesystem needs room for its tables and for the
	// unused ends of clusters.
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

// Size returns the ESP's length in bytes.
func (e *ESP) Size() int64 { return e.size }

// Write writes the ESP from its beginning to its end.
func (e *ESP) Write(ctx context.Context, w sparse.Writer) error {
	out := sparse.InOrder(w)
	if err := fat.WriteInOrder(ctx, out, e.size, e.opts, e.files); err != nil {
		return fmt.Errorf("write EFI system partition: %w", err)
	}
	return out.SkipTo(e.size)
}
