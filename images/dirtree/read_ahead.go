//go:build linux

package dirtree

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"

	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// Bounds of what a walk reads ahead.
const (
	aheadBatches = 8
	aheadFiles   = 32        // of a batch
	aheadBytes   = 256 << 10 // of the contents in a batch
	aheadFile    = 64 << 10  // of one content: a larger file is read when it is visited
	aheadWorkers = 3
)

// readAhead reads a directory ahead of the visits. A lister goes
// through the directories and puts their files into batches. Workers look at
// the files of a batch and read the small ones, while the batches wait in
// their order for the visitor, who gives them back to the lister.
type readAhead struct {
	free  chan *batch
	work  chan *batch
	order chan *batch
	// wanted says whether the visitor read the latest content that it was
	// offered: some want only entries.
	wanted atomic.Bool
}

func newReadAhead() *readAhead {
	a := &readAhead{
		free:  make(chan *batch, aheadBatches),
		work:  make(chan *batch, aheadBatches),
		order: make(chan *batch, aheadBatches),
	}
	a.wanted.Store(true)
	for range aheadBatches {
		a.free <- &batch{ready: make(chan struct{}, 1)}
	}
	return a
}

// start starts tasks that read the open directory, and close it at the end. They
// end when ctx does; release then frees what was not visited.
func (a *readAhead) start(ctx context.Context, tasks *sync.WaitGroup, root descriptor) {
	tasks.Go(func() { (&lister{ahead: a}).run(ctx, newSharedDir(root)) })
	for range aheadWorkers {
		tasks.Go(func() {
			for b := range a.work {
				b.look(ctx, a.wanted.Load())
				b.ready <- struct{}{}
			}
		})
	}
}

// release frees what was not visited.
func (a *readAhead) release() {
	for b := range a.order {
		b.release()
	}
}

// sharedDir is an open directory that several files are reached by.
type sharedDir struct {
	descriptor
	users atomic.Int32
}

func newSharedDir(f descriptor) *sharedDir {
	s := &sharedDir{descriptor: f}
	s.users.Store(1)
	return s
}

func (s *sharedDir) use() *sharedDir {
	s.users.Add(1)
	return s
}

// done closes the directory after its last user.
func (s *sharedDir) done() {
	if s.users.Add(-1) == 0 {
		s.Close()
	}
}

// batch is a few files that follow one another in the walk.
type batch struct {
	items   []dirItem
	content []byte        // memory for their contents
	ready   chan struct{} // has a token when a worker is done with it
}

// dirItem is one file of a walk.
type dirItem struct {
	child
	dir     *sharedDir
	entry   images.Entry
	inode   inode
	content []byte // all of it, if it was read ahead
	err     error
}

// release empties the batch.
func (b *batch) release() {
	for i := range b.items {
		if dir := b.items[i].dir; dir != nil {
			dir.done()
		}
	}
	clear(b.items)
	b.items, b.content = b.items[:0], b.content[:0]
}

// look looks at each file of the batch and reads small ones if wanted.
func (b *batch) look(ctx context.Context, wanted bool) {
	for i := range b.items {
		it := &b.items[i]
		if it.err != nil || ctx.Err() != nil {
			continue
		}
		if it.kind == unix.DT_REG && wanted && b.read(it) {
			continue
		}
		it.entry, it.inode, it.err = entryAt(it.dir.descriptor, baseName(it.path), it.path)
		if it.err == nil && (it.entry.Type == images.Directory) != (it.kind == unix.DT_DIR) {
			it.err = errors.New("it became another kind of file while the image was read; try again when nothing changes there")
		}
	}
}

// read opens a regular file, because an open file is cheaper to ask about than
// a path. It reports whether the file is done.
func (b *batch) read(it *dirItem) bool {
	f, err := openAt(it.dir.descriptor, baseName(it.path), fileFlags)
	if err != nil {
		return false // entryAt tells, or whoever reads the content
	}
	defer f.Close()
	var st unix.Stat_t
	if err := unix.Fstat(int(f), &st); err != nil || st.Mode&unix.S_IFMT != unix.S_IFREG {
		return false
	}
	it.inode = inodeOf(&st)
	if it.entry, it.err = newEntry(it.path, &st); it.err == nil {
		it.entry.Xattrs, it.err = xattrsOf(f)
	}
	if it.err == nil && it.inode.names == 1 {
		it.content, it.err = b.readContent(f, it.entry.Size)
	}
	return true
}

// readContent reads a small file into the batch's memory.
func (b *batch) readContent(f descriptor, size int64) ([]byte, error) {
	at := len(b.content)
	if size == 0 || size > aheadFile || size > int64(aheadBytes-at) {
		return nil, nil
	}
	if b.content == nil {
		b.content = make([]byte, 0, aheadBytes)
	}
	end := at
	for end < at+int(size) {
		n, err := f.Read(b.content[end : at+int(size)])
		if err == io.EOF {
			break // it became shorter, as its reader will find
		}
		if err != nil {
			return nil, err
		}
		end += n
	}
	b.content = b.content[:end]
	return b.content[at:end:end], nil
}
