package tarball

import (
	"archive/tar"
	"io"

	"cloudlets/images"
)

// What a source that is made of several tarballs needs of a single one.

// TarEntry is the file that a tarball's header stands for, with an absolute
// path. A header that no filesystem could hold, or whose name leads out of
// the image, is an error that begins with what is wrong: "has an empty name".
func Entry(h *tar.Header) (images.Entry, error) { return tarEntry(h) }

// Decompress reads what r holds, whether it is plain or compressed with gzip,
// zstd, xz or bzip2: the first bytes tell. The caller closes what it gets.
func Decompress(r io.Reader) (io.ReadCloser, error) { return decompress(r) }
