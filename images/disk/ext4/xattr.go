package ext4

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strings"
)

// Extended attributes lie in the inode if there is room, and else in one block. In
// both, descriptions grow upwards and values grow downwards.
const (
	xattrMagic       = 0xea020000
	xattrDescription = 16 // of an attribute, before its name
	inlineRoom       = inodeSize - 128 - extraSize - 4
	xattrHeader      = 32 // of a block
	xattrChecksum    = 16 // where in it
	xattrEnd         = 4  // zeros between descriptions and values
)

// xattr is an extended attribute in ext4's form.
type xattr struct {
	index uint8 // stands for the beginning of the name
	name  string
	value []byte
}

// prefixes returns the prefixes of names and the numbers that represent them.
var prefixes = [...]struct {
	prefix string
	index  uint8
}{{"user.", 1}, {"trusted.", 4}, {"security.", 6}}

// newXattr splits an attribute's name into its prefix and the rest.
func newXattr(name, value string) (xattr, error) {
	switch name {
	case "system.posix_acl_access", "system.posix_acl_default":
		index := uint8(2)
		if name == "system.posix_acl_default" {
			index = 3
		}
		acl, err := encodeACL(value)
		return xattr{index: index, value: acl}, err
	}
	for _, p := range prefixes {
		if rest, ok := strings.CutPrefix(name, p.prefix); ok && rest != "" && len(rest) <= 255 && !strings.Contains(rest, "\x00") {
			return xattr{p.index, rest, []byte(value)}, nil
		}
	}
	return xattr{}, fmt.Errorf("ext4 cannot hold its extended attribute %q: remove it with setfattr -x", name)
}

// length returns the bytes that an attribute needs.
func (x xattr) length() int { return x.description() + roundUp4(len(x.value)) }

func (x xattr) description() int { return xattrDescription + roundUp4(len(x.name)) }

func roundUp4(n int) int { return (n + 3) &^ 3 }

// encodeXattrs encodes a file's attributes: those that go into the inode, and
// those in a block of their own, which is nil if none is needed.
func encodeXattrs(all map[string]string) (inline, block []byte, err error) {
	var list []xattr
	for _, name := range slices.Sorted(maps.Keys(all)) {
		x, err := newXattr(name, all[name])
		if err != nil {
			return nil, nil, err
		}
		list = append(list, x)
	}
	// The kernel looks things up in a block by this order.
	slices.SortStableFunc(list, func(a, b xattr) int {
		return cmp.Or(cmp.Compare(a.index, b.index), cmp.Compare(len(a.name), len(b.name)), cmp.Compare(a.name, b.name))
	})
	inside, outside := divide(list)
	if need := total(outside); need > blockSize-xattrHeader-xattrEnd {
		return nil, nil, fmt.Errorf("its extended attributes need %d bytes outside of the inode, but ext4 has only %d: remove some", need, blockSize-xattrHeader-xattrEnd)
	}
	if len(inside) > 0 {
		inline = encodeInline(inside)
	}
	if len(outside) > 0 {
		block = encodeXattrBlock(outside)
	}
	return inline, block, nil
}

// divide selects the attributes that fit into the inode.
func divide(list []xattr) (inside, outside []xattr) {
	room := inlineRoom - xattrEnd
	for _, x := range list {
		if x.length() > room {
			outside = append(outside, x)
			continue
		}
		room -= x.length()
		inside = append(inside, x)
	}
	return inside, outside
}

func total(list []xattr) (n int) {
	for _, x := range list {
		n += x.length()
	}
	return n
}

func encodeInline(list []xattr) []byte {
	r := make(record, 4+inlineRoom)
	r.put32(0, xattrMagic)
	putXattrs(r[4:], 0, list)
	return r
}

// encodeXattrBlock makes a block without its checksum, which depends on the block's
// number.
func encodeXattrBlock(list []xattr) []byte {
	r := make(record, blockSize)
	r.put32(0, xattrMagic)
	r.put32(4, 1) // references
	r.put32(8, 1) // blocks
	r.put32(12, putXattrs(r, xattrHeader, list))
	return r
}

// putXattrs writes attributes into r, with descriptions from off on, and returns
// the hash of all of them. Values are located by their offset in r.
func putXattrs(r record, off int, list []xattr) (hash uint32) {
	end := len(r)
	for _, x := range list {
		h, at := x.hash(), 0
		if len(x.value) > 0 {
			end -= roundUp4(len(x.value))
			at = end
			copy(r[at:], x.value)
		}
		r.put8(off, uint8(len(x.name)))
		r.put8(off+1, x.index)
		r.put16(off+2, uint16(at))
		r.put32(off+8, uint32(len(x.value)))
		r.put32(off+12, h)
		copy(r[off+xattrDescription:], x.name)
		off += x.description()
		hash = hash<<16 ^ hash>>16 ^ h
	}
	return hash
}

// hash returns the format's hash of name and value.
func (x xattr) hash() (h uint32) {
	for i := range len(x.name) {
		h = h<<5 ^ h>>27 ^ uint32(x.name[i])
	}
	for v := x.value; len(v) > 0; v = v[min(4, len(v)):] {
		var word uint32
		for i := range min(4, len(v)) {
			word |= uint32(v[i]) << (8 * i)
		}
		h = h<<16 ^ h>>16 ^ word
	}
	return h
}

// sealXattrBlock writes the checksum into a block with a given number.
func sealXattrBlock(r record, at int64, fsSeed uint32) {
	r.put32(xattrChecksum, 0)
	r.put32(xattrChecksum, checksum(checksum64(fsSeed, uint64(at)), r))
}
