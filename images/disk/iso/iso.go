// Package iso writes hybrid ISO 9660 images. As a CD or DVD they boot by BIOS and
// UEFI (El Torito). Copied to a disk they boot by both too, with boot code in the
// first sector and a GUID partition table.
//
// An image has one folder with a few files, each stored once: the file that UEFI
// uses as its system partition is the file that GRUB mounts for BIOS. A file of
// 4 GiB or more has several extents (ISO 9660 level 3).
//
// The code is ours because images must be written in one pass, from beginning to
// end, with the same bytes each time. The ISO 9660 writer of
// github.com/diskfs/go-diskfs v1.9.4 needs all files in a folder first and
// writes the time of day into the image.
//
// The formats are ECMA-119 (ISO 9660), "El Torito" Bootable CD-ROM Format
// Specification 1.0, and UEFI 2.10, sections 5.3 and 13.3.2.
package iso

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/disk/grub"
	"cloudlets/images/disk/sparse"
)

// File is a file of the image.
type File struct {
	// Name is at most eight capital letters, digits and "_", then a dot and at
	// most three more, e.g. "ROOT.IMG".
	Name string
	// Size is the content's length in bytes.
	Size int64
	// Write writes the content, at most Size bytes. A shorter content is padded
	// with zeros.
	Write func(ctx context.Context, w sparse.Writer) error
}

// Options describe an image besides its files.
type Options struct {
	// ID is the identifier that [ReadID] returns. All others are derived from it.
	ID uuid.UUID
	// Label is the volume's name: at most 32 capital letters, digits and "_".
	Label string
	// Time is the time stamp of everything in the image.
	Time time.Time
	// ESP names the file that is the EFI system partition.
	ESP string
	// Root names a file that also gets a partition, so that no tool treats its
	// sectors as free. If it is empty, there is no such partition.
	Root string
	// GRUB starts the image by BIOS. If it is nil, BIOS cannot start the image.
	// Its Medium is ignored and taken as [grub.CD].
	GRUB *grub.Core
}

const (
	sector     = 2048 // of a CD
	diskSector = 512  // of the disk that the image is written to
	mib        = 1 << 20
	// align is the alignment in bytes of large files. It suits the erase blocks
	// of USB sticks.
	align = mib
	// maxSize is the largest size at which sector numbers fit into 32 bits.
	maxSize = sector * (1<<32 - 1)
	// grubImage is the file that contains GRUB. Only a BIOS reads it.
	grubImage = "GRUB.IMG"
)

// Sector numbers of the descriptors. Before them is the system area with the boot
// code and partition table for a disk.
const (
	volumeAt = 16 + iota
	bootRecordAt
	terminatorAt
	catalogAt
	littlePathsAt
	bigPathsAt
	folderAt
)

// Image is a planned image, in which every file has its offset.
type Image struct {
	opts   Options
	files  []placed // by name, which is also their order on the medium
	core   []byte   // GRUB, patched with its own sector number
	code   []byte   // the first sector's boot code
	folder []byte
	size   int64
}

// placed is a file with its offset in bytes.
type placed struct {
	File
	offset int64
}

func (p placed) end() int64 { return p.offset + p.Size }

// New plans an image. It returns an error if the image cannot hold the files.
func New(files []File, opts Options) (*Image, error) {
	m := &Image{opts: opts}
	if err := m.plan(files); err != nil {
		return nil, fmt.Errorf("plan an ISO image: %w", err)
	}
	return m, nil
}

func (m *Image) plan(files []File) error {
	if !plainText(m.opts.Label, 32) {
		return fmt.Errorf("the label %q must be at most 32 capital letters, digits and _", m.opts.Label)
	}
	if err := m.makeCore(); err != nil {
		return err
	}
	if m.core != nil {
		files = append(slices.Clone(files), File{Name: grubImage, Size: int64(len(m.core)), Write: func(_ context.Context, w sparse.Writer) error {
			_, err := w.Write(m.core)
			return err
		}})
	}
	if err := m.place(files); err != nil {
		return err
	}
	return m.bind()
}

// makeCore makes GRUB's image, because its length is needed for the plan.
func (m *Image) makeCore() (err error) {
	if m.opts.GRUB == nil {
		return nil
	}
	core := *m.opts.GRUB
	core.Medium = grub.CD
	m.core, err = core.Image()
	return err
}

