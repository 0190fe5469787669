package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"go.etcd.io/bbolt"

	"cloudlets/images/atomicfile"
)

// Backup writes a copy of the store as it is now. The copy is a store file. The
// store can be used meanwhile.
func (s *File) Backup(ctx context.Context, w io.Writer) error {
	err := s.db.View(func(tx *bbolt.Tx) error {
		_, err := tx.WriteTo(contextWriter{ctx, w})
		return err
	})
	if ctx.Err() != nil { // bbolt does not wrap the writer's error
		err = ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("back up store %s: %w", s.db.Path(), err)
	}
	return nil
}

// contextWriter fails when its context ends.
type contextWriter struct {
	ctx context.Context
	w   io.Writer
}

func (w contextWriter) Write(p []byte) (int, error) {
	if err := w.ctx.Err(); err != nil {
		return 0, err
	}
	return w.w.Write(p)
}

// Restore puts a copy of the store in the file backup into the place of the store
// at path, after prepare has changed the copy. What was there is kept under
// another name, which Restore returns; it is "" if nothing was there. Whenever
// Restore is broken off, either the old store is at path or the whole new one.
//
// The backup must have been checked. No process may have the old store open.
func Restore(ctx context.Context, backup, path string, prepare func(Store) error) (kept string, err error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return "", fmt.Errorf("restore store %s: make its folder: %w", path, err)
	}
	unlock, err := lock(path)
	if err != nil {
		return "", fmt.Errorf("restore store %s: %w", path, err)
	}
	defer unlock()
	part, err := atomicfile.Create(filepath.Dir(path), 0o600)
	if err != nil {
		return "", fmt.Errorf("restore store %s: %w", path, err)
	}
	defer func() { err = errors.Join(err, part.Discard()) }()
	if err := fill(ctx, part.File, backup, prepare); err != nil {
		return "", fmt.Errorf("restore store %s from %s: %w", path, backup, err)
	}
	if kept, err = keep(path); err != nil {
		return "", fmt.Errorf("restore store %s: %w", path, err)
	}
	if err := part.Commit(filepath.Base(path)); err != nil {
		return kept, fmt.Errorf("restore store %s: %w", path, err)
	}
	return kept, nil
}

// fill copies a backup into a file and prepares it.
func fill(ctx context.Context, to *os.File, backup string, prepare func(Store) error) error {
	from, err := os.Open(backup)
	if err != nil {
		return err
	}
	defer from.Close() // it was only read
	if _, err := io.Copy(contextWriter{ctx, to}, from); err != nil {
		return err
	}
	copied, err := OpenFile(to.Name())
	if err != nil {
		return err
	}
	return errors.Join(prepare(copied), copied.Close())
}

// keep gives a file a second name that no other has, and returns it.
func keep(path string) (string, error) {
	for n := 1; ; n++ {
		name := fmt.Sprintf("%s.replaced-%d", path, n)
		err := os.Link(path, name)
		switch {
		case err == nil:
			return name, nil
		case errors.Is(err, os.ErrNotExist):
			return "", nil
		case !errors.Is(err, os.ErrExist):
			return "", err
		}
	}
}
