package ext4

import (
	"context"
	"fmt"

	"cloudlets/images"
)

// Layout is a planned filesystem, in which every file has its blocks.
type Layout struct {
	geometry
	opts    Options
	tree    *tree
	source  images.Source // nil for an empty filesystem
	seed    uint32        // of checksums
	made    stamp
	journal int64 // blocks, without their tree
	double  int64 // the resize inode's block of pointers to pointers, or 0
	used    int64 // the block after the last one of a file
	spare   int64 // free blocks
}

// Size returns the filesystem's length in bytes.
func (l *Layout) Size() int64 { return l.blocks * blockSize }

// UUID returns the filesystem's UUID, given or derived.
func (l *Layout) UUID() [16]byte { return l.opts.UUID }

// Used returns the offset in bytes at which the last file ends.
func (l *Layout) Used() int64 { return l.used * blockSize }

// Free returns how many bytes are left for new files.
func (l *Layout) Free() int64 { return l.spare * blockSize }

// Resize changes the layout to another length in bytes without reading the image
// again. Identifiers stay the same. [Options.Free] no longer has an effect. After
// an error the layout must not be written.
func (l *Layout) Resize(size int64) error {
	opts := l.opts
	opts.Size, opts.Free = size, 0
	if err := opts.check(); err != nil {
		return fmt.Errorf("resize ext4 filesystem: %w", err)
	}
	l.opts = opts
	if err := l.fitInto(size / blockSize); err != nil {
		return fmt.Errorf("resize ext4 filesystem: %w", err)
	}
	return nil
}

// layOut chooses the size and then the blocks of everything.
func layOut(ctx context.Context, t *tree, opts Options) (*Layout, error) {
	if err := t.arrange(opts.HashSeed); err != nil {
		return nil, err
	}
	l := &Layout{opts: opts, tree: t, seed: seed(opts.UUID), made: newStamp(opts.Time)}
	if opts.Size > 0 {
		return l, l.fitInto(opts.Size / blockSize)
	}
	return l, l.fitSmallest(ctx)
}

// fitInto lays the filesystem out in the requested size.
func (l *Layout) fitInto(blocks int64) error {
	g, err := newGeometry(blocks, l.inodesFor(blocks), l.opts.MaxGrow)
	if err != nil {
		return err
	}
	l.geometry = g
	switch short := g.lastShort(); {
	case short > 0 && g.groups > 1:
		return l.fitInto((g.groups - 1) * groupBlocks)
	case short > 0:
		return fmt.Errorf("%w: its own tables need %d of its %d bytes", ErrTooSmall, g.prefix(0)*blockSize, l.Size())
	}
	if short := l.place(); short > 0 {
		return fmt.Errorf("%w: %d bytes are about %d too few: use a larger size, or none for the smallest possible", ErrTooSmall, l.Size(), short*blockSize)
	}
	return nil
}

// fitSmallest enlarges the filesystem until everything fits. Each round adds the
// blocks that were missing in the round before. It ends after a few rounds, because
// an additional block needs far less than a block of tables.
func (l *Layout) fitSmallest(ctx context.Context) error {
	blocks := max(minSize/blockSize, (ceilDiv(l.inodesFor(0), maxInodesPerGroup)-1)*groupBlocks)
	for blocks <= maxSize/blockSize {
		if err := ctx.Err(); err != nil {
			return err
		}
		g, err := newGeometry(blocks, l.inodesFor(blocks), l.opts.MaxGrow)
		if err != nil { // more inodes than the groups can have
			blocks += minSize / blockSize
			continue
		}
		l.geometry = g
		short := g.lastShort()
		if short <= 0 {
			short = l.place()
		}
		if short <= 0 {
			return nil
		}
		blocks += short
	}
	return fmt.Errorf("the image needs a filesystem of more than %d bytes, which is the limit: make the image smaller", int64(maxSize))
}

// place assigns blocks to every file, and returns how many are missing.
func (l *Layout) place() (short int64) {
	at := int64(0)
	if l.double = 0; l.growBlocks > 0 {
		at = l.take(at, 1, func(r run) { l.double = r.start })
	}
	for i := range l.tree.dirs.Len() {
		at = l.placeInode(l.tree.dirs.At(i).ino, at)
	}
	at = l.placeSmall(at)
	*l.tree.inode(journalInode) = inode{}
	if l.journal = l.journalFor(l.blocks); l.journal > 0 {
		*l.tree.inode(journalInode) = inode{
			mode: modeRegular | 0o600, links: 1, size: l.journal * blockSize, mtime: l.made,
		}
		at = l.placeInode(journalInode, at)
	}
	for i := lostFoundInode; i < l.tree.inodes.Len(); i++ {
		if n := l.tree.inodes.At(i); n.is(modeRegular) && n.size > 0 {
			at = l.placeInode(uint32(i+1), at)
		}
	}
	l.used = at
	wanted := ceilDiv(l.opts.Free, blockSize)
	if l.used > l.blocks {
		return l.used - l.blocks + wanted
	}
	l.spare = 0
	for group := range l.groups {
		l.spare += l.free(group, l.used)
	}
	return wanted - l.spare
}

// placeSmall assigns blocks to what needs one block each: extended attributes and
// long symlinks.
func (l *Layout) placeSmall(at int64) int64 {
	for i := range l.tree.inodes.Len() {
		n := l.tree.inodes.At(i)
		x := l.tree.extra(n)
		if x == nil {
			continue
		}
		if x.block != "" {
			at = l.take(at, 1, func(r run) { x.at = r.start })
		}
		if x.target != "" {
			at = l.placeInode(uint32(i+1), at)
		}
	}
	return at
}

func (l *Layout) placeInode(ino uint32, at int64) int64 {
	n := l.tree.inode(ino)
	n.start = at
	m := l.mapInode(n)
	return m.next
}

// mapInode returns where an inode's data and extent tree lie.
func (l *Layout) mapInode(n *inode) mapping {
	if !n.hasBlocks() {
		return mapping{}
	}
	return l.mapFile(n.start, l.tree.data(n))
}

// data returns the parts of a file that are not holes.
func (t *tree) data(n *inode) []segment {
	if x := t.extra(n); x != nil && x.data != nil {
		return x.data
	}
	if n.size == 0 {
		return nil
	}
	return []segment{{0, n.blocks()}}
}
