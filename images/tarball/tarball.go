// Package tarball is an image that is a tar archive, compressed or not.
package tarball

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"sync"

	"cloudlets/images"
	"cloudlets/images/fingerprint"
)

// DefaultMaxSize is what a tarball may unpack to where [Tarball.MaxSize]
// says nothing: 64 GiB.
const DefaultMaxSize = 64 << 30

// TarSource is a tarball as a [images.Source]: plain, or compressed with gzip,
// zstd, xz or bzip2. It reads POSIX, GNU and older archives with long names,
// sparse files and extended attributes.
//
// It is what extracting the tarball into an empty directory leaves: where a
// name comes again, the later entry counts, and a hard link to the earlier
// file keeps that. Names are taken as paths in the image ("./etc", "/etc" and
// "etc" are the same). Directories that the tarball does not name belong to
// root with mode 0755. A tarball that would write outside of the image, link
// to what it does not hold, or that ends without its end mark, is refused
// with the name of the entry, before anything of it is visited.
//
// Its methods may be called by several goroutines at once.
type Tarball struct {
	// MaxSize bounds what the tarball may unpack to, in bytes: the archive
	// itself and, apart from it, all its files together, holes included. 0 is
	// [DefaultMaxSize].
	MaxSize int64
	// TempDir is where an archive is unpacked that must be read at random;
	// "" is [os.TempDir]. Nothing there has a name, or stays.
	TempDir string

	name string // in errors
	path string // of its file; "" is a stream
	// stream is what has no file, until it was read.
	stream io.Reader

	mu sync.Mutex
	// plain is the archive where it can be read at random: the tarball's own
	// file, or what it was unpacked to.
	plain *os.File
	size  int64 // of plain, in bytes
	index *tarIndex
	state string // of the file when the index was made
}

var _ images.Source = (*Tarball)(nil)

// NewTarSource is the tarball in the file at path.
func New(path string) *Tarball { return &Tarball{name: path, path: path} }

// NewTarStream is the tarball that r reads, once: whatever asks first has it
// unpacked into a temporary file. The name stands in errors. The caller
// closes the source.
func NewStream(name string, r io.Reader) *Tarball { return &Tarball{name: name, stream: r} }

func (s *Tarball) maxSize() int64 {
	if s.MaxSize > 0 {
		return s.MaxSize
	}
	return DefaultMaxSize
}

// Walk visits the tarball's files in their order. A compressed one is
// unpacked twice for it, first to check it and learn what is in it.
func (s *Tarball) Walk(ctx context.Context, visit images.VisitFunc) error {
	index, err := s.load(ctx, false)
	if err != nil {
		return err
	}
	in, err := s.again(ctx)
	if err != nil {
		return err
	}
	defer in.Close()
	cursor, entries := newTarCursor(in), tarEntries{index: index}
	for i := range index.walk() {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := entries.entry(i)
		var content io.Reader
		if e.Type == images.Regular {
			if _, err := cursor.content(index.file(i).at, e.Size); err != nil {
				return fmt.Errorf("read %s of image %s: %w", e.Path, s.name, err)
			}
			content = cursor.archive
		}
		if err := visit(e, content); err != nil {
			return err
		}
	}
	return nil
}

// Tree is random access to the tarball's files, and a walk in canonical
// order. A compressed tarball is unpacked into a temporary file for it, which
// is there until [Tarball.Close].
func (s *Tarball) Tree(ctx context.Context) (images.Ordered, error) {
	index, err := s.load(ctx, true)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plain == nil {
		return nil, fmt.Errorf("read image %s: %w", s.name, os.ErrClosed)
	}
	return &tarTree{name: s.name, index: index, file: s.plain, size: s.size}, nil
}

// Close lets go of the tarball and of what it was unpacked to. Trees made of
// it cannot open files any more. A stream cannot be read again.
func (s *Tarball) Close() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plain == nil {
		return nil
	}
	err := s.plain.Close()
	s.plain = nil
	return err
}

