// Package ext4 writes ext4 filesystems: a whole image as a stream, without
// root, mount or mkfs, or an empty filesystem of any size in an instant.
//
// [Plan] walks an image once without keeping its contents and decides
// everything: inode numbers, the place of each block, every checksum's input.
// [Layout.Write] walks it a second time and emits the filesystem strictly in
// ascending order, so that it can go into a pipe or a compressed virtual disk.
// The same image and options give the same bytes.
//
// The filesystem has what mke2fs gives one by default: a journal, 64-bit block
// numbers, checksums of all metadata, extents, hashed directories, flexible
// groups, and room for more descriptors, so that it can grow while mounted. Blocks
// are 4096 bytes and inodes 256. "The format" in comments is the kernel's
// Documentation/filesystems/ext4.
//
// The code is ours because no library found writes such a filesystem from a
// stream. The ext4 of github.com/diskfs/go-diskfs v1.9.4 needed more than 400
// seconds for 27,000 files, panics on a name of 255 bytes, supports no links,
// devices or extended attributes, and writes the time of day. The tar2ext4 of
// github.com/Microsoft/hcsshim 0.15.0 makes a filesystem without journal, UUID
// and free blocks, which e2fsck does not find clean.
package ext4

import (
	"context"
	"errors"
	"fmt"
	"time"

	"cloudlets/images"
	"cloudlets/images/disk/sparse"
)

// Options describe a filesystem. The zero value asks for the smallest one that
// holds the image.
type Options struct {
	// Size is the filesystem's length in bytes, rounded down to whole blocks;
	// 0 is the smallest that holds the image and Free.
	Size int64
	// Free is how many bytes to leave for new files.
	Free int64
	// MaxGrow is the length in bytes to which the filesystem can be grown
	// while it is mounted, up to 16 TiB; 0 is 1024 times its size. From a
	// size of 4 TiB on there is no such limit.
	MaxGrow int64
	// UUID names the filesystem; zero derives one from the image's metadata.
	UUID [16]byte
	// HashSeed scrambles the order of large directories; zero derives one
	// from the UUID.
	HashSeed [16]byte
	// Label is the volume's name, at most 16 bytes.
	Label string
	// Time is when the filesystem and its inodes were made: what ctime and
	// crtime show. Zero is 1970.
	Time time.Time
	// ReservedPercent of the blocks are for root alone, 0 to 50.
	ReservedPercent int
	// InodeRatio makes one inode for so many bytes of the filesystem, at
	// least 4096. There are always enough for the image. 0 is 16 KiB, as
	// mke2fs has it, and more from 4 TiB on.
	InodeRatio int64
	// JournalSize is in bytes; 0 is 4 to 64 MiB, by the filesystem's size,
	// and none in less than 8 MiB; less than 0 is none.
	JournalSize int64
	// Stale says that skipped bytes keep their old content, as on a device that
	// was not erased. Everything that must be zero is then written, and only
	// bytes that are never read are skipped. Unused inode tables are cleared by the
	// kernel after the first mount.
	Stale bool
	// LazyJournal leaves old bytes in the journal of a Stale filesystem, too.
	// The kernel tells them from its own by the UUID, which must then be one
	// that nothing on the device ever had: drawn by chance, not derived.
	LazyJournal bool
}

// Limits of what is written here.
const (
	minSize     = 64 * blockSize
	maxSize     = 128 << 40 // the descriptors of more would take too much memory
	maxReserved = 50
)

// ErrChanged is returned if the image changed between [Plan] and [Layout.Write].
var ErrChanged = errors.New("it changed while the filesystem was made; make it again from an image that nobody writes to")

// ErrTooSmall is returned if the image does not fit into the requested size.
var ErrTooSmall = errors.New("the filesystem is too small")

// Plan reads an image and lays out a filesystem for it. The source must stay
// as it is until the layout is written.
func Plan(ctx context.Context, src images.Source, opts Options) (*Layout, error) {
	if err := opts.check(); err != nil {
		return nil, fmt.Errorf("plan ext4 filesystem: %w", err)
	}
	c := newCollector(ctx, opts.Time)
	if src != nil {
		if err := src.Walk(ctx, c.visit); err != nil {
			return nil, fmt.Errorf("plan ext4 filesystem: %w", err)
		}
	}
	t, err := c.finish()
	if err != nil {
		return nil, fmt.Errorf("plan ext4 filesystem: %w", err)
	}
	if opts.UUID == ([16]byte{}) {
		opts.UUID = t.deriveUUID(opts)
	}
	if opts.HashSeed == ([16]byte{}) {
		opts.HashSeed = derive(opts.UUID[:], "hash seed")
	}
	l, err := layOut(ctx, t, opts)
	if err != nil {
		return nil, fmt.Errorf("plan ext4 filesystem: %w", err)
	}
	l.source = src
	return l, nil
}

// Format makes an empty filesystem. Its Size and UUID must be given.
func Format(ctx context.Context, w sparse.Writer, opts Options) error {
	if opts.Size == 0 || opts.UUID == ([16]byte{}) {
		return errors.New("make empty ext4 filesystem: it needs a size and a UUID")
	}
	l, err := Plan(ctx, nil, opts)
	if err != nil {
		return err
	}
	return l.Write(ctx, w)
}

func (o Options) check() error {
	switch {
	case o.Size != 0 && o.Size < minSize:
		return fmt.Errorf("size of %d bytes: %w: at least %d are needed", o.Size, ErrTooSmall, minSize)
	case o.Size > maxSize || o.Free > maxSize:
		return fmt.Errorf("size of %d bytes and %d free: no more than %d are possible", o.Size, o.Free, int64(maxSize))
	case o.Free < 0 || o.MaxGrow < 0 || o.InodeRatio < 0:
		return errors.New("free room, growth and inode ratio must not be negative")
	case o.InodeRatio != 0 && o.InodeRatio < blockSize:
		return fmt.Errorf("an inode for every %d bytes is more than a group can have: %d is the least", o.InodeRatio, blockSize)
	case o.JournalSize > 0 && (o.JournalSize < minJournal*blockSize || o.JournalSize > maxJournal*blockSize):
		return fmt.Errorf("journal of %d bytes: it must have %d to %d", o.JournalSize, minJournal*blockSize, int64(maxJournal*blockSize))
	case len(o.Label) > 16:
		return fmt.Errorf("label %q is longer than 16 bytes", o.Label)
	case o.ReservedPercent < 0 || o.ReservedPercent > maxReserved:
		return fmt.Errorf("%d percent reserved for root: it must be 0 to %d", o.ReservedPercent, maxReserved)
	}
	return nil
}
