package ext4

import (
	"context"
	"errors"
	"fmt"
	"io"

	"cloudlets/images"
	"cloudlets/images/bounded"
	"cloudlets/images/disk/sparse"
)

// Write writes the whole filesystem, Size bytes, and reads the image's contents on
// the way. It can be called several times.
func (l *Layout) Write(ctx context.Context, w sparse.Writer) error {
	e := &emitter{
		Layout: l, ctx: ctx, out: newOutput(ctx, w, l.opts.Stale),
		numbers: numbers{lostFoundInode}, descs: l.descriptors(), copies: l.backups(),
	}
	for _, step := range []func() error{e.special, e.directories, e.small, e.journalBlocks, e.files, e.finish} {
		if err := step(); err != nil {
			return fmt.Errorf("write ext4 filesystem: %w", err)
		}
	}
	return nil
}

// emitter writes a layout once, in ascending order of blocks.
type emitter struct {
	*Layout
	ctx     context.Context
	out     *output
	descs   []byte
	copies  []int64 // groups with backups of the superblock
	numbers numbers
	links   int   // hard links seen
	entries int64 // all entries seen
	scratch []byte
	one     bitmap // temporary buffer for a bitmap or another block
}

// advance goes to a block, and writes the fixed metadata on the way there.
func (e *emitter) advance(to int64) error {
	for e.out.at < to {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		group := e.out.at / groupBlocks
		if e.out.at == group*groupBlocks && e.prefix(group) > 0 {
			if err := e.groupPrefix(group); err != nil {
				return err
			}
			continue
		}
		if err := e.out.skip(min(to, e.end(group)) - e.out.at); err != nil {
			return err
		}
	}
	return nil
}

// groupPrefix writes the fixed metadata at the beginning of a group.
func (e *emitter) groupPrefix(group int64) error {
	if err := e.superCopy(group); err != nil {
		return err
	}
	members := e.flexGroups(group)
	for g := group; g < group+members; g++ {
		if err := e.bitmap(e.untouched(g), (*bitmap).putBlocks, g); err != nil {
			return err
		}
	}
	for g := group; g < group+members; g++ {
		if err := e.bitmap(e.usedInodes(g) == 0, (*bitmap).putInodes, g); err != nil {
			return err
		}
	}
	for g := group; g < group+members; g++ {
		if err := e.inodeTable(g); err != nil {
			return err
		}
	}
	return nil
}

// superCopy writes a group's copies of the superblock and the descriptors, if it
// has any.
func (e *emitter) superCopy(group int64) error {
	if hasSuper(group) {
		if err := e.out.blocks(e.superblock(group)); err != nil {
			return err
		}
	}
	switch {
	case e.spread && holdsSpread(group):
		at := group / descsABlock * blockSize
		return e.out.blocks(e.descs[at : at+blockSize])
	case !e.spread && hasSuper(group):
		return e.descCopy(group)
	}
	return nil
}

// descCopy writes all descriptors and the blocks reserved for more. Those of
// the first copy point to the others', which nobody reads.
func (e *emitter) descCopy(group int64) error {
	if err := e.out.blocks(e.descs); err != nil {
		return err
	}
	if group > 0 {
		return e.out.skip(e.growBlocks)
	}
	for i := range e.growBlocks {
		e.putReserved(e.one[:], i, e.copies)
		if err := e.out.blocks(e.one[:]); err != nil {
			return err
		}
	}
	return nil
}

func (e *emitter) bitmap(uninit bool, put func(*bitmap, *Layout, int64), group int64) error {
	if uninit {
		return e.out.skip(1)
	}
	put(&e.one, e.Layout, group)
	return e.out.blocks(e.one[:])
}

// inodeTable writes the inodes of a group that are in use.
func (e *emitter) inodeTable(group int64) error {
	used := e.usedInodes(group)
	buf := e.one[:]
	for i := int64(0); i < used; i += inodesABlock {
		clear(buf)
		for j := i; j < min(i+inodesABlock, used); j++ {
			ino := uint32(group*e.inodesPerGroup + j + 1)
			e.putInode(buf[(j-i)*inodeSize:], ino)
		}
		if err := e.out.blocks(buf); err != nil {
			return err
		}
	}
	return e.out.skip(e.tableBlocks - ceilDiv(used, inodesABlock))
}

// putInode encodes an inode; reserved ones that are not in use stay zero.
func (e *emitter) putInode(r record, ino uint32) {
	var f fields
	switch n := e.tree.inode(ino); {
	case ino == resizeInode && e.double != 0:
		f = e.resizeFields()
	case n.mode == 0:
		return
	default:
		f = e.fieldsOf(n)
	}
	f.ino, f.made = ino, e.made
	f.encode(r, e.seed)
}

func (e *emitter) fieldsOf(n *inode) fields {
	f := fields{inode: *n}
	switch {
	case n.hasBlocks():
		m := e.mapInode(n)
		f.root, f.blocks, f.flags = m.root(), m.data+m.nodes(), flagExtents
	case n.is(modeSymlink):
		copy(f.root[:], e.tree.targets.At(uint32(n.start)))
	case n.is(modeChar), n.is(modeBlock):
		record(f.root[:]).put64(0, uint64(n.size))
	}
	if x := e.tree.extra(n); x != nil {
		f.xattrs = x.inline
		if x.indexed {
			f.flags |= flagIndex
		}
		if x.block != "" {
			f.xattr = x.at
			f.blocks++
		}
	}
	return f
}

// block writes one block at its place.
func (e *emitter) block(at int64, b []byte) error {
	if err := e.advance(at); err != nil {
		return err
	}
	return e.out.blocks(b)
}