// load reads the whole tarball, once, to check it and to learn what is in
// it; for random access it sees to it that there is the plain archive.
func (s *Tarball) load(ctx context.Context, random bool) (*tarIndex, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.index != nil && (s.plain != nil || !random && s.path != "") {
		return s.index, nil
	}
	in, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	defer in.Close()
	if s.index == nil || in.file == nil || in.state != s.state {
		err = s.read(ctx, in, random || s.path == "")
	}
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", s.name, err)
	}
	if in.file != nil && random {
		s.plain, s.size, in.own = in.own, in.file.Size(), nil
	}
	return s.index, nil
}

// read reads the tarball from end to end. What is compressed is kept in a
// temporary file if it is to be random.
func (s *Tarball) read(ctx context.Context, in *tarInput, random bool) error {
	var spool *tarSpool
	var err error
	if in.file == nil && random {
		if spool, err = newTarSpool(s.TempDir); err != nil {
			return err
		}
		in.copyTo(spool)
	}
	index, err := readIndex(ctx, in, newTarIndexer(s.maxSize()))
	if err == nil && spool != nil {
		err = spool.end()
	}
	if err != nil {
		return errors.Join(err, spool.close())
	}
	if s.index, s.state = index, in.state; spool != nil {
		s.plain, s.size = spool.file, spool.n
	}
	return nil
}

// open opens the tarball where it is.
func (s *Tarball) open(ctx context.Context) (*tarInput, error) {
	if s.path != "" {
		return s.openFile(ctx)
	}
	stream := s.stream
	if s.stream = nil; stream == nil {
		return nil, fmt.Errorf("read image %s: it can be read but once: %w", s.name, os.ErrClosed)
	}
	in, err := streamInput(ctx, stream, s.maxSize())
	if err != nil {
		return nil, fmt.Errorf("read image %s: %w", s.name, err)
	}
	return in, nil
}

func (s *Tarball) openFile(ctx context.Context) (*tarInput, error) {
	f, err := os.Open(s.path)
	if err != nil {
		return nil, fmt.Errorf("open image: %w", err)
	}
	in, err := fileInput(ctx, f, s.maxSize())
	if err != nil {
		f.Close()
		return nil, fmt.Errorf("read image %s: %w", s.name, err)
	}
	return in, nil
}

// again opens a tarball whose index is known.
func (s *Tarball) again(ctx context.Context) (*tarInput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plain != nil {
		return plainInput(s.plain, 0, s.size, tarAhead), nil
	}
	in, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	if in.state != s.state {
		in.Close()
		return nil, fmt.Errorf("read image %s: %w", s.name, errTarChanged)
	}
	return in, nil
}

// errTarChanged says that an index is that of another state of the file.
var errTarChanged = errors.New("the tarball changed since it was opened: open it again")

// Manifest reads the image's manifest. That of a compressed tarball is kept
// from the first reading; only one behind a link takes more.
func (s *Tarball) Manifest(ctx context.Context) ([]byte, error) {
	index, err := s.load(ctx, false)
	if err != nil {
		return nil, err
	}
	if index.manifest != nil {
		return index.manifest, nil
	}
	if _, ok := index.lookup(images.Dir); !ok {
		return nil, fs.ErrNotExist
	}
	tree, err := s.Tree(ctx)
	if err != nil {
		return nil, err
	}
	return images.ReadManifest(tree)
}

// Fingerprint identifies the tarball by size, times and inode of its file; one
// that comes from a stream by what is in it.
func (s *Tarball) Fingerprint(ctx context.Context) (string, error) {
	if s.path != "" {
		return fingerprint.Path(ctx, s.path)
	}
	if _, err := s.load(ctx, true); err != nil {
		return "", err
	}
	in, err := s.again(ctx)
	if err != nil {
		return "", err
	}
	defer in.Close()
	sum := sha256.New()
	if _, err := io.Copy(sum, &contextReader{ctx: ctx, r: in.buf}); err != nil {
		return "", fmt.Errorf("fingerprint image %s: %w", s.name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
