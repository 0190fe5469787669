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
	nameField     = field{0, 100}
	modeField     = field{100, 8}
	uidField      = field{108, 8}
	gidField      = field{116, 8}
	sizeField     = field{124, 12}
	timeField     = field{136, 12}
	checksumField = field{148, 8}
	typeField     = field{156, 1}
	linkField     = field{157, 100}
	magicField    = field{257, 8}
	majorField    = field{329, 8}
	minorField    = field{337, 8}
)

type field struct{ at, size int }

// of is the field in a header block.
func (f field) of(block []byte) []byte { return block[f.at : f.at+f.size] }

// put writes a number and says whether the standard's octal digits were
// enough. If not, it is base 256, as in GNU tar: readers that know no
// extended header know that.
func (f field) put(block []byte, v int64) bool {
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
func (f field) putText(block []byte, s string) bool {
	return copy(f.of(block), s) == len(s)
}

// headerEncoder makes the blocks in front of a file's content. Its memory is used
// again for each file.
type headerEncoder struct {
	blocks  []byte
	records []byte // of the extended header, "x"
}

// typeFlags are the types of file in a header.
var typeFlags = [...]byte{images.Regular: '0', images.HardLink: '1', images.Symlink: '2', images.CharDevice: '3', images.BlockDevice: '4', images.Directory: '5', images.FIFO: '6'}

// encode makes the header of an entry, after an extended one where the
// entry's attributes do not fit into the first. It is valid until the next.
func (h *headerEncoder) encode(e images.Entry) ([]byte, error) { return h.encodeAs(e, nil) }

// encodeAs is encode for a file of which only the given parts follow, unless
// they are nil.
func (h *headerEncoder) encodeAs(e images.Entry, data []images.Extent) ([]byte, error) {
	if int(e.Type) >= len(typeFlags) || typeFlags[e.Type] == 0 {
		return nil, fmt.Errorf("it has the unknown type %d", e.Type)
	}
	var block [blockSize]byte
	h.blocks, h.records = h.blocks[:0], h.records[:0]
	h.names(block[:], e)
	stored := e
	if data != nil {
		stored.Size = sizeOf(data)
	}
	h.numbers(block[:], stored)
	if err := h.xattrs(e.Xattrs); err != nil {
		return nil, err
	}
	var rest []byte
	if data != nil {
		rest = finishSparse(block[:], e.Size, data)
	} else {
		finishBlock(block[:], typeFlags[e.Type])
	}
	if len(h.records) > 0 {
		h.special('x', h.records)
	}
	h.blocks = append(append(h.blocks, block[:]...), rest...)
	return h.blocks, nil
}

// names writes the entry's path and what it links to. What is too long goes
// into headers of GNU's kind, which every tar reads: they hold bytes, while the
// standard's extended headers hold UTF-8, which a name need not be.
func (h *headerEncoder) names(block []byte, e images.Entry) {
	name, link := strings.TrimPrefix(e.Path, "/"), e.Link
	switch {
	case e.Path == "/":
		name = "./"
	case e.Type == images.Directory:
		name += "/"
	case e.Type == images.HardLink:
		link = strings.TrimPrefix(link, "/")
	}
	if !nameField.putText(block, name) {
		h.special('L', append([]byte(name), 0))
	}
	if (e.Type == images.Symlink || e.Type == images.HardLink) && !linkField.putText(block, link) {
		h.special('K', append([]byte(link), 0))
	}
}

// numbers writes owner, mode, size, time and device.
func (h *headerEncoder) numbers(block []byte, e images.Entry) {
	modeField.put(block, int64(e.Mode&0o7777))
	if !uidField.put(block, int64(e.UID)) {
		h.record("uid", strconv.FormatUint(uint64(e.UID), 10))
	}
	if !gidField.put(block, int64(e.GID)) {
		h.record("gid", strconv.FormatUint(uint64(e.GID), 10))
	}
	size := e.Size
	if e.Type != images.Regular {
		size = 0
	}
	if !sizeField.put(block, size) {
		h.record("size", strconv.FormatInt(size, 10))
	}
	modified := e.ModTime
	if modified.IsZero() { // none is known
		modified = time.Unix(0, 0)
	}
	if !timeField.put(block, modified.Unix()) || modified.Nanosecond() != 0 {
		h.record("mtime", paxTime(modified))
	}
	if e.Type == images.CharDevice || e.Type == images.BlockDevice {
		majorField.put(block, int64(e.Major))
		minorField.put(block, int64(e.Minor))
	}
}

// xattrs writes extended attributes, sorted. A "=" in a name would end the
// record's key, and is written as GNU tar does.
func (h *headerEncoder) xattrs(xattrs map[string]string) error {
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
func (h *headerEncoder) record(key, value string) {
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
func (h *headerEncoder) special(kind byte, content []byte) {
	var block [blockSize]byte
	nameField.putText(block[:], "././@LongLink") // by which the old ones know it
	for _, zero := range []field{modeField, uidField, gidField, timeField} {
		zero.put(block[:], 0)
	}
	sizeField.put(block[:], int64(len(content)))
	finishBlock(block[:], kind)
	h.blocks = append(h.blocks, block[:]...)
	h.blocks = append(h.blocks, content...)
	h.blocks = append(h.blocks, make([]byte, padding(int64(len(content))))...)
}

// finishBlock writes what comes last: type, magic and checksum.
func finishBlock(block []byte, kind byte) {
	typeField.of(block)[0] = kind
	magicField.putText(block, "ustar\x0000")
	putChecksum(block)
}

func putChecksum(block []byte) {
	sum, _ := checksums(block)
	checksumField.putText(block, "        ")
	field{checksumField.at, checksumField.size - 1}.put(block, sum) // a blank stays
}
