package pack

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"sort"
	"strings"
	"sync"

	"github.com/klauspost/compress/zstd"

	"cloudlets/images"
)

// Pack gives access to any file of a pack. Several goroutines may use it.
type Pack struct {
	toc      *TOC
	r        io.ReaderAt
	children map[string][]int32 // of directories, sorted by name

	mu     sync.Mutex
	dec    *zstd.Decoder
	recent [keptFrames]decoded
	packed []byte
}

// keptFrames is how many frames stay decoded, so that the files of one are decoded
// only once, and a few small files of an image are read again and again at no cost.
const keptFrames = 4

// decoded is a frame that is decoded.
type decoded struct {
	frame int // its index, from 1; 0 means none
	raw   []byte
}

var (
	_ images.Tree   = (*Pack)(nil)
	_ images.Source = (*Pack)(nil)
)

// Open reads the table of contents of a pack with size bytes. It accepts any
// pack; compare [Pack.Digest] if you expect a certain one.
func Open(r io.ReaderAt, size int64) (*Pack, error) {
	toc, err := fetchTOC(context.Background(), Local{r}, size)
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	dec, err := newDecoder(1)
	if err != nil {
		return nil, fmt.Errorf("open pack: %w", err)
	}
	p := &Pack{toc: toc, r: r, dec: dec, children: make(map[string][]int32)}
	for i := range toc.entries {
		if e := &toc.entries[i]; e.Path != "/" {
			dir := path.Dir(e.Path)
			p.children[dir] = append(p.children[dir], int32(i))
		}
	}
	for _, list := range p.children {
		slices.SortFunc(list, func(a, b int32) int {
			return strings.Compare(toc.entries[a].Path, toc.entries[b].Path)
		})
	}
	return p, nil
}

// Digest returns the pack's digest, "sha256:…".
func (p *Pack) Digest() string { return p.toc.info.Digest }

// Size returns the length of the pack in bytes.
func (p *Pack) Size() int64 { return p.toc.info.Size }

// Info returns a summary of the pack.
func (p *Pack) Info() Info { return p.toc.info }

// TOC returns the table of contents.
func (p *Pack) TOC() *TOC { return p.toc }

// Entry implements [images.Tree].
func (p *Pack) Entry(name string) (images.Entry, error) {
	e, err := p.find("look up", name)
	if err != nil {
		return images.Entry{}, err
	}
	return e.Entry, nil
}

func (p *Pack) find(op, name string) (*entry, error) {
	if i, ok := p.toc.lookup(name); ok {
		return &p.toc.entries[i], nil
	}
	if name == "/" { // every pack has a root, even if its source had no entry for it
		return &entry{Entry: images.Entry{Path: "/", Type: images.Directory, Mode: 0o755, ModTime: clampTime(images.Entry{}.ModTime)}}, nil
	}
	return nil, &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist}
}

// ReadDir implements [images.Tree].
func (p *Pack) ReadDir(name string) ([]images.Entry, error) {
	e, err := p.find("read directory", name)
	if err != nil {
		return nil, err
	}
	if e.Type != images.Directory {
		return nil, &fs.PathError{Op: "read directory", Path: name, Err: fmt.Errorf("it is a %s", rowTypes[e.Type])}
	}
	list := make([]images.Entry, len(p.children[name]))
	for i, j := range p.children[name] {
		list[i] = p.toc.entries[j].Entry
	}
	return list, nil
}

// Open implements [images.Tree]. Everything that the reader returns was checked
// against its digest.
func (p *Pack) Open(name string) (io.ReadCloser, error) {
	e, err := p.find("open", name)
	if err != nil {
		return nil, err
	}
	if e.Type == images.HardLink {
		if e, err = p.find("open", e.Link); err != nil {
			return nil, err
		}
	}
	if e.Type != images.Regular {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("it is a %s, not a regular file", rowTypes[e.Type])}
	}
	return &fileReader{p: p, next: int(e.first), end: int(e.first + e.count)}, nil
}

// Walk implements [images.Source], in the order of the pack.
func (p *Pack) Walk(ctx context.Context, visit images.VisitFunc) error {
	for i := range p.toc.entries {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := &p.toc.entries[i]
		var content io.Reader
		if e.Type == images.Regular {
			content = &fileReader{p: p, next: int(e.first), end: int(e.first + e.count)}
		}
		if err := visit(e.Entry, content); err != nil {
			return err
		}
	}
	return nil
}

// fileReader reads the chunks of one file one after another.
type fileReader struct {
	p         *Pack
	next, end int // chunks
	data      []byte
}

func (f *fileReader) Read(b []byte) (int, error) {
	for len(f.data) == 0 {
		if f.next == f.end {
			return 0, io.EOF
		}
		data, err := f.p.chunkData(f.next)
		if err != nil {
			return 0, fmt.Errorf("read pack %s: %w", f.p.Digest(), err)
		}
		f.data = data
		f.next++
	}
	n := copy(b, f.data)
	f.data = f.data[n:]
	return n, nil
}

func (f *fileReader) Close() error {
	f.next, f.data = f.end, nil
	return nil
}

// chunkData returns the content of chunk i. The caller must not change it.
func (p *Pack) chunkData(i int) ([]byte, error) {
	frames := p.toc.frames
	at := sort.Search(len(frames), func(k int) bool { return int(frames[k].first+frames[k].count) > i })
	c := p.toc.chunks[i]
	p.mu.Lock()
	defer p.mu.Unlock()
	raw, err := p.load(at)
	if err != nil {
		return nil, err
	}
	return raw[c.inner : c.inner+c.size], nil
}

// load returns the content of a frame, which readers may hold for as long as they
// like. The frame that was read last is the first of the recent ones.
func (p *Pack) load(at int) ([]byte, error) {
	found := slices.IndexFunc(p.recent[:], func(d decoded) bool { return d.frame == at+1 })
	if found < 0 {
		f := p.toc.frames[at]
		packed, err := fetchRange(context.Background(), Local{p.r}, p.packed, f.off, f.end-f.off)
		if err != nil {
			return nil, err
		}
		p.packed = packed
		raw, err := p.toc.unpack(p.dec, f, packed, nil)
		if err != nil {
			return nil, err
		}
		found = len(p.recent) - 1
		p.recent[found] = decoded{at + 1, raw}
	}
	newest := p.recent[found]
	copy(p.recent[1:found+1], p.recent[:found])
	p.recent[0] = newest
	return newest.raw, nil
}
