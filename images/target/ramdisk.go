package target

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/cpio"
)

// initPath is the path of the program that a kernel starts in a RAM disk.
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

// withInit returns the system's source with an /init.
func withInit(ctx context.Context, s System) (images.Source, error) {
	_, err := s.Tree.Entry(initPath)
	if err == nil {
		return s.Source, nil
	}
	if !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	entry, err := boot.Init(s.Manifest, s.Tree, "")
	if err != nil {
		return nil, err
	}
	id, err := s.Identify(ctx)
	if err != nil {
		return nil, err
	}
	link := images.Entry{Path: initPath, Type: images.Symlink, Mode: 0o777, Link: entry.Path, ModTime: id.Time}
	return added{s.Source, []addition{{Entry: link}}}, nil
}
