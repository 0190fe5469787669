package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"cloudlets/images"
	"cloudlets/images/cpio"
)

// initPath is the program that a kernel starts in a RAM disk.
const initPath = "/init"

// WriteRAMDisk writes the system as a RAM disk that its kernel boots into: a
// cpio archive in which /init leads to the init entry point, unless the image
// has an /init of its own.
func WriteRAMDisk(ctx context.Context, w io.Writer, s System) error {
	src, err := withInit(ctx, s)
	if err == nil {
		err = cpio.Write(ctx, w, src)
	}
	if err != nil {
		return fmt.Errorf("make a RAM disk of image %s: %w", s.Name, err)
	}
	return nil
}

// withInit is the system's source with an /init.
func withInit(ctx context.Context, s System) (images.Source, error) {
	_, err := s.Tree.Entry(initPath)
	if err == nil {
		return s.Source, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entry, err := s.Manifest.InitEntry(s.Tree, "")
	if err != nil {
		return nil, err
	}
	id, err := s.Identify(ctx)
	if err != nil {
		return nil, err
	}
	return linked{s.Source, images.Entry{Path: initPath, Type: images.Symlink, Mode: 0o777, Link: entry.Path, ModTime: id.Time}}, nil
}

// linked is a source with one more symbolic link in its root.
type linked struct {
	images.Source
	link images.Entry
}

// Walk visits the link last.
func (l linked) Walk(ctx context.Context, visit images.VisitFunc) error {
	if err := l.Source.Walk(ctx, visit); err != nil {
		return err
	}
	return visit(l.link, nil)
}
