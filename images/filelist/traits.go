package filelist

import (
	"encoding/binary"
	"maps"
	"slices"

	"cloudlets/images"
)

// traits are the properties that many files of an image share.
type traits struct {
	Type         images.Type
	mode         uint32
	uid, gid     uint32
	major, minor uint32
	xattrs       string // packed
}

// sharedTraits are traits with the attributes as entries have them.
type sharedTraits struct {
	traits
	Xattrs map[string]string
}

// About how many bytes of memory new traits take: their places in list and
// table, a map of extended attributes, and each attribute besides its name and
// value.
const (
	traitsCost = 256
	xattrsCost = 320
	xattrCost  = 64
)

// traitList keeps equal traits once, and numbers them.
type traitList struct {
	list    []sharedTraits
	numbers map[traits]uint32 // only while files are added
}

// at returns the traits with a number.
func (l *traitList) at(i uint32) *sharedTraits { return &l.list[i] }

// add returns the number of an entry's traits, and how many bytes of memory they
// take if they are new.
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

// packXattrs makes one text of extended attributes: sorted by name, each name
// and value after its length.
func packXattrs(xattrs map[string]string) string {
	var b []byte
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		for _, text := range [...]string{name, xattrs[name]} {
			b = append(binary.AppendUvarint(b, uint64(len(text))), text...)
		}
	}
	return string(b)
}

// unpackXattrs is the inverse of packXattrs; no attributes are nil. Names and
// values share the packed text's memory, and do not keep a header's alive.
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
