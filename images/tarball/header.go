package tarball

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloudlets/images"
)

// Where the fields of a header block are, and how long (POSIX.1-2017, pax,
// "ustar Interchange Format").
var (
	tarName     = tarField{0, 100}
	tarMode     = tarField{100, 8}
	tarUID      = tarField{108, 8}
	tarGID      = tarField{116, 8}
	tarSize     = tarField{124, 12}
	tarTime     = tarField{136, 12}
	tarChecksum = tarField{148, 8}
	tarType     = tarField{156, 1}
	tarLink     = tarField{157, 100}
	tarMagic    = tarField{257, 8}
	tarMajor    = tarField{329, 8}
	tarMinor    = tarField{337, 8}
)

type tarField struct{ at, size int }

// of is the field in a header block.
func (f tarField) of(block []byte) []byte { return block[f.at : f.at+f.size] }

// put writes a number and says whether the standard's octal digits were
// enough. If not, it is base 256, as in GNU tar: readers that know no
// extended header know that.
func (f tarField) put(block []byte, v int64) bool {
	field := f.of(block)
	rest := v
	for i := f.size - 2; i >= 0; i-- {
		field[i] = '0' + byte(rest&7)
		rest >>= 3
	}
	field[f.size-1] = 0
	if rest == 0 {
		return true
	}
	for i := f.size - 1; i >= 0; i-- {
		field[i] = byte(v)
		v >>= 8
	}
	field[0] |= 0x80
	return false
}

// putText writes what fits of a text and says whether all did.
func (f tarField) putText(block []byte, s string) bool {
	return copy(f.of(block), s) == len(s)
}

// tarHeader makes the blocks in front of a file's content. Its memory is used
// again for each file.
type tarHeader struct {
	blocks  []byte
	records []byte // of the extended header, "x"
}

// tarTypes are the types of file in a header.
var tarTypes = [...]byte{images.Regular: '0', images.HardLink: '1', images.Symlink: '2', images.CharDevice: '3', images.BlockDevice: '4', images.Directory: '5', images.FIFO: '6'}

// encode makes the header of an entry, after an extended one where the
// entry's attributes do not fit into the first. It is valid until the next.
func (h *tarHeader) encode(e images.Entry) ([]byte, error) {
	if int(e.Type) >= len(tarTypes) || tarTypes[e.Type] == 0 {
		return nil, fmt.Errorf("it has the unknown type %d", e.Type)
	}
	var block [tarBlock]byte
	h.blocks, h.records = h.blocks[:0], h.records[:0]
	h.names(block[:], e)
	h.numbers(block[:], e)
	if err := h.xattrs(e.Xattrs); err != nil {
		return nil, err
	}
	finishBlock(block[:], tarTypes[e.Type])
	if len(h.records) > 0 {
		h.special('x', h.records)
	}
	h.blocks = append(h.blocks, block[:]...)
	return h.blocks, nil
}

// names writes the entry's path and what it links to. What is too long goes
// into headers of GNU's kind, which every tar reads: they hold bytes, while the
// standard's extended headers hold UTF-8, which a name need not be.
func (h *tarHeader) names(block []byte, e images.Entry) {
	name, link := strings.TrimPrefix(e.Path, "/"), e.Link
	switch {
	case e.Path == "/":
		name = "./"
	case e.Type == images.Directory:
		name += "/"
	case e.Type == images.HardLink:
		link = strings.TrimPrefix(link, "/")
	}
	if !tarName.putText(block, name) {
		h.special('L', append([]byte(name), 0))
	}
	if (e.Type == images.Symlink || e.Type == images.HardLink) && !tarLink.putText(block, link) {
		h.special('K', append([]byte(link), 0))
	}
}

// numbers writes owner, mode, size, time and device.
func (h *tarHeader) numbers(block []byte, e images.Entry) {
	tarMode.put(block, int64(e.Mode&0o7777))
	if !tarUID.put(block, int64(e.UID)) {
		h.record("uid", strconv.FormatUint(uint64(e.UID), 10))
	}
	if !tarGID.put(block, int64(e.GID)) {
		h.record("gid", strconv.FormatUint(uint64(e.GID), 10))
	}
	size := e.Size
	if e.Type != images.Regular {
		size = 0
	}
	if !tarSize.put(block, size) {
		h.record("size", strconv.FormatInt(size, 10))
	}
	modified := e.ModTime
	if modified.IsZero() { // none is known
		modified = time.Unix(0, 0)
	}
	if !tarTime.put(block, modified.Unix()) || modified.Nanosecond() != 0 {
		h.record("mtime", paxTime(modified))
	}
	if e.Type == images.CharDevice || e.Type == images.BlockDevice {
		tarMajor.put(block, int64(e.Major))
		tarMinor.put(block, int64(e.Minor))
	}
}

// xattrs writes extended attributes, sorted. A "=" in a name would end the
// record's key, and is written as GNU tar does.
func (h *tarHeader) xattrs(xattrs map[string]string) error {
	if len(xattrs) == 0 {
		return nil
	}
	for _, name := range slices.Sorted(maps.Keys(xattrs)) {
		if name == "" || strings.ContainsRune(name, 0) {
			return fmt.Errorf("it has an extended attribute with the impossible name %q", name)
		}
		h.record(xattrRecord+strings.ReplaceAll(strings.ReplaceAll(name, "%", "%25"), "=", "%3D"), xattrs[name])
	}
	return nil
}

// paxTime is a time as an extended header writes it: seconds since 1970 as a
// decimal number.
func paxTime(t time.Time) string {
	seconds, nanos, sign := t.Unix(), int64(t.Nanosecond()), ""
	if seconds < 0 {
		sign, seconds = "-", -seconds
		if nanos > 0 { // counted upwards from the second below
			seconds, nanos = seconds-1, 1e9-nanos
		}
	}
	text := sign + strconv.FormatInt(seconds, 10)
	if nanos == 0 {
		return text
	}
	digits := strconv.FormatInt(1e9+nanos, 10)[1:] // with the zeros in front
	return text + "." + strings.TrimRight(digits, "0")
}

// record adds "length key=value\n" to the extended header. The length counts
// its own digits.
func (h *tarHeader) record(key, value string) {
	rest := len(key) + len(value) + len(" =\n")
	size := rest + len(strconv.Itoa(rest))
	size = rest + len(strconv.Itoa(size))
	h.records = strconv.AppendInt(h.records, int64(size), 10)
	h.records = append(h.records, ' ')
	h.records = append(h.records, key...)
	h.records = append(h.records, '=')
	h.records = append(h.records, value...)
	h.records = append(h.records, '\n')
}

// special writes a header that says something about the next one.
func (h *tarHeader) special(kind byte, content []byte) {
	var block [tarBlock]byte
	tarName.putText(block[:], "././@LongLink") // by which the old ones know it
	for _, zero := range []tarField{tarMode, tarUID, tarGID, tarTime} {
		zero.put(block[:], 0)
	}
	tarSize.put(block[:], int64(len(content)))
	finishBlock(block[:], kind)
	h.blocks = append(h.blocks, block[:]...)
	h.blocks = append(h.blocks, content...)
	h.blocks = append(h.blocks, make([]byte, padding(int64(len(content))))...)
}

// finishBlock writes what comes last: type, magic and checksum.
func finishBlock(block []byte, kind byte) {
	tarType.of(block)[0] = kind
	tarMagic.putText(block, "ustar\x0000")
	tarChecksum.putText(block, "        ")
	sum := 0
	for _, b := range block {
		sum += int(b)
	}
	tarField{tarChecksum.at, tarChecksum.size - 1}.put(block, int64(sum)) // a blank stays
}
