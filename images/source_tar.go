package images

import (
	"archive/tar"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"slices"
	"strings"
	"sync"
	"time"
)

// TarSource is a tarball as a [Source]: plain, or compressed with gzip,
// zstd, xz or bzip2. It reads POSIX and GNU archives with long names, sparse
// files and extended attributes.
//
// Names are taken as paths in the image ("./etc", "/etc" and "etc" are the
// same). Directories that the tarball does not name belong to root with mode
// 0755. A tarball that would write outside of the image, name a file twice,
// link to what it does not hold, or that ends without its end mark, is
// refused with the name of the entry.
type TarSource struct {
	name string
	open func() (io.ReadCloser, error)

	mu sync.Mutex
	// late holds the directories whose own entry comes after something in
	// them, or comes again: a walk must know it beforehand. nil is unknown.
	late map[string]Entry
}

var _ Source = (*TarSource)(nil)

// NewTarSource is the tarball in the file at path.
func NewTarSource(path string) *TarSource {
	return &TarSource{name: path, open: func() (io.ReadCloser, error) { return os.Open(path) }}
}

// Walk visits the tarball's entries in their order.
func (s *TarSource) Walk(ctx context.Context, visit VisitFunc) error {
	late, err := s.index(ctx)
	if err != nil {
		return err
	}
	return s.scan(ctx, &tarWalk{visit: visit, late: late, seen: map[string]Type{}})
}

// index reads the tarball once without its contents, to check it and to
// learn what its directories are in the end.
func (s *TarSource) index(ctx context.Context) (map[string]Entry, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.late != nil {
		return s.late, nil
	}
	w := &tarWalk{seen: map[string]Type{}, again: map[string]Entry{}, visit: func(Entry, io.Reader) error { return nil }}
	if err := s.scan(ctx, w); err != nil {
		return nil, err
	}
	s.late = w.again
	return s.late, nil
}

// scan reads the tarball from end to end.
func (s *TarSource) scan(ctx context.Context, w *tarWalk) error {
	file, err := s.open()
	if err != nil {
		return fmt.Errorf("open image: %w", err)
	}
	defer file.Close()
	stream, err := decompress(file)
	if err != nil {
		return fmt.Errorf("unpack image %s: %w", s.name, err)
	}
	defer stream.Close()
	mark := &endMark{r: stream}
	archive := tar.NewReader(mark)
	for ctx.Err() == nil {
		mark.zeros = 0
		h, err := archive.Next()
		if errors.Is(err, io.EOF) {
			return s.end(mark)
		}
		if err != nil {
			return fmt.Errorf("read image %s after %s: %w", s.name, w.last(), err)
		}
		if err := w.header(h, archive); err != nil {
			return s.fail(h, err)
		}
		// What the visitor left unread is read here, so that the zeros
		// seen by Next can only be those of the end mark. The holes of a
		// sparse file would take longer than there is time.
		if isSparse(h) {
			continue
		}
		if _, err := io.Copy(io.Discard, archive); err != nil {
			return fmt.Errorf("read %q of image %s: %w", h.Name, s.name, err)
		}
	}
	return ctx.Err()
}

// isSparse says whether a file's content is kept without its holes.
func isSparse(h *tar.Header) bool {
	if h.Typeflag == tar.TypeGNUSparse {
		return true
	}
	for key := range h.PAXRecords {
		if strings.HasPrefix(key, "GNU.sparse.") {
			return true
		}
	}
	return false
}

// fail names the tarball and the entry, except in the visitor's own errors.
func (s *TarSource) fail(h *tar.Header, err error) error {
	var own *visitError
	if errors.As(err, &own) {
		return own.err
	}
	return fmt.Errorf("entry %q of image %s: %w", h.Name, s.name, err)
}

// visitError carries a visitor's error through unchanged.
type visitError struct{ err error }

func (e *visitError) Error() string { return e.err.Error() }

// maxTrailer bounds what may follow the end of an archive.
const maxTrailer = 64 << 20

// end checks that the archive has its end mark, and reads the rest so that
// the checksums of the compression are checked too.
func (s *TarSource) end(mark *endMark) error {
	if mark.zeros < 1024 {
		return fmt.Errorf("read image %s: the tarball ends without its end mark: it is truncated; make it again: %w", s.name, io.ErrUnexpectedEOF)
	}
	n, err := io.Copy(io.Discard, io.LimitReader(mark, maxTrailer))
	if err != nil {
		return fmt.Errorf("read the end of image %s: %w", s.name, err)
	}
	if n == maxTrailer {
		return fmt.Errorf("read image %s: more than %d bytes follow the tarball's end", s.name, maxTrailer)
	}
	return nil
}

// endMark counts the zero bytes that were read last: an archive ends with
// two blocks of them, 1024 bytes.
type endMark struct {
	r     io.Reader
	zeros int
}

func (m *endMark) Read(p []byte) (int, error) {
	n, err := m.r.Read(p)
	for i := n - 1; i >= 0; i-- {
		if p[i] != 0 {
			m.zeros = n - 1 - i
			return n, err
		}
	}
	m.zeros += n
	return n, err
}

// tarWalk is one pass over a tarball.
type tarWalk struct {
	visit VisitFunc
	late  map[string]Entry // what directories are in the end, if known
	again map[string]Entry // where to note directories that come again, if wanted
	seen  map[string]Type
	path  string // of the latest entry
}

func (w *tarWalk) last() string {
	if w.path == "" {
		return "its start"
	}
	return w.path
}

