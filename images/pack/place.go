//go:build linux

package pack

import (
	"context"
	"sync"

	"cloudlets/images"
	"cloudlets/images/rootfs"
)

// worker writes the content of frames to files.
type worker struct {
	x    *extractor
	dirs *rootfs.Dirs
	// store are the directories of the Store; nil without one.
	store *rootfs.Dirs
	raw   []byte
}

// frame writes every chunk of a frame to its file. If the digest shows that the
// frame is a hole, it is not even unpacked.
func (w *worker) frame(ctx context.Context, d delivery) error {
	if w.x.toc.isHole(d.frame) {
		return w.place(w.x.toc.chunks[d.frame.first], nil)
	}
	var raw []byte
	if d.packed == nil {
		raw = w.copied(d.frame)
	}
	if raw == nil {
		var err error
		if raw, err = w.x.intact(ctx, d, w.raw); err != nil {
			return err
		}
	}
	w.raw = raw
	for i, c := range w.x.toc.chunksIn(d.frame) {
		data := raw[c.inner : c.inner+c.size]
		w.x.opt.Sums.keep(d.frame.first+int32(i), data)
		if err := w.place(c, data); err != nil {
			return err
		}
	}
	return nil
}

// place writes one chunk. If data is nil, the chunk is a hole.
func (w *worker) place(c chunk, data []byte) error {
	e := &w.x.toc.entries[c.entry]
	var err error
	if e.count == 1 {
		err = w.whole(e, data)
	} else {
		err = w.part(c, e, data)
	}
	if err != nil {
		return failure(w.x.root, w.x.toc, "write", e.Path, err)
	}
	return nil
}

// whole makes a file that has only one chunk.
func (w *worker) whole(e *entry, data []byte) error {
	f, err := w.dirs.Create(e.Path)
	if err != nil {
		return err
	}
	if data == nil {
		err = f.Truncate(e.Size)
	} else {
		err = f.WriteAll(data)
	}
	if err != nil {
		f.Close()
		return err
	}
	return f.Seal(w.dirs, &e.Entry)
}

// target is a file with several chunks, which several workers write at the same
// time.
type target struct {
	mu      sync.Mutex
	file    rootfs.File
	opened  bool
	missing int32 // chunks
}

func (t *target) close() {
	if t.opened {
		t.file.Close()
	}
}

// part writes one chunk of a large file. The first worker makes the file, and
// the last one seals it.
func (w *worker) part(c chunk, e *entry, data []byte) error {
	t := w.x.target(c.entry, e.count)
	f, err := t.create(w.dirs, e)
	if err != nil {
		return err
	}
	if err := f.Write(data, c.off); err != nil {
		return err
	}
	if !w.x.written(c.entry, t) {
		return nil
	}
	return f.Seal(w.dirs, &e.Entry)
}

func (x *extractor) target(i, chunks int32) *target {
	x.mu.Lock()
	defer x.mu.Unlock()
	t := x.open[i]
	if t == nil {
		t = &target{missing: chunks}
		x.open[i] = t
	}
	return t
}

// written notes that a chunk was written, and reports whether it was the last
// one.
func (x *extractor) written(i int32, t *target) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	t.missing--
	if t.missing > 0 {
		return false
	}
	delete(x.open, i)
	return true
}

// create makes the file once, with its full length. Parts that are never
// written become holes.
func (t *target) create(dirs *rootfs.Dirs, e *entry) (rootfs.File, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened {
		return t.file, nil
	}
	f, err := dirs.Create(e.Path)
	if err != nil {
		return f, err
	}
	if err := f.Truncate(e.Size); err != nil {
		f.Close()
		return f, err
	}
	t.file, t.opened = f, true
	return f, nil
}

// makeDirs makes all directories. Until they are finished, only their owner can
// enter them.
func (x *extractor) makeDirs() error {
	dirs := x.root.Dirs()
	defer dirs.Close()
	for _, i := range x.toc.dirs() {
		p := x.toc.entries[i].Path
		if p == "/" {
			continue
		}
		if err := dirs.MakeDir(p); err != nil {
			return failure(x.root, x.toc, "make directory", p, err)
		}
	}
	return nil
}

// makeBare makes the files without content: empty files, symbolic links,
// devices and FIFOs.
func (x *extractor) makeBare(ctx context.Context) error {
	dirs := x.root.Dirs()
	defer dirs.Close()
	for i := range x.toc.entries {
		e := &x.toc.entries[i].Entry
		if e.Type == images.Directory || e.Type == images.HardLink || e.Size > 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := dirs.MakeNode(e); err != nil {
			return failure(x.root, x.toc, "make "+rowTypes[e.Type], e.Path, err)
		}
	}
	return nil
}

// makeLinks makes the hard links. All their targets exist by now.
func (x *extractor) makeLinks(ctx context.Context) error {
	from, to := x.root.Dirs(), x.root.Dirs()
	defer from.Close()
	defer to.Close()
	for i := range x.toc.entries {
		e := &x.toc.entries[i].Entry
		if e.Type != images.HardLink {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := to.Link(from, e.Link, e.Path); err != nil {
			return failure(x.root, x.toc, "link to "+e.Link, e.Path, err)
		}
	}
	return nil
}

// finishDirs sets the metadata of directories, deepest first, so that the time
// of a parent does not change again.
func (x *extractor) finishDirs() error {
	dirs := x.root.Dirs()
	defer dirs.Close()
	list := x.toc.dirs()
	for k := len(list) - 1; k >= 0; k-- {
		e := &x.toc.entries[list[k]].Entry
		if err := dirs.SetMetadata(e); err != nil {
			return failure(x.root, x.toc, "set metadata of", e.Path, err)
		}
	}
	return nil
}
