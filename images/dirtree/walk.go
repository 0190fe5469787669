//go:build linux

package dirtree

import (
	"context"
	"errors"
	"fmt"
	"io"
	"sync"

	"cloudlets/images"
)

// Walk visits the directory depth first, names sorted by their bytes. It
// reads ahead of the visits, within bounds.
func (d *Dir) Walk(ctx context.Context, visit images.VisitFunc) error {
	root, err := d.openRoot()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithCancel(ctx)
	var tasks sync.WaitGroup
	a := newReadAhead()
	a.start(ctx, &tasks, root)
	w := &dirWalk{source: d, ahead: a, visit: visit, links: map[fileID]string{}}
	err = w.run(ctx)
	cancel()
	tasks.Wait()
	a.release()
	return err
}

// dirWalk visits what was read ahead. links holds the first name of each file
// that has several.
type dirWalk struct {
	source *Dir
	ahead  *readAhead
	visit  images.VisitFunc
	links  map[fileID]string
}

func (w *dirWalk) run(ctx context.Context) error {
	for b := range w.ahead.order {
		<-b.ready
		err := w.batch(ctx, b)
		b.release()
		if err != nil {
			return err
		}
		w.ahead.free <- b
	}
	return ctx.Err()
}

// batch visits the files of a batch.
func (w *dirWalk) batch(ctx context.Context, b *batch) error {
	for i := range b.items {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.item(&b.items[i]); err != nil {
			return err
		}
	}
	return nil
}

// item visits one file.
func (w *dirWalk) item(it *dirItem) error {
	if it.err != nil {
		return w.source.fail("read", it.path, vanished(it.err))
	}
	e := it.entry
	if e.Type != images.Directory && it.inode.names > 1 {
		if first, ok := w.links[it.inode.fileID]; ok {
			e.Type, e.Link, e.Size, e.Xattrs, e.Major, e.Minor = images.HardLink, first, 0, nil, 0, 0
			return w.visit(e, nil)
		}
		w.links[it.inode.fileID] = e.Path
	}
	if e.Type != images.Regular {
		return w.visit(e, nil)
	}
	content := &dirContent{item: it, left: e.Size, file: -1}
	defer content.close()
	err := w.visit(e, content)
	if e.Size > 0 {
		w.ahead.wanted.Store(content.touched)
	}
	return err
}

// dirContent reads a file of a walk: what was read ahead, or the file itself,
// opened when it is first read. It gives as many bytes as the file had when
// it was looked at: whoever gets them was told that number.
type dirContent struct {
	item    *dirItem
	left    int64
	at      int
	touched bool
	file    descriptor // or -1
}

func (c *dirContent) Read(p []byte) (int, error) {
	c.touched = true
	if c.item == nil {
		return 0, errVisitOver
	}
	if c.left == 0 {
		return 0, io.EOF
	}
	n, err := c.read(p[:min(int64(len(p)), c.left)])
	c.left -= int64(n)
	if errors.Is(err, io.EOF) && c.left > 0 {
		err = fmt.Errorf("it became shorter while it was read: %w", io.ErrUnexpectedEOF)
	}
	if err != nil && !errors.Is(err, io.EOF) {
		err = fmt.Errorf("read %s: %w", c.item.path, vanished(err))
	}
	return n, err
}

func (c *dirContent) read(p []byte) (int, error) {
	if ahead := c.item.content; ahead != nil {
		n := copy(p, ahead[c.at:])
		c.at += n
		if n == 0 {
			return 0, io.EOF
		}
		return n, nil
	}
	if err := c.open(); err != nil {
		return 0, err
	}
	return c.file.Read(p)
}

// open opens the file, if it is not open.
func (c *dirContent) open() error {
	if c.file >= 0 {
		return nil
	}
	f, err := openAt(c.item.dir.descriptor, baseName(c.item.path), fileFlags)
	if err == nil {
		c.file = f
	}
	return err
}

// close ends the reading.
func (c *dirContent) close() {
	c.item = nil
	if c.file >= 0 {
		c.file.Close()
	}
}