func (w *tarWalk) header(h *tar.Header, content io.Reader) error {
	if h.Typeflag == tar.TypeXGlobalHeader {
		return nil
	}
	e, err := tarEntry(h)
	if err != nil {
		return err
	}
	w.path = e.Path
	if before, ok := w.seen[e.Path]; ok {
		return w.repeated(e, before)
	}
	if err := w.parents(e); err != nil {
		return err
	}
	if e.Type == HardLink {
		switch target, ok := w.seen[e.Link]; {
		case !ok:
			return fmt.Errorf("is a hard link to %s, which the tarball does not hold before it", e.Link)
		case target == Directory:
			return fmt.Errorf("is a hard link to the directory %s", e.Link)
		}
	}
	if e.Type != Regular {
		content = nil
	}
	return w.emit(e, content)
}

// repeated handles an entry for a path that was there before.
func (w *tarWalk) repeated(e Entry, before Type) error {
	if e.Type != Directory || before != Directory {
		return fmt.Errorf("is there twice: %s was in the tarball before; make the tarball from a directory, without appending to it", e.Path)
	}
	if w.again != nil {
		w.again[e.Path] = e
	}
	return nil
}

// parents sees to it that the directories above an entry were visited.
func (w *tarWalk) parents(e Entry) error {
	if e.Path == "/" {
		return nil
	}
	var missing []string
	for dir := path.Dir(e.Path); ; dir = path.Dir(dir) {
		t, ok := w.seen[dir]
		if ok && t != Directory {
			return fmt.Errorf("is in %s, which is not a directory", dir)
		}
		if ok {
			break
		}
		missing = append(missing, dir)
		if dir == "/" {
			break
		}
	}
	for _, dir := range slices.Backward(missing) {
		if err := w.emit(Entry{Path: dir, Type: Directory, Mode: 0o755, ModTime: time.Unix(0, 0).UTC()}, nil); err != nil {
			return err
		}
	}
	return nil
}

func (w *tarWalk) emit(e Entry, content io.Reader) error {
	w.seen[e.Path] = e.Type
	if final, ok := w.late[e.Path]; ok {
		e = final
	}
	if err := w.visit(e, content); err != nil {
		return &visitError{err}
	}
	return nil
}

// tarEntry turns a header into an entry, or says why it cannot be one.
func tarEntry(h *tar.Header) (Entry, error) {
	p, err := tarPath(h.Name)
	if err != nil {
		return Entry{}, err
	}
	if h.Uid < 0 || h.Gid < 0 || int64(h.Uid) > maxID || int64(h.Gid) > maxID {
		return Entry{}, fmt.Errorf("has the owner %d:%d, which no file can have", h.Uid, h.Gid)
	}
	e := Entry{
		Path: p, Mode: uint32(h.Mode & 0o7777), UID: uint32(h.Uid), GID: uint32(h.Gid),
		ModTime: h.ModTime.UTC(), Xattrs: tarXattrs(h),
	}
	switch h.Typeflag {
	case tar.TypeReg, tar.TypeCont, tar.TypeGNUSparse, 0:
		e.Type, e.Size = Regular, h.Size
	case tar.TypeDir:
		e.Type = Directory
	case tar.TypeSymlink:
		e.Type, e.Link = Symlink, h.Linkname
	case tar.TypeLink:
		e.Type = HardLink
		e.Link, err = tarPath(h.Linkname)
	case tar.TypeChar:
		e.Type = CharDevice
	case tar.TypeBlock:
		e.Type = BlockDevice
	case tar.TypeFifo:
		e.Type = FIFO
	default:
		return Entry{}, fmt.Errorf("is of the unknown type %q", h.Typeflag)
	}
	if e.Type == CharDevice || e.Type == BlockDevice {
		e.Major, e.Minor = uint32(h.Devmajor), uint32(h.Devminor)
	}
	return e, checkEntry(e, err)
}

// maxID is the largest owner that a file can have.
const maxID = 1<<32 - 2

// maxFile is the largest file of an ext4 filesystem, in bytes.
const maxFile = 16 << 40

// checkEntry refuses what no filesystem can hold.
func checkEntry(e Entry, err error) error {
	switch {
	case err != nil:
		return err
	case e.Size > maxFile:
		return fmt.Errorf("is %d bytes long: no filesystem of ours takes more than %d", e.Size, int64(maxFile))
	case e.Path == "/" && e.Type != Directory:
		return errors.New("makes the root something other than a directory")
	case e.Type == Symlink && (e.Link == "" || len(e.Link) > 4095 || strings.ContainsRune(e.Link, 0)):
		return errors.New("is a symbolic link to an impossible path")
	case len(e.Path) > 4095:
		return fmt.Errorf("has a path of %d bytes: no more than 4095 can be opened", len(e.Path))
	}
	for part := range strings.SplitSeq(e.Path, "/") {
		if len(part) > 255 {
			return fmt.Errorf("has a name of %d bytes: no filesystem takes more than 255", len(part))
		}
	}
	return nil
}

// tarPath is the path in the image that a name in a tarball stands for.
func tarPath(name string) (string, error) {
	switch {
	case name == "":
		return "", errors.New("has an empty name")
	case strings.ContainsRune(name, 0):
		return "", errors.New("has a zero byte in its name")
	case slices.Contains(strings.Split(name, "/"), ".."):
		return "", fmt.Errorf("has \"..\" in the name %q: it could leave the image", name)
	}
	return inside(name), nil
}

// tarXattrs reads the extended attributes that PAX records carry.
func tarXattrs(h *tar.Header) map[string]string {
	var xattrs map[string]string
	for key, value := range h.PAXRecords {
		if name, ok := strings.CutPrefix(key, xattrRecord); ok && name != "" {
			if xattrs == nil {
				xattrs = map[string]string{}
			}
			xattrs[name] = value
		}
	}
	return xattrs
}

// xattrRecord begins the PAX records that hold extended attributes.
const xattrRecord = "SCHILY.xattr."
