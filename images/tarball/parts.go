package tarball

import "io"

// Decompress reads what r holds, whether it is plain or compressed with gzip,
// zstd, xz or bzip2: the first bytes tell. The caller closes what it gets.
func Decompress(r io.Reader) (io.ReadCloser, error) { return decompress(r) }
