package tarball

import (
	"encoding/binary"
	"maps"
	"slices"

	"cloudlets/images"
)

// traits are what many files of a tarball have in common.
type traits struct {
	Type         images.Type
	mode         uint32
	uid, gid     uint32
	major, minor uint32
	xattrs       string // packed
}

// sharedTraits are traits as entries have them.
type sharedTraits struct {
	traits
	Xattrs map[string]string
}

// About what memory traits take that no file had before, in bytes: their
// places in list and table; a table of extended attributes, and each of them
// beside name and value.
const (
	traitsCost = 256
	xattrsCost = 320
	xattrCost  = 64
)

// traitList keeps equal traits once, and knows them by their numbers.
type traitList struct {
	list    []sharedTraits
	numbers map[traits]uint32 // only while the index is made
}

// at are the traits of a number.
func (l *traitList) at(i uint32) *sharedTraits { return &l.list[i] }

// add gives an entry's traits their number, and tells the memory that this
// takes, in bytes.
func (l *traitList) add(e *images.Entry) (i uint32, cost int64) {
	t := traits{Type: e.Type, mode: e.Mode, uid: e.UID, gid: e.GID, major: e.Major, minor: e.Minor, xattrs: packXattrs(e.Xattrs)}
	if last := len(l.list) - 1; last >= 0 && l.list[last].traits == t {
		return uint32(last), 0
	}
	if i, ok := l.numbers[t]; ok {
		return i, 0
	}
	if l.numbers == nil {
		l.numbers = map[traits]uint32{}
	}
	i = uint32(len(l.list))
	l.numbers[t] = i
	l.list = append(l.list, sharedTraits{t, unpackXattrs(t.xattrs)})
	cost = traitsCost + int64(len(t.xattrs))
	if len(e.Xattrs) > 0 {
		cost += xattrsCost + xattrCost*int64(len(e.Xattrs))
	}
	return i, cost
}

// packXattrs makes one text of extended attributes: names and values sorted,
// each with its length before it.
func packXattrs(xattrs map[string]string) string {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		for _, text := range [...]string{name, xattrs[name]} {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}
	return string(b)
}

// unpackXattrs are the attributes again, nil for none. They share the packed
// text's memory: those of a header would keep all of the header.
func unpackXattrs(packed string) map[string]string {
	var xattrs map[string]string
	next := func() string {
		length, n := binary.Uvarint([]byte(packed[:min(len(packed), binary.MaxVarintLen64)]))
		text := packed[n : n+int(length)]
		packed = packed[n+int(length):]
		return text
	}
	for packed != "" {
		if xattrs == nil {
			xattrs = map[string]string{}
		}
		name := next()
		xattrs[name] = next()
	}
	return xattrs
}
