//go:build unix

package rootfs

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"

	"cloudlets/images"
)

// visitor returns a visit function that writes an entry itself or sends it to a
// worker.
func (w *writer) visitor(ctx context.Context) images.VisitFunc {
	return func(e images.Entry, content io.Reader) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		if err := w.visit(ctx, e, content); err != nil {
			return w.fail("write", e.Path, err)
		}
		return nil
	}
}

func (w *writer) visit(ctx context.Context, e images.Entry, content io.Reader) error {
	switch {
	case e.Type == images.Directory:
		return w.folder(e)
	case e.Type == images.HardLink:
		w.links = append(w.links, e)
		return nil
	case e.Type != images.Regular || e.Size == 0:
		return w.node(&e)
	case content == nil:
		return errors.New("the source has no content for it")
	case e.Size <= smallFile:
		return w.enqueue(ctx, e, content)
	}
	return w.large(ctx, &e, content)
}

// folder makes a directory. Its metadata is set when all its contents are made.
func (w *writer) folder(e images.Entry) error {
	if e.Path != "/" {
		if err := w.dirs.MakeDir(e.Path); err != nil {
			return err
		}
	}
	w.folders = append(w.folders, e)
	w.done(1, 0)
	return nil
}

func (w *writer) node(e *images.Entry) error {
	if w.unprivileged {
		made, lost, err := w.dirs.TryMakeNode(e)
		if err != nil {
			return err
		}
		if !made {
			w.unmade[e.Path] = true
		}
		w.note(e, lost)
	} else if err := w.dirs.MakeNode(e); err != nil {
		return err
	}
	w.done(1, 0)
	return nil
}

// enqueue reads a small file and sends it to a worker.
func (w *writer) enqueue(ctx context.Context, e images.Entry, content io.Reader) error {
	buf, err := w.buffer(ctx)
	if err != nil {
		return err
	}
	buf = slices.Grow(buf[:0], int(e.Size))[:e.Size]
	if err := readFull(content, buf); err != nil {
		return err
	}
	select {
	case w.jobs <- job{entry: e, data: buf}:
		return nil
	case <-ctx.Done(): // the workers may be gone
		return ctx.Err()
	}
}

func (w *writer) buffer(ctx context.Context) ([]byte, error) {
	select {
	case buf := <-w.free:
		return buf, nil
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// large writes a large file in pieces.
func (w *writer) large(ctx context.Context, e *images.Entry, content io.Reader) error {
	buf, err := w.buffer(ctx)
	if err != nil {
		return err
	}
	defer func() { w.free <- buf }()
	buf = slices.Grow(buf[:0], smallFile)[:smallFile]
	f, err := w.dirs.Create(e.Path)
	if err != nil {
		return err
	}
	if err := w.pieces(ctx, f, e, content, buf); err != nil {
		f.Close()
		return err
	}
	if err := w.seal(f, w.dirs, e); err != nil {
		return err
	}
	w.done(1, 0)
	return nil
}

func (w *writer) pieces(ctx context.Context, f File, e *images.Entry, content io.Reader, buf []byte) error {
	if err := f.Truncate(e.Size); err != nil {
		return err
	}
	for at := int64(0); at < e.Size; {
		if err := ctx.Err(); err != nil {
			return err
		}
		piece := buf[:min(int64(len(buf)), e.Size-at)]
		if err := readFull(content, piece); err != nil {
			return err
		}
		if err := f.Write(piece, at); err != nil {
			return err
		}
		at += int64(len(piece))
		w.done(0, int64(len(piece)))
	}
	return nil
}

// readFull fills buf. It is an error if the content ends before buf is full.
func readFull(content io.Reader, buf []byte) error {
	_, err := io.ReadFull(content, buf)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("its content ends before its size: %w", io.ErrUnexpectedEOF)
	}
	return err
}
