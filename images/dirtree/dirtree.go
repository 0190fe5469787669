// Package dirtree reads a directory as an image.
package dirtree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"cloudlets/images"
	"cloudlets/images/fingerprint"
)

// Dir is a directory as an [images.Ordered]. It opens each file by way of its
// parent directory and follows no links, so that nothing outside of the
// directory is ever read. As a tree it shows each name of a file with several
// names as the file itself.
//
// It leaves out what revision control keeps in the directory: .git and .hg in
// the root, and /.cloudlet/metadata. Deeper ones are content.
type Dir struct {
	root string
}

var _ images.Ordered = (*Dir)(nil)

// Open opens the directory at root.
func Open(root string) (*Dir, error) {
	info, err := os.Stat(root)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	if !info.IsDir() {
		return nil, fmt.Errorf("open image %s: it is not a directory", root)
	}
	return &Dir{root: root}, nil
}

func (d *Dir) fail(what, p string, err error) error {
	return fmt.Errorf("%s %s of image %s: %w", what, p, d.root, err)
}

// errSocket marks a socket, which images leave out.
var errSocket = fmt.Errorf("it is a socket, which no image holds: %w", fs.ErrNotExist)

// errVisitOver is what content gives that is read after its visit.
var errVisitOver = errors.New("the content of a file can be read only until its visit is over")

// vanished says of a file that is not there any more that it was.
func vanished(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("it vanished while the image was read; try again when nothing changes there: %w", err)
	}
	return err
}

// Fingerprint identifies the directory's content by size, times and inode of
// all that is in it.
func (d *Dir) Fingerprint(ctx context.Context) (string, error) { return fingerprint.Path(ctx, d.root) }
