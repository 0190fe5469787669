// Package probe says what is on a disk now: partition tables, filesystems, members of
// arrays and volume groups. [Identify] looks, [Describe] puts it in one line. It writes
// nothing. A disk that cannot be read is an error and never passes for a blank one.
package probe

import (
	"cmp"
	"fmt"
	"io"
	"strings"

	"cloudlets/images/bytesize"
)

const (
	kibi = 1 << 10
	mebi = 1 << 20
)

// Content is a partition table, a filesystem or other data found on a disk.
type Content struct {
	// Partition is the number of the partition that contains it, or 0 for the
	// whole disk.
	Partition int
	// Offset and Size are the extent of that partition or disk, in bytes.
	Offset, Size int64
	// Kind is "gpt" or "mbr" for a partition table, the usual name of a
	// filesystem or other structure (e.g. "ext4", "vfat", "swap", "LVM PV"),
	// [Unrecognised], or "" for a partition in which nothing was found.
	Kind string
	// Label is the filesystem's label, or the partition's name if nothing was
	// found in the partition.
	Label string
	// UUID identifies the content, in the form that its own tools print.
	UUID string
}

// Unrecognised is the kind of data that has no known signature.
const Unrecognised = "unrecognised data"

// Identify reports what is on a disk of size bytes: partition tables, and
// filesystems, RAID members and the like in the whole disk and in each
// partition. An empty result means that the disk is blank: it has no known
// signature, and is all zeros in its first 16 MiB, in its last MiB, and in some 250
// places between them. A disk on which an install broke off counts as blank too, see
// [Unfinished].
//
// Identify accepts arbitrary data. It returns an error only if reading fails.
func Identify(r io.ReaderAt, size int64) ([]Content, error) {
	whole := &area{r: r, size: size}
	found := signatures(whole, 0)
	table, parts := partitions(whole, ownsBootSector(found))
	found = append(found, table...)
	for _, p := range parts {
		a := &area{r: r, off: p.Offset, size: max(0, min(p.Size, size-p.Offset))}
		in := signatures(a, p.Partition)
		if len(in) == 0 {
			in = []Content{p}
		}
		for i := range in {
			in[i].Offset, in[i].Size = p.Offset, p.Size
		}
		found = append(found, in...)
		whole.fail(a.err)
	}
	switch {
	case len(found) > 0 || whole.unfinished() || whole.blank():
	case whole.unfinishedPart():
		found = append(found, Content{Size: size, Kind: PartOfMirror})
	default:
		found = append(found, Content{Size: size, Kind: Unrecognised})
	}
	if whole.err != nil {
		return nil, fmt.Errorf("identify what is on the disk: %w", whole.err)
	}
	return found, nil
}

// Describe describes in one line what is on a disk, e.g. "GPT with 2 partitions: vfat
// 'EFI' 512 MiB, ext4 'root' 7.5 GiB", or "blank".
func Describe(contents []Content) string {
	if len(contents) == 0 {
		return "blank"
	}
	var whole, inside []string
	numbers := map[int]bool{}
	for _, c := range contents {
		if c.Partition == 0 {
			whole = append(whole, c.String())
			continue
		}
		numbers[c.Partition] = true
		inside = append(inside, c.String())
	}
	text := strings.Join(whole, ", ")
	switch len(numbers) {
	case 0:
		return text
	case 1:
		return text + " with 1 partition: " + strings.Join(inside, ", ")
	}
	return fmt.Sprintf("%s with %d partitions: %s", text, len(numbers), strings.Join(inside, ", "))
}

// String returns the kind with label and size, e.g. "ext4 'root' 7.5 GiB".
func (c Content) String() string {
	switch c.Kind {
	case kindGPT, kindMBR:
		return strings.ToUpper(c.Kind)
	}
	text := c.Kind
	if text == "" {
		text = "nothing known"
	}
	if c.Label != "" {
		text += " '" + c.Label + "'"
	}
	return text + " " + bytesize.Binary(c.Size)
}

// area is a disk or one of its partitions. It keeps the first read error. Bytes
// beyond its end read as zeros.
type area struct {
	r         io.ReaderAt
	off, size int64
	err       error
}

// bytes returns n bytes at off. A negative off counts from the end.
func (a *area) bytes(off int64, n int) []byte {
	b := make([]byte, n)
	if off < 0 {
		off += a.size
	}
	if off < 0 || off >= a.size {
		return b
	}
	part := b[:min(int64(n), a.size-off)]
	if got, err := a.r.ReadAt(part, a.off+off); got < len(part) {
		a.fail(cmp.Or(err, io.ErrUnexpectedEOF))
	}
	return b
}

func (a *area) fail(err error) {
	if a.err == nil {
		a.err = err
	}
}

// Contents says in words what is on a disk of size bytes, for a person who decides whether
// it may be lost. The text is "" if the disk is blank, but not if it cannot be read.
func Contents(r io.ReaderAt, size int64) string {
	found, err := Identify(r, size)
	switch {
	case err != nil:
		return "unreadable: " + err.Error()
	case len(found) == 0:
		return ""
	}
	return Describe(found)
}
