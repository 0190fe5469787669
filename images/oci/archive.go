package oci

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"strings"

	"cloudlets/images/bounded"
	"cloudlets/images/tarball"
	"cloudlets/images/tempfile"
)

// archive is a bundle in a tar archive: where in it each file is.
type archive struct {
	file  *os.File // the archive, or what it was unpacked to
	files map[string]member
}

// member is one file of an archive. Older archives of docker have links
// between layers that are the same.
type member struct {
	off, size int64
	link      string // the name of another, if it is a link
}

const (
	// maxMembers bounds the files of an archive.
	maxMembers = 100_000
	// maxLinks is how many links may lead to a file.
	maxLinks = 8
)

func (a *archive) Close() error { return a.file.Close() }

func (a *archive) open(name string) (io.ReadCloser, int64, error) {
	for range maxLinks {
		m, ok := a.files[name]
		if !ok {
			return nil, 0, fmt.Errorf("%s: %w", name, fs.ErrNotExist)
		}
		if m.link == "" {
			return io.NopCloser(io.NewSectionReader(a.file, m.off, m.size)), m.size, nil
		}
		name = m.link
	}
	return nil, 0, fmt.Errorf("%s: too many links", name)
}

// openArchive lists an archive, for which a compressed one is unpacked.
func openArchive(ctx context.Context, name string, opt Options) (*archive, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	plain, err := unpacked(ctx, file, opt)
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	if plain != file {
		file.Close()
	}
	a := &archive{file: plain, files: map[string]member{}}
	if err := a.scan(ctx); err != nil {
		return nil, errors.Join(err, plain.Close())
	}
	return a, nil
}

// unpacked is the archive itself where it is not compressed, or a temporary
// file without a name.
func unpacked(ctx context.Context, file *os.File, opt Options) (*os.File, error) {
	packed, err := isPacked(file)
	if err != nil || !packed {
		return file, err
	}
	plain, err := tarball.Decompress(bounded.ByContext(ctx, file))
	if err != nil {
		return nil, err
	}
	defer plain.Close()
	temp, err := tempfile.Create(opt.TempDir, "cloudlets-*.tar")
	if err != nil {
		return nil, fmt.Errorf("unpack it: %w", err)
	}
	_, err = io.Copy(temp, bounded.BySize(plain, opt.MaxSize))
	if err == nil {
		_, err = temp.Seek(0, io.SeekStart)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("unpack it: %w", err), temp.Close())
	}
	return temp, nil
}

// isPacked tells whether a file is no tar archive as it is, and leaves it at
// its beginning.
func isPacked(file *os.File) (bool, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return n < len(head) || string(head[257:262]) != "ustar", err
}

// scan finds the files.
func (a *archive) scan(ctx context.Context) error {
	r := tar.NewReader(a.file)
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("read the archive: %w", err)
		}
		// The reader reads block by block, so that the file stands where
		// the content begins.
		off, err := a.file.Seek(0, io.SeekCurrent)
		if err != nil {
			return err
		}
		a.add(h, off)
		if len(a.files) > maxMembers {
			return fmt.Errorf("the archive has more than %d files", maxMembers)
		}
	}
}

func (a *archive) add(h *tar.Header, off int64) {
	name := memberName(h.Name)
	switch h.Typeflag {
	case tar.TypeReg:
		a.files[name] = member{off: off, size: h.Size}
	case tar.TypeSymlink:
		a.files[name] = member{link: memberName(path.Join(path.Dir(name), h.Linkname))}
	case tar.TypeLink:
		a.files[name] = member{link: memberName(h.Linkname)}
	}
}

// memberName is a name without what can be left out.
func memberName(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }
