package ext4

import "fmt"

// geometry says where a filesystem's fixed metadata is. Every group begins
// with what is fixed in it, its prefix: a copy of the superblock and the
// descriptors in some, and the bitmaps and inode tables of all its neighbours
// in the first group of each flexible group. The rest is for files, so that
// filling groups from their beginnings leaves no gaps.
type geometry struct {
	blocks         int64
	groups         int64
	descBlocks     int64 // of group descriptors, in each copy
	growBlocks     int64 // reserved after them for more, likewise
	inodesPerGroup int64
	tableBlocks    int64 // of one group's inode table
	flex           int64 // groups whose bitmaps and tables lie together
	// spread says that the descriptors are not together behind each copy of
	// the superblock, but block by block in the groups that they are about
	// (meta_bg): a large filesystem would have hundreds of megabytes of them.
	spread bool
}

const (
	smallFlex         = 16 // mke2fs's own choice
	largeFlex         = 64 // fewer places to write to on a large disk
	largeGroups       = 8 << 10
	maxInodesPerGroup = 8 * blockSize // what one bitmap block can tell of
	pointersABlock    = blockSize / 4
	// leastLastGroup is what a last group must have for files: a smaller
	// one is not worth its metadata.
	leastLastGroup = 64
	// spreadBlocks is the size from which on descriptors are spread: 4 TiB.
	spreadBlocks = 1 << 30
	// maxResizeBlocks is the first size that the resize inode, with its
	// 32-bit block numbers, cannot describe.
	maxResizeBlocks = 1 << 32
)

// newGeometry lays out a filesystem of so many blocks and at least so many
// inodes. Its last group may be too short to be of use; see lastShort.
func newGeometry(blocks, inodes, maxGrow int64) (geometry, error) {
	g := geometry{blocks: blocks, groups: ceilDiv(blocks, groupBlocks), spread: blocks >= spreadBlocks}
	g.descBlocks = ceilDiv(g.groups, descsABlock)
	if !g.spread { // otherwise they can always be added
		g.growBlocks = growBlocks(blocks, g.descBlocks, maxGrow)
	}
	g.inodesPerGroup = roundUp(ceilDiv(inodes, g.groups), inodesABlock)
	if g.inodesPerGroup > maxInodesPerGroup {
		return geometry{}, fmt.Errorf("%w: %d inodes need %d bytes at least", ErrTooSmall, inodes, ceilDiv(inodes, maxInodesPerGroup)*groupBlocks*blockSize)
	}
	g.tableBlocks = g.inodesPerGroup / inodesABlock
	g.flex = smallFlex
	if g.groups >= largeGroups {
		g.flex = largeFlex
	}
	for g.flex > 1 && g.superBlocks(0)+g.flex*(2+g.tableBlocks) > groupBlocks*3/4 {
		g.flex /= 2
	}
	return g, nil
}

// lastShort is how many blocks the last group lacks to be worth its metadata:
// none if it is 0 or less.
func (g *geometry) lastShort() int64 {
	last := g.groups - 1
	return g.prefix(last) + leastLastGroup - (g.blocks - last*groupBlocks)
}

// growBlocks is how many descriptor blocks to reserve for growing.
func growBlocks(blocks, descBlocks, maxGrow int64) int64 {
	most := min(blocks*1024, maxResizeBlocks-1)
	if maxGrow > 0 {
		most = min(maxGrow/blockSize, maxResizeBlocks-1)
	}
	wanted := ceilDiv(ceilDiv(most, groupBlocks), descsABlock) - descBlocks
	return max(0, min(wanted, pointersABlock))
}

// hasSuper says whether a group has a copy of the superblock: 0, 1 and the
// powers of 3, 5 and 7 (sparse_super).
func hasSuper(group int64) bool {
	return group <= 1 || group%2 == 1 && (isPower(group, 3) || isPower(group, 5) || isPower(group, 7))
}

func isPower(n, base int64) bool {
	for n%base == 0 {
		n /= base
	}
	return n == 1
}

// backups lists the groups with copies of the superblock, but not the first.
func (g *geometry) backups() []int64 {
	var list []int64
	for group := int64(1); group < g.groups; group++ {
		if hasSuper(group) {
			list = append(list, group)
		}
	}
	return list
}

// superBlocks is how much of a group the superblock and descriptors take.
func (g *geometry) superBlocks(group int64) (n int64) {
	if g.spread && holdsSpread(group) {
		n++
	}
	if hasSuper(group) {
		n++
		if !g.spread {
			n += g.descBlocks + g.growBlocks
		}
	}
	return n
}

// holdsSpread says whether a group has one of the three copies of its
// neighbours' descriptors: it is the first, the second or the last of them.
func holdsSpread(group int64) bool {
	i := group % descsABlock
	return i <= 1 || i == descsABlock-1
}

// flexGroups counts the groups whose metadata lies in this one: none, unless
// it is the first of a flexible group.
func (g *geometry) flexGroups(group int64) int64 {
	if group%g.flex != 0 || group >= g.groups {
		return 0
	}
	return min(g.flex, g.groups-group)
}

// prefix is how many blocks at a group's beginning are not for files.
func (g *geometry) prefix(group int64) int64 {
	return g.superBlocks(group) + g.flexGroups(group)*(2+g.tableBlocks)
}

// end is the block after a group's last.
func (g *geometry) end(group int64) int64 {
	return min((group+1)*groupBlocks, g.blocks)
}

// tables are the places of a group's bitmaps and inode table.
type tables struct{ blockBitmap, inodeBitmap, inodeTable int64 }

func (g *geometry) tables(group int64) tables {
	first := group - group%g.flex
	n, i := g.flexGroups(first), group-first
	base := first*groupBlocks + g.superBlocks(first)
	return tables{
		blockBitmap: base + i,
		inodeBitmap: base + n + i,
		inodeTable:  base + 2*n + i*g.tableBlocks,
	}
}

// run is some blocks in a row.
type run struct{ start, count int64 }

// next finds the blocks for files at or after a block, as far as they go in
// one group. The geometry goes on beyond its end, so that what does not fit
// can be measured.
func (g *geometry) next(block int64) run {
	group := block / groupBlocks
	start := max(block, group*groupBlocks+g.prefix(group))
	return run{start, (group+1)*groupBlocks - start}
}

// take allocates count blocks from a block on, calls each with the runs that
// they lie in, adjoining ones joined, and returns the block after them.
func (g *geometry) take(block, count int64, each func(run)) int64 {
	var held run
	for count > 0 {
		r := g.next(block)
		r.count = min(r.count, count)
		count -= r.count
		block = r.start + r.count
		if held.count > 0 && held.start+held.count == r.start {
			held.count += r.count
			continue
		}
		if held.count > 0 {
			each(held)
		}
		held = r
	}
	if held.count > 0 {
		each(held)
	}
	return block
}

// free counts a group's blocks that nobody has, when files have all up to
// used.
func (g *geometry) free(group, used int64) int64 {
	start := max(used, group*groupBlocks+g.prefix(group))
	return max(0, g.end(group)-start)
}
