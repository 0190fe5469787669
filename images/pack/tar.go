package pack

import (
	"archive/tar"
	"context"
	"fmt"
	"io"
	"strings"

	"cloudlets/images"
)

// xattrRecord is the prefix of PAX records for extended attributes.
const xattrRecord = "SCHILY.xattr."

// tarWriter writes a source as a tar stream, which the press divides into
// frames. It also collects the list of entries. Only one goroutine uses it.
type tarWriter struct {
	press   *press
	tw      *tar.Writer
	scratch []byte
	entries []images.Entry
	index   map[string]int // in entries, by path
	links   map[string]string
}

func newTar(p *press) *tarWriter {
	return &tarWriter{
		press: p, tw: tar.NewWriter(p),
		index: make(map[string]int),
		links: make(map[string]string),
	}
}

func (t *tarWriter) run(ctx context.Context, src images.Source) error {
	visit := func(e images.Entry, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		return t.add(normal(e), content)
	}
	if err := src.Walk(ctx, visit); err != nil {
		return err
	}
	if err := t.tw.Close(); err != nil {
		return err
	}
	return t.press.cut()
}

// normal normalises an entry, since sources may describe the same file in
// different ways.
func normal(e images.Entry) images.Entry {
	e.ModTime = clampTime(e.ModTime)
	if e.Type != images.Regular {
		e.Size = 0
	}
	if e.Type != images.Symlink && e.Type != images.HardLink {
		e.Link = ""
	}
	if e.Type != images.CharDevice && e.Type != images.BlockDevice {
		e.Major, e.Minor = 0, 0
	}
	if e.Type == images.HardLink {
		e.Xattrs = nil // they are the file's
	}
	return e
}

// target returns the name of the file to which a hard link leads, never that of
// another hard link.
func (t *tarWriter) target(e images.Entry) string {
	to := e.Link
	if further, ok := t.links[to]; ok {
		to = further
	}
	t.links[e.Path] = to
	return to
}

// add writes one file.
func (t *tarWriter) add(e images.Entry, content io.Reader) error {
	if e.Type == images.HardLink {
		e.Link = t.target(e)
	}
	if err := t.writeHeader(e); err != nil {
		return err
	}
	i, again := t.index[e.Path]
	switch {
	case !again:
		i = len(t.entries)
		t.index[e.Path] = i
		t.entries = append(t.entries, e)
	case e.Type == images.Directory && t.entries[i].Type == images.Directory:
		t.entries[i] = e // as in tar, the later entry counts
	default:
		return fmt.Errorf("%s occurs twice in the source", e.Path)
	}
	if e.Size == 0 {
		return nil
	}
	return t.writeContent(e, int32(i), content)
}

func (t *tarWriter) writeHeader(e images.Entry) error {
	h := &tar.Header{
		Format: tar.FormatPAX, Name: tarName(e), Mode: int64(e.Mode), Size: e.Size,
		Uid: int(e.UID), Gid: int(e.GID), ModTime: e.ModTime, Linkname: e.Link,
	}
	switch e.Type {
	case images.Regular:
		h.Typeflag = tar.TypeReg
	case images.Directory:
		h.Typeflag = tar.TypeDir
	case images.Symlink:
		h.Typeflag = tar.TypeSymlink
	case images.HardLink:
		h.Typeflag, h.Linkname = tar.TypeLink, relName(e.Link)
	case images.CharDevice, images.BlockDevice:
		h.Typeflag, h.Devmajor, h.Devminor = tar.TypeChar, int64(e.Major), int64(e.Minor)
		if e.Type == images.BlockDevice {
			h.Typeflag = tar.TypeBlock
		}
	case images.FIFO:
		h.Typeflag = tar.TypeFifo
	default:
		return fmt.Errorf("%s has unknown type %d", e.Path, e.Type)
	}
	h.PAXRecords = xattrRecords(e.Xattrs)
	if err := t.tw.WriteHeader(h); err != nil {
		return fmt.Errorf("describe %q in tar: %w", e.Path, err)
	}
	return nil
}

// xattrRecords omits attributes that tar cannot express. Only plain tar loses
// these, because the table of contents has them.
func xattrRecords(xattrs map[string]string) map[string]string {
	if len(xattrs) == 0 {
		return nil
	}
	m := make(map[string]string, len(xattrs))
	for name, value := range xattrs {
		if name != "" && value != "" && !strings.ContainsAny(name, "=\x00") {
			m[xattrRecord+name] = value
		}
	}
	return m
}

// maxPart is how many bytes of a file are read at once.
const maxPart = 256 << 10

// part is room for the next bytes of so many. The pack of a machine's few files has no
// use for much room.
func (t *tarWriter) part(left int64) []byte {
	n := int(min(left, maxPart))
	if len(t.scratch) < n {
		t.scratch = make([]byte, n)
	}
	return t.scratch[:n]
}

// writeContent writes e's content in chunks. Each chunk is completely in one
// frame.
func (t *tarWriter) writeContent(e images.Entry, index int32, content io.Reader) error {
	for off := int64(0); off < e.Size; {
		n := min(e.Size-off, FrameSize)
		if err := t.press.begin(piece{entry: index, off: off, size: int32(n), fileSize: e.Size}); err != nil {
			return err
		}
		for left := n; left > 0; {
			part := t.part(left)
			got, err := io.ReadFull(content, part)
			if err != nil {
				return fmt.Errorf("read %s: %d of %d bytes: %w", e.Path, off+n-left+int64(got), e.Size, err)
			}
			if _, err := t.tw.Write(part); err != nil {
				return err
			}
			left -= int64(got)
		}
		off += n
	}
	return nil
}
