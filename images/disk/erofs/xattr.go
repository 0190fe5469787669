package erofs

import (
	"encoding/binary"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
)

const (
	xattrHeader = 12 // before all attributes of an inode
	xattrEntry  = 4  // before a name
	xattrUnit   = 4
	maxXattrs   = xattrHeader + (math.MaxUint16-1)*xattrUnit
)

// prefixes are the beginnings of names, and the numbers by which the format
// replaces them.
var prefixes = []struct {
	prefix string
	index  uint8
}{
	{"user.", 1}, {"system.posix_acl_access", 2}, {"system.posix_acl_default", 3}, {"trusted.", 4}, {"security.", 6},
}

// encodeXattrs encodes extended attributes as they follow an inode. It returns
// nil if there are none.
func encodeXattrs(all map[string]string) ([]byte, error) {
	if len(all) == 0 {
		return nil, nil
	}
	b := make([]byte, xattrHeader)
	for _, name := range slices.Sorted(maps.Keys(all)) {
		index, rest, ok := cutPrefix(name)
		if !ok {
			return nil, fmt.Errorf("EROFS cannot hold its extended attribute %q: remove it with setfattr -x", name)
		}
		value := all[name]
		if len(value) > math.MaxUint16 {
			return nil, fmt.Errorf("its extended attribute %q has %d bytes: EROFS has at most %d", name, len(value), math.MaxUint16)
		}
		b = append(b, uint8(len(rest)), index)
		b = binary.LittleEndian.AppendUint16(b, uint16(len(value)))
		b = append(append(b, rest...), value...)
		b = append(b, make([]byte, -len(b)&(xattrUnit-1))...)
	}
	if len(b) > maxXattrs {
		return nil, fmt.Errorf("its extended attributes have %d bytes: EROFS has at most %d", len(b), maxXattrs)
	}
	return b, nil
}

// cutPrefix splits a name into the number for its beginning and the rest.
func cutPrefix(name string) (index uint8, rest string, ok bool) {
	for _, p := range prefixes {
		rest, ok := strings.CutPrefix(name, p.prefix)
		// The name of an access control list is a whole prefix. Other names are
		// longer than their prefix, which ends with a dot.
		if ok && (rest != "") == strings.HasSuffix(p.prefix, ".") && len(rest) <= maxName && !strings.Contains(rest, "\x00") {
			return p.index, rest, true
		}
	}
	return 0, "", false
}

// xattrCount converts the length in bytes of what encodeXattrs returned to the
// unit in which an inode stores it.
func xattrCount(length int) uint16 {
	if length == 0 {
		return 0
	}
	return uint16((length-xattrHeader)/xattrUnit + 1)
}
