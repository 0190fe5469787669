package fat

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
)

// maxDirectory bounds what Locate reads of a directory, in bytes. FAT allows no more.
const maxDirectory = maxSlots * slotSize

// Locate returns where the first cluster of a file begins on r, which has a
// filesystem from its beginning, and the file's length in bytes. The path is
// slash-separated, and each part of it has at most eight characters and three
// after a dot. A file that this package wrote lies contiguously.
//
// It is for who overwrites a file in place: the error wraps [fs.ErrNotExist] if
// there is no such file.
func Locate(r io.ReaderAt, path string) (off, size int64, err error) {
	v, err := readVolume(r)
	if err != nil {
		return 0, 0, fmt.Errorf("look for %s on a FAT filesystem: %w", path, err)
	}
	off, size, err = v.locate(path)
	if err != nil {
		return 0, 0, fmt.Errorf("look for %s on a FAT filesystem: %w", path, err)
	}
	return off, size, nil
}

// volume is a filesystem that is read.
type volume struct {
	geometry
	r    io.ReaderAt
	root uint32 // FAT32's first cluster of the root directory; 0 with FAT16
}

func readVolume(r io.ReaderAt) (volume, error) {
	b := make([]byte, 512)
	if _, err := r.ReadAt(b, 0); err != nil {
		return volume{}, err
	}
	le := binary.LittleEndian
	v := volume{r: r}
	v.sector, v.reserved = int64(le.Uint16(b[11:])), int64(le.Uint16(b[14:]))
	v.cluster = v.sector * int64(b[13])
	v.sectors = max(int64(le.Uint16(b[19:])), int64(le.Uint32(b[32:])))
	v.tableSize = int64(le.Uint16(b[22:]))
	if v.fat32 = v.tableSize == 0; v.fat32 {
		v.tableSize, v.root = int64(le.Uint32(b[36:])), le.Uint32(b[44:])
	}
	switch {
	case le.Uint16(b[bootSignatureAt:]) != bootSignature, b[16] != tableCount, v.sector < 512, v.sector > 4096, v.sector%512 != 0, v.cluster == 0, v.tableSize == 0:
		return volume{}, errors.New("it has no boot sector of FAT16 or FAT32")
	}
	v.rootSectors = ceilDiv(int64(le.Uint16(b[17:]))*slotSize, v.sector)
	v.clusters = max(v.sectors-v.dataSector(), 0) * v.sector / v.cluster
	return v, nil
}

func (v volume) locate(path string) (off, size int64, err error) {
	dir := v.root
	for parts := strings.Split(path, "/"); ; parts = parts[1:] {
		name, ok := exactShort(strings.ToUpper(parts[0]))
		if !ok {
			return 0, 0, fmt.Errorf("%q is not a short name", parts[0])
		}
		slot, err := v.find(dir, name)
		if err != nil {
			return 0, 0, err
		}
		first := uint32(binary.LittleEndian.Uint16(slot[20:]))<<16 | uint32(binary.LittleEndian.Uint16(slot[26:]))
		isDir := slot[11]&attrDirectory != 0
		if isDir != (len(parts) > 1) {
			return 0, 0, fmt.Errorf("%s is not what it should be: %w", parts[0], fs.ErrNotExist)
		}
		if !v.has(first) {
			return 0, 0, fmt.Errorf("%s begins at cluster %d, which does not exist", parts[0], first)
		}
		if !isDir {
			return v.clusterOffset(first), int64(binary.LittleEndian.Uint32(slot[28:])), nil
		}
		dir = first
	}
}

func (v volume) has(cluster uint32) bool {
	return cluster >= firstCluster && int64(cluster) < firstCluster+v.clusters
}

// find returns the slot with a short name in the directory that begins at a cluster. 0
// is FAT16's root directory.
func (v volume) find(dir uint32, name shortName) ([]byte, error) {
	off, length := v.clusterOffset(dir), v.cluster
	if dir == 0 {
		off, length = (v.reserved+tableCount*v.tableSize)*v.sector, v.rootSectors*v.sector
	} else if !v.has(dir) {
		return nil, fmt.Errorf("a directory begins at cluster %d, which does not exist", dir)
	}
	for read := int64(0); read < maxDirectory; read += length {
		b := make([]byte, min(length, maxDirectory))
		if _, err := v.r.ReadAt(b, off); err != nil {
			return nil, err
		}
		for ; len(b) >= slotSize; b = b[slotSize:] {
			switch {
			case b[0] == 0: // no slot is used from here on
				return nil, fs.ErrNotExist
			case b[11] != attrLongName && b[11]&attrVolume == 0 && string(b[:len(name)]) == string(name[:]):
				return b[:slotSize], nil
			}
		}
		next, err := v.next(dir)
		if err != nil {
			return nil, err
		}
		if dir == 0 || !v.has(next) {
			return nil, fs.ErrNotExist
		}
		dir, off = next, v.clusterOffset(next)
	}
	return nil, fmt.Errorf("a directory has more than %d bytes", maxDirectory)
}

// next returns the cluster after one, or a number that is no cluster's.
func (v volume) next(cluster uint32) (uint32, error) {
	var b [4]byte
	width := int64(2)
	if v.fat32 {
		width = 4
	}
	if _, err := v.r.ReadAt(b[:width], v.reserved*v.sector+int64(cluster)*width); err != nil {
		return 0, err
	}
	return binary.LittleEndian.Uint32(b[:]) & 0x0fffffff, nil
}
