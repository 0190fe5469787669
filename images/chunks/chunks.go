// Package chunks cuts a long file into chunks of one length, each with its digest, so that
// any part of the file can be fetched alone and checked before it is used. A [Writer] makes
// the digests of what is written, and a [List] has them. The digest of the list stands for
// the whole file.
package chunks

import (
	"bytes"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/binary"
	"errors"
	"fmt"
)

// Size is the length of a chunk in bytes. The last one of a file may be shorter. A Linux
// that reads ahead asks for as much at once (Documentation/admin-guide/sysfs-block,
// read_ahead_kb). A list takes 1/4096 of its file.
const Size = 128 << 10

// MaxLength is the length in bytes of the longest file that a list can have. Its list has
// 8 MiB.
const MaxLength = 32 << 30

const (
	magic  = "cloudlets chunks 1\n"
	header = len(magic) + 8 + 4
)

// List has the digests of a file's chunks. The zero value is that of an empty file.
type List struct {
	length int64
	sums   []byte // SHA-256 digests, one after the other
}

// Length is that of the file, in bytes.
func (l List) Length() int64 { return l.length }

// Count is the number of chunks.
func (l List) Count() int { return len(l.sums) / sha256.Size }

// Place returns where a chunk begins in the file, and how long it is, in bytes. i is less
// than Count.
func (l List) Place(i int) (offset, length int64) {
	offset = int64(i) * Size
	return offset, min(Size, l.length-offset)
}

// ErrDamaged says that bytes are not those of a chunk.
var ErrDamaged = errors.New("its digest is another one")

// Check returns an [ErrDamaged] unless data is the chunk i.
func (l List) Check(i int, data []byte) error {
	got := sha256.Sum256(data)
	if subtle.ConstantTimeCompare(got[:], l.sums[i*sha256.Size:(i+1)*sha256.Size]) != 1 {
		return fmt.Errorf("chunk %d of %d: %w", i, l.Count(), ErrDamaged)
	}
	return nil
}

// MarshalBinary returns the list as bytes: a line with the version, the length of the file
// and that of a chunk, and the digests. Numbers are big-endian.
func (l List) MarshalBinary() ([]byte, error) {
	text := binary.BigEndian.AppendUint64([]byte(magic), uint64(l.length))
	text = binary.BigEndian.AppendUint32(text, Size)
	return append(text, l.sums...), nil
}

// UnmarshalBinary reads what MarshalBinary returns. The list keeps text.
func (l *List) UnmarshalBinary(text []byte) error {
	rest, ok := bytes.CutPrefix(text, []byte(magic))
	if !ok || len(text) < header {
		return errors.New("read a list of chunks: it begins as nothing that this version knows")
	}
	length, size := binary.BigEndian.Uint64(rest), binary.BigEndian.Uint32(rest[8:])
	if size != Size || length > MaxLength {
		return fmt.Errorf("read a list of chunks: it says that a file of %d bytes has chunks of %d: want at most %d bytes, and chunks of %d", length, size, int64(MaxLength), Size)
	}
	sums := rest[8+4:]
	if want := int(length+Size-1) / Size * sha256.Size; len(sums) != want {
		return fmt.Errorf("read a list of chunks: a file of %d bytes has %d bytes of digests, and there are %d: the list was cut off, or is damaged", length, want, len(sums))
	}
	*l = List{int64(length), sums}
	return nil
}

// Writer makes the list of what is written to it. The zero value is ready.
type Writer struct {
	list  List
	chunk [Size]byte
	n     int // bytes of chunk that wait
}

// Write implements io.Writer. It fails only if the file becomes too long.
func (w *Writer) Write(p []byte) (int, error) {
	if w.list.length+int64(len(p)) > MaxLength {
		return 0, fmt.Errorf("make a list of chunks: the file is longer than %d bytes", int64(MaxLength))
	}
	w.list.length += int64(len(p))
	for rest := p; len(rest) > 0; {
		n := copy(w.chunk[w.n:], rest)
		rest = rest[n:]
		if w.n += n; w.n == Size {
			w.end()
		}
	}
	return len(p), nil
}

func (w *Writer) end() {
	sum := sha256.Sum256(w.chunk[:w.n])
	w.list.sums = append(w.list.sums, sum[:]...)
	w.n = 0
}

// List ends the file, and returns its list. Nothing may be written after it.
func (w *Writer) List() List {
	if w.n > 0 {
		w.end()
	}
	return w.list
}
