package metadata

import (
	"bufio"
	"encoding/base64"
	"io"
	"maps"
	"slices"
	"strconv"

	"cloudlets/images"
)

// header is the first line of every metadata file. The number is the version of
// the format.
const header = "#cloudlet-metadata 1"

// The keywords of the format.
const (
	wordDir   = "dir"
	wordChar  = "char"
	wordBlock = "block"
	wordFIFO  = "fifo"

	xattrKey = "xattr."
)

// WriteTo writes the file in the format that an image has it in.
func (f File) WriteTo(w io.Writer) (int64, error) {
	b := bufio.NewWriterSize(w, 1<<16)
	count := &counter{w: b}
	count.line([]byte(header))
	var line []byte
	for i := range f.records {
		line = f.records[i].appendTo(line[:0])
		count.line(line)
	}
	if count.err == nil {
		count.err = b.Flush()
	}
	return count.n, count.err
}

// Equal reports whether two files have the same records.
func (f File) Equal(other File) bool {
	return slices.EqualFunc(f.records, other.records, func(a, b Record) bool {
		return a.Path == b.Path && a.text() == b.text()
	})
}

// counter writes lines and counts bytes, until one write fails.
type counter struct {
	w   io.Writer
	n   int64
	err error
}

func (c *counter) line(text []byte) {
	if c.err != nil {
		return
	}
	n, err := c.w.Write(append(text, '\n'))
	c.n += int64(n)
	c.err = err
}

// text returns the record's line, without the newline.
func (r *Record) text() string { return string(r.appendTo(nil)) }

func (r *Record) appendTo(b []byte) []byte {
	b = append(b, quote(r.Path, "")...)
	switch r.Type {
	case images.HardLink:
		b = append(b, " link="...)
		return append(b, quote(r.Link, "")...)
	case images.Directory:
		b = append(b, " type="+wordDir...)
	case images.FIFO:
		b = append(b, " type="+wordFIFO...)
	case images.CharDevice:
		b = r.appendDevice(b, wordChar)
	case images.BlockDevice:
		b = r.appendDevice(b, wordBlock)
	}
	b = appendNumber(b, " uid=", r.UID)
	b = appendNumber(b, " gid=", r.GID)
	if r.HasMode {
		b = append(b, " mode=0"...)
		b = strconv.AppendUint(b, uint64(r.Mode), 8)
	}
	for _, name := range slices.Sorted(maps.Keys(r.Xattrs)) {
		b = append(b, ' ')
		b = append(b, xattrKey+quote(name, "=")...)
		b = append(b, '=')
		b = base64.StdEncoding.AppendEncode(b, []byte(r.Xattrs[name]))
	}
	return b
}

func (r *Record) appendDevice(b []byte, word string) []byte {
	b = append(b, " type="+word+" device="...)
	b = strconv.AppendUint(b, uint64(r.Major), 10)
	b = append(b, ',')
	return strconv.AppendUint(b, uint64(r.Minor), 10)
}

// appendNumber writes a number unless it is 0, the default.
func appendNumber(b []byte, key string, n uint32) []byte {
	if n == 0 {
		return b
	}
	return strconv.AppendUint(append(b, key...), uint64(n), 10)
}
