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

// archive is a bundle in a tar archive. It knows the position of each file.
type archive struct {
	file  *os.File // the archive, or what it was unpacked to
	files map[string]member
}

// member is one file of an archive. Older archives of docker contain links
// between identical layers.
type member struct {
	off, size int64
	link      string // the name of the target, if it is a link
}

const (
	// maxMembers is the maximum number of files in an archive.
	maxMembers = 100_000
	// maxLinks is the maximum length of a chain of links.
	maxLinks = 8
)

// Close closes the archive.
func (a *archive) Close() error { return a.file.Close() }

// Open opens a member of the archive.
func (a *archive) Open(_ context.Context, name string) (io.ReadCloser, int64, error) {
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

// openArchive lists the files of an archive. If the archive is compressed, it
// is unpacked first.
func openArchive(ctx context.Context, name string, opt Options) (*archive, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, err
	}
	return readArchive(ctx, file, opt)
}

// readArchive lists the files of an archive, which it closes if it fails.
func readArchive(ctx context.Context, file *os.File, opt Options) (*archive, error) {
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

// unpacked returns the archive itself if it is not compressed. Otherwise it
// returns a temporary file without a name that has the unpacked archive.
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

// isPacked reports whether a file is anything but an uncompressed tar archive.
// It leaves the file at its beginning.
func isPacked(file *os.File) (bool, error) {
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return false, err
	}
	_, err = file.Seek(0, io.SeekStart)
	return n < len(head) || string(head[257:262]) != "ustar", err
}

// scan finds the files of the archive.
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
		// The tar reader reads block by block, so the file position is now at
		// the beginning of the content.
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

// memberName returns the clean form of a name.
func memberName(name string) string { return strings.TrimPrefix(path.Clean("/"+name), "/") }
