package ext4

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// ReadFile returns the content of a regular file of a filesystem, without mounting it,
// from its absolute path. No symbolic link is followed. The error wraps
// [fs.ErrNotExist] if there is no such file. A file or a directory on the way to it of
// more than limit bytes is an error, and so is a filesystem with features that those of
// this package and of mke2fs do not have.
//
// The journal is not replayed. So this is for files that were on the disk before the
// filesystem was last mounted.
func ReadFile(r io.ReaderAt, name string, limit int64) ([]byte, error) {
	content, err := readFile(r, name, limit)
	if err != nil {
		return nil, fmt.Errorf("read %s of an ext4 filesystem: %w", name, err)
	}
	return content, nil
}

func readFile(r io.ReaderAt, name string, limit int64) ([]byte, error) {
	v, err := openVolume(r, limit)
	if err != nil {
		return nil, err
	}
	ino, kind := uint32(rootInode), uint16(modeDir)
	for part := range strings.SplitSeq(strings.Trim(name, "/"), "/") {
		if kind != modeDir {
			return nil, fs.ErrNotExist
		}
		entries, _, err := v.content(ino)
		if err != nil {
			return nil, err
		}
		if ino, err = findEntry(entries, part); err != nil {
			return nil, err
		}
		if kind, err = v.kind(ino); err != nil {
			return nil, err
		}
	}
	if kind != modeRegular {
		return nil, errors.New("it is no regular file")
	}
	content, _, err := v.content(ino)
	return content, err
}

// knownIncompat are the features whose filesystems a volume can read, of those that a
// reader must know.
const knownIncompat = incompatFiletype | incompatExtents | incompat64bit | incompatFlexBG | 0x4 | 0x2000 // recover, csum_seed

// volume reads a filesystem. All its reads are whole pages of 4 KiB, or of a block.
type volume struct {
	r                              io.ReaderAt
	limit                          int64
	block, inode, desc, descsBegin int64
	inodes, inodesAGroup           uint32
	left                           int64 // how many blocks may still be read, so that a damaged tree of extents has an end
}

func openVolume(r io.ReaderAt, limit int64) (*volume, error) {
	page := make([]byte, 4096)
	if _, err := r.ReadAt(page, 0); err != nil {
		return nil, err
	}
	super := page[1024:2048]
	u32 := func(off int) uint32 { return binary.LittleEndian.Uint32(super[off:]) }
	u16 := func(off int) uint16 { return binary.LittleEndian.Uint16(super[off:]) }
	if u16(0x38) != superMagic {
		return nil, errors.New("there is no ext4 filesystem")
	}
	if unknown := u32(0x60) &^ knownIncompat; unknown != 0 {
		return nil, fmt.Errorf("it has features that are not known here (%#x)", unknown)
	}
	v := &volume{r: r, limit: limit, inode: int64(u16(0x58)), desc: 32, inodes: u32(0), inodesAGroup: u32(0x28), left: 4*limit/blockSize + 1000}
	if u32(0x60)&incompat64bit != 0 {
		v.desc = int64(u16(0xfe))
	}
	if u32(0x18) != 2 || v.inode < 128 || v.inode > blockSize || blockSize%v.inode != 0 || v.desc < 32 || v.desc > blockSize || blockSize%v.desc != 0 || v.inodesAGroup == 0 {
		return nil, fmt.Errorf("its superblock is not one of a filesystem with blocks of %d bytes", blockSize)
	}
	v.block, v.descsBegin = blockSize, blockSize
	return v, nil
}

// piece reads some bytes that lie in one block.
func (v *volume) piece(at, length int64) ([]byte, error) {
	if v.left--; v.left < 0 {
		return nil, errors.New("its blocks lead nowhere")
	}
	b := make([]byte, v.block)
	if _, err := v.r.ReadAt(b, at/v.block*v.block); err != nil {
		return nil, err
	}
	return b[at%v.block : at%v.block+length], nil
}