func (e *emitter) special() error {
	if e.double == 0 {
		return nil
	}
	return e.block(e.double, e.doubleBlock())
}

func (e *emitter) directories() error {
	for i := range e.tree.dirs.Len() {
		d := e.tree.dirs.At(i)
		m := e.mapInode(e.tree.inode(d.ino))
		crc := inodeSeed(e.seed, d.ino)
		next := blockPlaces(&m)
		err := d.write(e.opts.HashSeed, crc, func(b []byte) error { return e.block(next(), b) })
		if err != nil {
			return err
		}
		if err := e.nodes(&m, crc); err != nil {
			return err
		}
	}
	return nil
}

// blockPlaces yields the numbers of a file's blocks in order.
func blockPlaces(m *mapping) func() int64 {
	extent, block := 0, int64(0)
	return func() int64 {
		if block == m.extents[extent].count {
			extent, block = extent+1, 0
		}
		block++
		return m.extents[extent].start + block - 1
	}
}

// nodes writes the tree of a file's extents.
func (e *emitter) nodes(m *mapping, crc uint32) error {
	for depth, level := range m.levels {
		for _, n := range level {
			if err := e.block(n.at, m.block(depth, n, crc)); err != nil {
				return err
			}
		}
	}
	return nil
}

// small writes extended attributes and long symlinks.
func (e *emitter) small() error {
	for i := range e.tree.inodes.Len() {
		n := e.tree.inodes.At(i)
		x := e.tree.extra(n)
		if x == nil {
			continue
		}
		if x.block != "" {
			b := []byte(x.block)
			sealXattrBlock(b, x.at, e.seed)
			if err := e.block(x.at, b); err != nil {
				return err
			}
		}
		if x.target != "" {
			b := make([]byte, blockSize)
			copy(b, x.target)
			if err := e.block(e.mapInode(n).extents[0].start, b); err != nil {
				return err
			}
		}
	}
	return nil
}

func (e *emitter) journalBlocks() error {
	if e.journal == 0 {
		return nil
	}
	m := e.mapInode(e.tree.inode(journalInode))
	for i, x := range m.extents {
		if err := e.advance(x.start); err != nil {
			return err
		}
		if i == 0 {
			if err := e.out.blocks(e.journalSuper()); err != nil {
				return err
			}
			x.count--
		}
		if err := e.journalLog(x.count); err != nil {
			return err
		}
	}
	return e.nodes(&m, inodeSeed(e.seed, journalInode))
}

// journalLog writes some blocks of the empty log.
func (e *emitter) journalLog(count int64) error {
	if e.opts.LazyJournal {
		return e.out.skip(count)
	}
	return e.out.zeros(count)
}

// files walks the image again, for its contents.
func (e *emitter) files() error {
	if e.source == nil {
		return nil
	}
	if err := e.source.Walk(e.ctx, e.visit); err != nil {
		return err
	}
	if e.entries != e.tree.entries {
		return fmt.Errorf("the image now has %d files instead of %d: %w", e.entries, e.tree.entries, ErrChanged)
	}
	return nil
}

func (e *emitter) visit(entry images.Entry, content io.Reader) error {
	e.entries++
	if entry.Type == images.HardLink {
		if e.links++; e.links > e.tree.links.Len() || *e.tree.links.At(e.links - 1) != entry.Sum() {
			return fmt.Errorf("%s: %w", entry.Path, ErrChanged)
		}
		return nil
	}
	ino := e.numbers.next(entry.Path)
	if int64(ino) > e.tree.last() || e.tree.inode(ino).sum != entry.Sum() {
		return fmt.Errorf("%s: %w", entry.Path, ErrChanged)
	}
	if entry.Type != images.Regular || entry.Size == 0 {
		return nil
	}
	if err := e.content(ino, content); err != nil {
		return fmt.Errorf("%s: %w", entry.Path, err)
	}
	return nil
}

// content writes a file's data and then its tree.
func (e *emitter) content(ino uint32, r io.Reader) error {
	if r == nil {
		return errors.New("the image has no content for it")
	}
	n := e.tree.inode(ino)
	m := e.mapInode(n)
	done := int64(0)
	for _, x := range m.extents {
		if err := e.hole(r, min(x.logical*blockSize, n.size)-done); err != nil {
			return err
		}
		if err := e.advance(x.start); err != nil {
			return err
		}
		done = min((x.logical+x.count)*blockSize, n.size)
		if err := e.out.read(r, done-x.logical*blockSize); err != nil {
			return changedIfShort(err)
		}
	}
	if err := e.hole(r, n.size-done); err != nil {
		return err
	}
	return e.nodes(&m, inodeSeed(e.seed, ino))
}

// hole reads a part that was zero, and checks that it still is.
func (e *emitter) hole(r io.Reader, size int64) error {
	if size > 0 && e.scratch == nil {
		e.scratch = make([]byte, sparse.HoleSize)
	}
	for size > 0 {
		if err := e.ctx.Err(); err != nil {
			return err
		}
		part := e.scratch[:min(size, sparse.HoleSize)]
		if _, err := io.ReadFull(r, part); err != nil {
			return changedIfShort(bounded.NoEOF(err))
		}
		if !sparse.IsZero(part) {
			return ErrChanged
		}
		size -= int64(len(part))
	}
	return nil
}

// changedIfShort turns the error for a file that ends early into [ErrChanged].
func changedIfShort(err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w (%w)", ErrChanged, err)
	}
	return err
}

// finish writes everything after the last file.
func (e *emitter) finish() error {
	if err := e.advance(e.blocks); err != nil {
		return err
	}
	return e.out.flush()
}
