package pack

import (
	"fmt"
	"slices"
	"strings"

	"cloudlets/images"
)

// TOC is the checked table of contents of a pack. Every path is clean and its
// directory exists, every hard link has a target, and the chunks cover their
// files and lie in their frames without gaps or overlaps. A TOC is immutable,
// and several goroutines may use it.
type TOC struct {
	info    Info
	end     int64 // where the frames end
	entries []entry
	chunks  []chunk // in the order of the pack
	frames  []frame
	byPath  map[string]int32
}

// entry is a file and the range of the TOC's chunks that are its content.
type entry struct {
	images.Entry
	first, count int32
}

// chunk is a piece of a file's content: size bytes at offset off in the file
// and at offset inner in the unpacked frame.
type chunk struct {
	digest      digest
	off         int64
	inner, size int32
	entry       int32
}

// frame is the position of a zstd frame in the pack and the range of the TOC's
// chunks in it. Frames that contain only tar headers are not listed.
type frame struct {
	off, end     int64
	first, count int32
}

// Info returns a summary of the pack.
func (t *TOC) Info() Info { return t.info }

// Entries returns the files in the order of the pack. The caller owns the
// slice.
func (t *TOC) Entries() []images.Entry {
	list := make([]images.Entry, len(t.entries))
	for i := range t.entries {
		list[i] = t.entries[i].Entry
	}
	return list
}

func (t *TOC) chunksOf(e *entry) []chunk   { return t.chunks[e.first : e.first+e.count] }
func (t *TOC) chunksIn(f frame) []chunk    { return t.chunks[f.first : f.first+f.count] }
func (t *TOC) pathOf(c chunk) string       { return t.entries[c.entry].Path }
func (t *TOC) lookup(p string) (int, bool) { i, ok := t.byPath[p]; return int(i), ok }

// addEntry appends a file without content.
func (t *TOC) addEntry(e images.Entry) error {
	if _, twice := t.byPath[e.Path]; twice {
		return fmt.Errorf("%s occurs twice", e.Path)
	}
	t.byPath[e.Path] = int32(len(t.entries))
	t.entries = append(t.entries, entry{Entry: e, first: int32(len(t.chunks))})
	return nil
}

// addChunk appends a chunk to the last file. Its frame reaches from off to end.
func (t *TOC) addChunk(c chunk, off, end int64) error {
	e := &t.entries[len(t.entries)-1]
	c.entry = int32(len(t.entries) - 1)
	if c.size <= 0 || int64(c.inner)+int64(c.size) > maxFrame || c.inner < 0 {
		return fmt.Errorf("chunk of %d bytes at %d of its frame is out of bounds", c.size, c.inner)
	}
	if want := t.coveredOf(e); c.off != want || c.off+int64(c.size) > e.Size {
		return fmt.Errorf("chunk covers %d+%d where %d of %d bytes are covered", c.off, c.size, want, e.Size)
	}
	if err := t.addToFrame(c, off, end); err != nil {
		return err
	}
	t.chunks = append(t.chunks, c)
	e.count++
	return nil
}

// coveredOf returns how many bytes of e its chunks cover so far.
func (t *TOC) coveredOf(e *entry) int64 {
	if e.count == 0 {
		return 0
	}
	c := t.chunks[e.first+e.count-1]
	return c.off + int64(c.size)
}

func (t *TOC) addToFrame(c chunk, off, end int64) error {
	if off < 0 || end <= off || end > t.end || end-off > maxFrame {
		return fmt.Errorf("frame from %d to %d is out of bounds", off, end)
	}
	if n := len(t.frames); n > 0 && t.frames[n-1].off == off {
		f := &t.frames[n-1]
		last := t.chunks[len(t.chunks)-1]
		if f.end != end || c.inner < last.inner+last.size {
			return fmt.Errorf("chunk at %d of the frame at %d overlaps the one before", c.inner, off)
		}
		f.count++
		return nil
	}
	if n := len(t.frames); n > 0 && off < t.frames[n-1].end {
		return fmt.Errorf("frame at %d begins inside the one before", off)
	}
	t.frames = append(t.frames, frame{off: off, end: end, first: int32(len(t.chunks)), count: 1})
	return nil
}

// closeEntry checks that chunks cover the last file completely.
func (t *TOC) closeEntry() error {
	if len(t.entries) == 0 {
		return nil
	}
	e := &t.entries[len(t.entries)-1]
	if got := t.coveredOf(e); e.Type == images.Regular && got != e.Size {
		return fmt.Errorf("%s has chunks for %d of its %d bytes", e.Path, got, e.Size)
	}
	t.info.Bytes += e.Size
	return nil
}

// finish makes the checks that need all files to be known.
func (t *TOC) finish() error {
	t.info.Entries = len(t.entries)
	for i := range t.entries {
		e := &t.entries[i]
		if err := t.checkParent(e.Path); err != nil {
			return err
		}
		if e.Type != images.HardLink {
			continue
		}
		target, ok := t.lookup(e.Link)
		if !ok || t.entries[target].Type == images.HardLink || t.entries[target].Type == images.Directory {
			return fmt.Errorf("%s is a hard link to %s, which is not a file of the pack", e.Path, e.Link)
		}
	}
	return nil
}

func (t *TOC) checkParent(p string) error {
	dir, _ := splitPath(p)
	if dir == "/" {
		return nil
	}
	if i, ok := t.lookup(dir); !ok || t.entries[i].Type != images.Directory {
		return fmt.Errorf("the directory of %s is not in the pack", p)
	}
	return nil
}

// dirs returns the indices of the directories, parents first.
func (t *TOC) dirs() []int {
	var list []int
	for i := range t.entries {
		if t.entries[i].Type == images.Directory {
			list = append(list, i)
		}
	}
	slices.SortFunc(list, func(a, b int) int {
		return strings.Compare(t.entries[a].Path, t.entries[b].Path)
	})
	return list
}

// splitPath splits a clean path into its directory and its last name, which is
// "." for the root.
func splitPath(p string) (dir, base string) {
	i := strings.LastIndexByte(p, '/')
	dir, base = p[:i], p[i+1:]
	if dir == "" {
		dir = "/"
	}
	if base == "" {
		base = "."
	}
	return dir, base
}