// rawInode returns the bytes of an inode.
func (v *volume) rawInode(ino uint32) ([]byte, error) {
	if ino == 0 || ino > v.inodes {
		return nil, fmt.Errorf("there is no inode %d", ino)
	}
	group, index := int64((ino-1)/v.inodesAGroup), int64((ino-1)%v.inodesAGroup)
	d, err := v.piece(v.descsBegin+group*v.desc, v.desc)
	if err != nil {
		return nil, err
	}
	table := int64(binary.LittleEndian.Uint32(d[8:]))
	if v.desc >= 64 {
		table |= int64(binary.LittleEndian.Uint32(d[0x28:])) << 32
	}
	if table > maxSize/v.block {
		return nil, fmt.Errorf("inode %d lies beyond the end", ino)
	}
	return v.piece(table*v.block+index*v.inode, v.inode)
}

// kind returns the type of a file, as in i_mode.
func (v *volume) kind(ino uint32) (uint16, error) {
	n, err := v.rawInode(ino)
	if err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint16(n) & modeType, nil
}

// content reads all of a file or a directory.
func (v *volume) content(ino uint32) (content []byte, kind uint16, err error) {
	n, err := v.rawInode(ino)
	if err != nil {
		return nil, 0, err
	}
	size := int64(binary.LittleEndian.Uint32(n[4:])) | int64(binary.LittleEndian.Uint32(n[0x6c:]))<<32
	if size < 0 || size > v.limit {
		return nil, 0, fmt.Errorf("inode %d has %d bytes, and at most %d are read", ino, size, v.limit)
	}
	if binary.LittleEndian.Uint32(n[0x20:])&flagExtents == 0 {
		return nil, 0, fmt.Errorf("the blocks of inode %d are not listed as extents", ino)
	}
	content = make([]byte, size)
	err = v.fill(content, n[0x28:0x28+60], maxExtentDepth)
	return content, binary.LittleEndian.Uint16(n) & modeType, err
}

// maxExtentDepth is the height of the largest tree of extents that the kernel makes.
const maxExtentDepth = 5

// fill reads what a node of extents lists. Depth is how high its tree may be.
func (v *volume) fill(content, node []byte, depth int) error {
	if binary.LittleEndian.Uint16(node) != extentMagic {
		return errors.New("a node of extents is damaged")
	}
	count, height := int(binary.LittleEndian.Uint16(node[2:])), int(binary.LittleEndian.Uint16(node[6:]))
	if 12+12*count > len(node) || height > depth {
		return errors.New("a node of extents is damaged")
	}
	for i := range count {
		e := node[12+12*i:][:12]
		first := int64(binary.LittleEndian.Uint32(e)) * v.block
		if height == 0 {
			length, start := int64(binary.LittleEndian.Uint16(e[4:])), int64(binary.LittleEndian.Uint16(e[6:]))<<32|int64(binary.LittleEndian.Uint32(e[8:]))
			if length > 1<<15 || first >= int64(len(content)) {
				continue // the blocks are not written yet, and read as zeros
			}
			if err := v.copyBlocks(content[first:], start, length); err != nil {
				return err
			}
			continue
		}
		below, err := v.piece((int64(binary.LittleEndian.Uint16(e[8:]))<<32|int64(binary.LittleEndian.Uint32(e[4:])))*v.block, v.block)
		if err != nil {
			return err
		}
		if err := v.fill(content, below, height-1); err != nil {
			return err
		}
	}
	return nil
}

func (v *volume) copyBlocks(to []byte, start, length int64) error {
	for n := int64(0); n < length && len(to) > 0; n++ {
		b, err := v.piece((start+n)*v.block, v.block)
		if err != nil {
			return err
		}
		to = to[copy(to, b):]
	}
	return nil
}

// findEntry finds a name in a directory, leaf by leaf: the nodes of its index look like
// entries without a file.
func findEntry(entries []byte, name string) (uint32, error) {
	for len(entries) >= 8 {
		ino, length, size := binary.LittleEndian.Uint32(entries), int(binary.LittleEndian.Uint16(entries[4:])), int(entries[6])
		if length < 8 || length > len(entries) || 8+size > length {
			return 0, errors.New("a directory is damaged")
		}
		if ino != 0 && string(entries[8:8+size]) == name {
			return ino, nil
		}
		entries = entries[length:]
	}
	return 0, fs.ErrNotExist
}
