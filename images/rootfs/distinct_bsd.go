//go:build unix && !linux

package rootfs

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/text/unicode/norm"

	"cloudlets/images"
)

// distinct returns a source that fails if two of its names are the same for the
// filesystem of dir. Otherwise, e.g., two directories would silently be merged.
func distinct(dir string, src images.Source) images.Source {
	one, err := os.Lstat(dir)
	if err != nil {
		return src // writing will report this error
	}
	other, err := os.Lstat(filepath.Join(filepath.Dir(dir), strings.ToUpper(filepath.Base(dir))))
	if err != nil || !os.SameFile(one, other) {
		return src
	}
	return folded{src}
}

// folded is a source for a filesystem that does not distinguish upper and lower
// case.
type folded struct{ images.Source }

// Walk visits the files of the source. It fails if two of their names differ
// only in case.
func (f folded) Walk(ctx context.Context, visit images.VisitFunc) error {
	names := map[string]string{}
	return f.Source.Walk(ctx, func(e images.Entry, content io.Reader) error {
		key := norm.NFC.String(strings.ToLower(e.Path))
		if first, ok := names[key]; ok && first != e.Path {
			return fmt.Errorf("%s and %s have the same name on this filesystem, which ignores case: name a directory on a filesystem that distinguishes case, or keep the image as a tarball", first, e.Path)
		}
		names[key] = e.Path
		return visit(e, content)
	})
}