// place assigns the files' offsets, in the order of their names.
func (m *Image) place(files []File) error {
	for _, f := range files {
		if err := f.check(); err != nil {
			return err
		}
		m.files = append(m.files, placed{File: f})
	}
	slices.SortFunc(m.files, func(a, b placed) int { return strings.Compare(a.Name, b.Name) })
	for i := range m.files[1:] {
		if m.files[i].Name == m.files[i+1].Name {
			return fmt.Errorf("two files are called %s", m.files[i].Name)
		}
	}
	at := folderAt*sector + m.folderSize()
	for i := range m.files {
		if m.files[i].Name != grubImage {
			at = roundUp(at, align)
		}
		m.files[i].offset = at
		at = roundUp(m.files[i].end(), sector)
		if at > maxSize {
			return errors.New("the image would be larger than 8 TiB, which is the format's limit: make the root filesystem smaller")
		}
	}
	m.size = roundUp(at, sector) + roundUp(backupSize, sector)
	return nil
}

// bind makes the parts of the image that depend on the files' offsets.
func (m *Image) bind() (err error) {
	if _, ok := m.find(m.opts.ESP); !ok {
		return fmt.Errorf("there is no file %q for the EFI system partition", m.opts.ESP)
	}
	if _, ok := m.find(m.opts.Root); !ok && m.opts.Root != "" {
		return fmt.Errorf("there is no file %q for the root filesystem", m.opts.Root)
	}
	m.folder = m.records()
	if m.core == nil {
		return nil
	}
	f, _ := m.find(grubImage)
	start := uint32(f.offset / sector)
	if err := grub.PatchCD(m.core, volumeAt, start); err != nil {
		return err
	}
	m.code, err = m.opts.GRUB.HybridCode(start)
	return err
}

func (m *Image) find(name string) (placed, bool) {
	i := slices.IndexFunc(m.files, func(f placed) bool { return f.Name == name })
	if i < 0 {
		return placed{}, false
	}
	return m.files[i], true
}

// Size returns the image's length in bytes.
func (m *Image) Size() int64 { return m.size }

// Write writes the image from its beginning to its end.
func (m *Image) Write(ctx context.Context, w sparse.Writer) error {
	out := sparse.InOrder(w)
	table := m.table()
	steps := []func() error{
		func() error { return out.Put(table.first, 0) },
		func() error { return out.Put(m.descriptors(), volumeAt*sector) },
	}
	for _, f := range m.files {
		steps = append(steps, func() error { return f.write(ctx, out) })
	}
	steps = append(steps, func() error { return out.Put(table.backup, m.size-backupSize) })
	for _, step := range steps {
		if err := ctx.Err(); err != nil {
			return fmt.Errorf("write an ISO image: %w", err)
		}
		if err := step(); err != nil {
			return fmt.Errorf("write an ISO image: %w", err)
		}
	}
	return nil
}

// write writes a file at its offset. If the content is shorter than Size, it is
// padded with zeros.
func (p placed) write(ctx context.Context, out *sparse.Ordered) error {
	if err := out.SkipTo(p.offset); err != nil {
		return err
	}
	if err := p.Write(ctx, out); err != nil {
		return fmt.Errorf("write %s: %w", p.Name, err)
	}
	if out.Pos() > p.end() {
		return fmt.Errorf("write %s: it has %d bytes, but announced only %d", p.Name, out.Pos()-p.offset, p.Size)
	}
	return out.SkipTo(p.end())
}

// check returns an error if the format cannot hold the file's name or length.
func (f File) check() error {
	base, extension, dot := strings.Cut(f.Name, ".")
	if !dot || base == "" || !plainText(base, 8) || !plainText(extension, 3) {
		return fmt.Errorf("%q is not a valid file name: use at most eight capital letters, digits and _, a dot, and at most three more", f.Name)
	}
	if f.Size < 0 {
		return fmt.Errorf("%s has %d bytes", f.Name, f.Size)
	}
	if f.Size > maxExtents*extentSize {
		return fmt.Errorf("%s has %d bytes, but Linux reads at most %d bytes of a file in this format: make it smaller", f.Name, f.Size, maxExtents*int64(extentSize))
	}
	return nil
}

// plainText reports whether a text has at most limit characters and only
// d-characters (ECMA-119, 7.4.1).
func plainText(s string, limit int) bool {
	return len(s) <= limit && !strings.ContainsFunc(s, func(r rune) bool {
		return (r < 'A' || r > 'Z') && (r < '0' || r > '9') && r != '_'
	})
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }
