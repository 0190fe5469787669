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

// distinct is a source that is refused if two of its names are the same for
// the filesystem that dir is on: directories would be mixed without a word.
func distinct(dir string, src images.Source) images.Source {
	one, err := os.Lstat(dir)
	if err != nil {
		return src // which writing tells
	}
	other, err := os.Lstat(filepath.Join(filepath.Dir(dir), strings.ToUpper(filepath.Base(dir))))
	if err != nil || !os.SameFile(one, other) {
		return src
	}
	return folded{src}
}

// folded is a source on its way to where upper and lower case are the same.
type folded struct{ images.Source }

// Walk visits the files of the source, of which no two may be called alike.
func (f folded) Walk(ctx context.Context, visit images.VisitFunc) error {
	names := map[string]string{}
	return f.Source.Walk(ctx, func(e images.Entry, content io.Reader) error {
		key := norm.NFC.String(strings.ToLower(e.Path))
		if first, ok := names[key]; ok && first != e.Path {
			return fmt.Errorf("%s and %s have the same name for this filesystem, which does not tell case: name a directory on one that does, or keep the image as a tarball", first, e.Path)
		}
		names[key] = e.Path
		return visit(e, content)
	})
}
