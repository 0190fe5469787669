//go:build linux

package dirtree

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sys/unix"
)

// lister goes through a directory in the order of a walk and hands what it
// finds to a [readAhead] in batches.
type lister struct {
	ahead *readAhead
	dirs  dirReader
	batch *batch
}

// errStopped ends the listing after an error that is told in its place.
var errStopped = errors.New("the listing stopped")

// run lists everything. It returns no error: the visitor meets that of a
// directory in its place among the files, and knows itself when the context
// ended.
func (l *lister) run(ctx context.Context, root *sharedDir) {
	if err := l.put(ctx, root, child{path: "/", kind: unix.DT_DIR}); err == nil {
		_ = l.directory(ctx, root, "/")
	}
	root.done()
	l.hand()
	close(l.ahead.work)
	close(l.ahead.order)
}

// directory lists an open directory and all that is beneath it.
func (l *lister) directory(ctx context.Context, dir *sharedDir, p string) error {
	children, err := l.dirs.read(dir.descriptor, p)
	if err != nil {
		return l.stop(ctx, p, fmt.Errorf("list it: %w", err))
	}
	for _, c := range children {
		if err := l.put(ctx, dir, c); err != nil {
			return err
		}
		if c.kind != unix.DT_DIR {
			continue
		}
		f, err := openAt(dir.descriptor, baseName(c.path), directoryFlags)
		if err != nil {
			return l.stop(ctx, c.path, err)
		}
		inner := newSharedDir(f)
		err = l.directory(ctx, inner, c.path)
		inner.done()
		if err != nil {
			return err
		}
	}
	return nil
}

// put adds a file to the batch.
func (l *lister) put(ctx context.Context, dir *sharedDir, c child) error {
	if err := l.room(ctx); err != nil {
		return err
	}
	l.batch.items = append(l.batch.items, dirItem{child: c, dir: dir.use()})
	return nil
}

// stop hands an error to the visitor, in its place of the walk.
func (l *lister) stop(ctx context.Context, p string, err error) error {
	if err := l.room(ctx); err != nil {
		return err
	}
	l.batch.items = append(l.batch.items, dirItem{child: child{path: p}, err: err})
	return errStopped
}

// room gets a new batch if there is none, or the old one is full.
func (l *lister) room(ctx context.Context) error {
	if l.batch != nil && len(l.batch.items) == aheadFiles {
		l.hand()
	}
	if l.batch != nil {
		return nil
	}
	select {
	case l.batch = <-l.ahead.free:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// hand hands the batch on.
func (l *lister) hand() {
	if l.batch != nil {
		l.ahead.work <- l.batch
		l.ahead.order <- l.batch
		l.batch = nil
	}
}
