package pack

import (
	"context"
	"sync"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// worker places the content of frames.
type worker struct {
	x    *extractor
	dirs *dirCache
	raw  []byte
}

// frame writes every chunk of a frame to its file. What its digest shows to be
// a hole is not even unpacked.
func (w *worker) frame(ctx context.Context, d delivery) error {
	if w.x.toc.isHole(d.frame) {
		return w.place(w.x.toc.chunks[d.frame.first], nil)
	}
	raw, err := w.x.intact(ctx, d, w.raw)
	if err != nil {
		return err
	}
	w.raw = raw
	for _, c := range w.x.toc.chunksIn(d.frame) {
		if err := w.place(c, raw[c.inner:c.inner+c.size]); err != nil {
			return err
		}
	}
	return nil
}

// place writes one chunk; no data is a hole.
func (w *worker) place(c chunk, data []byte) error {
	e := &w.x.toc.entries[c.entry]
	var err error
	if e.count == 1 {
		err = w.whole(e, data)
	} else {
		err = w.part(c, e, data)
	}
	if err != nil {
		return w.x.root.fail(w.x.toc, "write", e.Path, err)
	}
	return nil
}

// whole makes a file from its only chunk.
func (w *worker) whole(e *entry, data []byte) error {
	dir, base, err := w.dirs.parent(e.Path)
	if err != nil {
		return err
	}
	fd, err := create(dir, base)
	if err != nil {
		return err
	}
	if err := writeData(fd, data, 0); err != nil {
		unix.Close(fd)
		return err
	}
	if endsInHole(data) {
		if err := unix.Ftruncate(fd, e.Size); err != nil {
			unix.Close(fd)
			return err
		}
	}
	return seal(fd, dir, base, &e.Entry)
}

// endsInHole tells whether writeData wrote less than the whole of data.
func endsInHole(data []byte) bool {
	return len(data) == 0 || isZero(data[(len(data)-1)/blockSize*blockSize:])
}

// target is a file of several chunks that several workers write at once.
type target struct {
	mu      sync.Mutex
	fd      int
	opened  bool
	missing int32 // chunks
}

func (t *target) close() {
	if t.opened {
		unix.Close(t.fd)
	}
}

// part writes one chunk of a large file. Whoever comes first makes the file,
// whoever is last seals it.
func (w *worker) part(c chunk, e *entry, data []byte) error {
	dir, base, err := w.dirs.parent(e.Path)
	if err != nil {
		return err
	}
	t := w.x.target(c.entry, e.count)
	fd, err := t.file(dir, base, e.Size)
	if err != nil {
		return err
	}
	if err := writeData(fd, data, c.off); err != nil {
		return err
	}
	if !w.x.written(c.entry, t) {
		return nil
	}
	return seal(fd, dir, base, &e.Entry)
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

// written counts a chunk, and tells whether it was the last.
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

// file opens the target, once, at its full length: what nobody writes is a hole.
func (t *target) file(dir int, base string, size int64) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.opened {
		return t.fd, nil
	}
	fd, err := create(dir, base)
	if err != nil {
		return -1, err
	}
	if err := unix.Ftruncate(fd, size); err != nil {
		unix.Close(fd)
		return -1, err
	}
	t.fd, t.opened = fd, true
	return fd, nil
}

// makeDirs makes all directories, closed to others until they are finished.
func (x *extractor) makeDirs() error {
	dirs := x.root.dirs()
	defer dirs.close()
	for _, i := range x.toc.dirs() {
		p := x.toc.entries[i].Path
		if p == "/" {
			continue
		}
		if err := makeDir(dirs, p); err != nil {
			return x.root.fail(x.toc, "make directory", p, err)
		}
	}
	return nil
}

// makeDir takes a directory that is there already, such as ext4's lost+found,
// for one that it made.
func makeDir(dirs *dirCache, p string) error {
	dir, base, err := dirs.parent(p)
	if err != nil {
		return err
	}
	err = unix.Mkdirat(dir, base, 0o700)
	if err != unix.EEXIST {
		return err
	}
	var st unix.Stat_t
	if err := unix.Fstatat(dir, base, &st, unix.AT_SYMLINK_NOFOLLOW); err != nil {
		return err
	}
	if st.Mode&unix.S_IFMT != unix.S_IFDIR {
		return unix.EEXIST
	}
	return nil
}

// makeBare makes the files without content: empty files, symbolic links,
// devices, FIFOs.
func (x *extractor) makeBare(ctx context.Context) error {
	dirs := x.root.dirs()
	defer dirs.close()
	for i := range x.toc.entries {
		e := &x.toc.entries[i].Entry
		if e.Type == images.Directory || e.Type == images.HardLink || e.Size > 0 {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := x.makeNode(dirs, e); err != nil {
			return x.root.fail(x.toc, "make "+rowTypes[e.Type], e.Path, err)
		}
	}
	return nil
}

func (x *extractor) makeNode(dirs *dirCache, e *images.Entry) error {
	dir, base, err := dirs.parent(e.Path)
	if err != nil {
		return err
	}
	switch e.Type {
	case images.Regular:
		fd, err := create(dir, base)
		if err != nil {
			return err
		}
		return seal(fd, dir, base, e)
	case images.Symlink:
		err = unix.Symlinkat(e.Link, dir, base)
	case images.CharDevice:
		err = unix.Mknodat(dir, base, unix.S_IFCHR|0o600, device(e))
	case images.BlockDevice:
		err = unix.Mknodat(dir, base, unix.S_IFBLK|0o600, device(e))
	case images.FIFO:
		err = unix.Mknodat(dir, base, unix.S_IFIFO|0o600, 0)
	}
	if err != nil {
		return err
	}
	return sealNode(x.root.name+e.Path, dir, base, e)
}

func device(e *images.Entry) int { return int(unix.Mkdev(e.Major, e.Minor)) }

// makeLinks makes the hard links, whose targets are all there by now.
func (x *extractor) makeLinks(ctx context.Context) error {
	from, to := x.root.dirs(), x.root.dirs()
	defer from.close()
	defer to.close()
	for i := range x.toc.entries {
		e := &x.toc.entries[i].Entry
		if e.Type != images.HardLink {
			continue
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := makeLink(from, to, e); err != nil {
			return x.root.fail(x.toc, "link to "+e.Link, e.Path, err)
		}
	}
	return nil
}

func makeLink(from, to *dirCache, e *images.Entry) error {
	oldDir, oldBase, err := from.parent(e.Link)
	if err != nil {
		return err
	}
	newDir, newBase, err := to.parent(e.Path)
	if err != nil {
		return err
	}
	return unix.Linkat(oldDir, oldBase, newDir, newBase, 0)
}

// finishDirs gives directories their metadata, deepest first: a parent's time
// must not change again.
func (x *extractor) finishDirs() error {
	dirs := x.root.dirs()
	defer dirs.close()
	list := x.toc.dirs()
	for k := len(list) - 1; k >= 0; k-- {
		e := &x.toc.entries[list[k]].Entry
		fd, err := dirs.dir(e.Path)
		if err == nil {
			err = setMetadata(fd, fd, ".", e)
		}
		if err != nil {
			return x.root.fail(x.toc, "set metadata of", e.Path, err)
		}
	}
	return nil
}
