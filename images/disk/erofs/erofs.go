// Package erofs writes EROFS filesystems, which are read-only. Linux can mount one
// from a file, and a live system runs from one.
//
// [Plan] walks an image once without keeping its contents and decides where
// everything goes; [Layout.Write] walks it a second time and emits the
// filesystem strictly in ascending order. The same image and options give the
// same bytes.
//
// After the superblock come the directories, the root first, and then the
// files in groups of about a megabyte: the inodes of a group with the contents of
// its small files, and then the group's other content. Only one group at a time is
// held in memory.
//
// Files that become smaller by it are compressed on several cores, with LZ4 or zstd. Each
// is cut into extents that are compressed independently: with LZ4 as much data as fills
// a block of 4 KiB, and with zstd as much as fills 32 KiB, or up to 256 KiB of data. The
// plan does this and keeps the compressed blocks in a temporary file. Files above 4 GiB
// are not compressed. Inodes are of the extended form, and files keep their holes if
// these save much. "The format" in comments is the kernel's
// Documentation/filesystems/erofs.rst and fs/erofs/erofs_fs.h. Linux 5.4 and later read
// it, compressed with LZ4 or not. A filesystem with holes in its files needs 5.15 or
// later, and one with zstd 6.10 or later, built with CONFIG_EROFS_FS_ZIP_ZSTD.
//
// This package exists because github.com/diskfs/go-diskfs v1.9.4 does not
// support EROFS, and its images of the other read-only filesystem, squashfs,
// were unreadable.
package erofs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"cloudlets/images"
	"cloudlets/images/disk/sparse"
)

// Options describe a filesystem.
type Options struct {
	UUID [16]byte
	// Label is the volume's name, at most 15 bytes.
	Label string
	// Time is when the filesystem was made.
	Time time.Time
	// Compression is how contents are stored.
	Compression Compression
	// Progress, if it is not nil, is told by [Plan] how many bytes of files it has
	// compressed so far.
	Progress func(bytes int64)
}

// Compression is how contents are stored.
type Compression int

// The ways to store contents. Every Linux with EROFS reads the first two.
const (
	LZ4 Compression = iota
	None
	// ZSTD is read by Linux 6.10 and later, if that has CONFIG_EROFS_FS_ZIP_ZSTD.
	ZSTD
)

func (c Compression) String() string {
	switch c {
	case LZ4:
		return "lz4"
	case ZSTD:
		return "zstd"
	}
	return "none"
}

// packer returns a new packer for a compression, which is not None.
func (c Compression) packer() packer {
	if c == ZSTD {
		return newZstdPacker()
	}
	return new(compressor)
}

const (
	blockSize = 4096
	// slotSize is the unit in bytes in which the format counts the offsets of
	// inodes.
	slotSize = 32
	// maxSize is the largest size in bytes, because block numbers have 32 bits.
	maxSize = 1 << 32 * blockSize
	// maxLabel is the length of the longest label in bytes. It leaves the last
	// byte of the field zero.
	maxLabel = 15
)

// ErrChanged is returned if an image changed after its filesystem was planned.
var ErrChanged = errors.New("it changed while the filesystem was made; make it again from an image that nobody writes to")

// Layout is a filesystem in which the place of everything is decided.
type Layout struct {
	*tree
	opts   Options
	source images.Source
	// files is the offset of the first group, and size is the length of the
	// filesystem, both in bytes.
	files, size int64
	spool       *os.File // compressed files; nil if nothing is compressed
}

// Plan reads an image and lays out a filesystem for it. The source must not
// change until the layout is written. The layout must be closed.
func Plan(ctx context.Context, src images.Source, opts Options) (*Layout, error) {
	l, err := plan(ctx, src, opts)
	if err != nil {
		return nil, fmt.Errorf("plan EROFS filesystem: %w", err)
	}
	return l, nil
}

func plan(ctx context.Context, src images.Source, opts Options) (*Layout, error) {
	if len(opts.Label) > maxLabel {
		return nil, fmt.Errorf("label %q is longer than %d bytes", opts.Label, maxLabel)
	}
	c := newCollector(ctx)
	if opts.Compression == None {
		return c.plan(src, opts)
	}
	var err error
	if c.squeeze, err = newSqueezer(ctx, c.place, opts); err != nil {
		return nil, err
	}
	l, err := c.plan(src, opts)
	if stopped := c.squeeze.stop(); err == nil {
		err = stopped
	}
	if err != nil {
		return nil, errors.Join(err, c.squeeze.spool.Close())
	}
	l.spool = c.squeeze.spool
	return l, nil
}

// plan collects an image and lays it out.
func (c *collector) plan(src images.Source, opts Options) (*Layout, error) {
	if err := src.Walk(c.ctx, c.visit); err != nil {
		return nil, err
	}
	if c.squeeze != nil {
		if err := c.squeeze.flush(); err != nil {
			return nil, err
		}
	}
	c.group.close()
	if err := c.resolve(); err != nil {
		return nil, err
	}
	l := &Layout{tree: &c.tree, opts: opts, source: src}
	if err := l.arrange(); err != nil {
		return nil, err
	}
	l.files = l.placeDirectories()
	if l.size = l.files + c.group.start; l.size > maxSize {
		return nil, fmt.Errorf("it needs %d bytes, and EROFS has at most %d", l.size, int64(maxSize))
	}
	for i := range l.inodes {
		if n := &l.inodes[i]; !n.directory {
			n.at += l.files
		}
	}
	return l, nil
}

// Close removes the temporary file. The layout cannot be written any more.
func (l *Layout) Close() error {
	if l.spool == nil {
		return nil
	}
	return l.spool.Close()
}

// Size returns the filesystem's length in bytes.
func (l *Layout) Size() int64 { return l.size }

// Write writes all Size bytes of the filesystem. It reads the image's contents
// meanwhile, and returns [ErrChanged] if the image has changed. It can be called
// again.
func (l *Layout) Write(ctx context.Context, w sparse.Writer) error {
	e := &emitter{Layout: l, ctx: ctx, out: sparse.InOrder(w), group: group{start: l.files}}
	for _, step := range []func() error{e.superblock, e.directories, e.walk, e.finish} {
		if err := step(); err != nil {
			return fmt.Errorf("write EROFS filesystem: %w", err)
		}
	}
	return nil
}

func roundUp(n, unit int64) int64 { return (n + unit - 1) / unit * unit }

func blocks(n int64) int64 { return (n + blockSize - 1) / blockSize }
