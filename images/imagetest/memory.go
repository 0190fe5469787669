// Package imagetest helps tests of images. It has trees in memory, including
// one with one file of each kind, and functions that compare two trees file by
// file.
package imagetest

import (
	"bytes"
	"context"
	"io"
	"slices"
	"time"

	"cloudlets/images"
)

// Memory is a source that a test builds.
type Memory []Item

// Item is one file: its entry, and a function that opens its content if it has
// any.
type Item struct {
	images.Entry
	Open func() io.Reader
}

// Walk visits the files in the order in which they were added.
func (m Memory) Walk(ctx context.Context, visit images.VisitFunc) error {
	for _, f := range m {
		if err := ctx.Err(); err != nil {
			return err
		}
		var r io.Reader
		if f.Open != nil {
			r = f.Open()
		}
		if err := visit(f.Entry, r); err != nil {
			return err
		}
	}
	return nil
}

// Time is the time of files to which a test gives no time.
var Time = time.Date(2024, 2, 29, 12, 34, 56, 789012345, time.UTC)

// Add adds an entry without content. The returned entry may be changed until
// the next one is added.
func (m *Memory) Add(e images.Entry) *images.Entry {
	if e.ModTime.IsZero() {
		e.ModTime = Time
	}
	*m = append(*m, Item{Entry: e})
	return &(*m)[len(*m)-1].Entry
}

// Dir adds a directory.
func (m *Memory) Dir(path string) *images.Entry {
	return m.Add(images.Entry{Path: path, Type: images.Directory, Mode: 0o755})
}

// File adds a regular file.
func (m *Memory) File(path string, content []byte) *images.Entry {
	return m.Reader(path, int64(len(content)), func() io.Reader { return bytes.NewReader(content) })
}

// Reader adds a regular file of size bytes. open returns a new reader of the
// content for each walk.
func (m *Memory) Reader(path string, size int64, open func() io.Reader) *images.Entry {
	e := m.Add(images.Entry{Path: path, Type: images.Regular, Mode: 0o644, Size: size})
	(*m)[len(*m)-1].Open = open
	return e
}

// Holes adds a file of zeros, except for bytes of value one at some offsets,
// which must be ascending.
func (m *Memory) Holes(path string, size int64, ones ...int64) *images.Entry {
	return m.Reader(path, size, func() io.Reader { return Ones(size, ones...) })
}

// Ones returns a reader of size bytes. They are zeros, except for bytes of
// value one at some offsets, which must be ascending.
func Ones(size int64, ones ...int64) io.Reader { return &holeReader{size: size, ones: ones} }

// holeReader is the reader that Ones returns.
type holeReader struct {
	at, size int64
	ones     []int64
}

func (h *holeReader) Read(p []byte) (int, error) {
	if h.at == h.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), h.size-h.at)]
	clear(p)
	i, _ := slices.BinarySearch(h.ones, h.at)
	for ; i < len(h.ones) && h.ones[i] < h.at+int64(len(p)); i++ {
		p[h.ones[i]-h.at] = 1
	}
	h.at += int64(len(p))
	return len(p), nil
}

// Link adds a hard link to a file that was added before.
func (m *Memory) Link(path, target string) {
	m.Add(images.Entry{Path: path, Type: images.HardLink, Link: target})
}

// Symlink adds a symbolic link.
func (m *Memory) Symlink(path, target string) *images.Entry {
	return m.Add(images.Entry{Path: path, Type: images.Symlink, Link: target, Mode: 0o777})
}
