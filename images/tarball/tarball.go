// Package tarball reads tar archives as images, from a file or a stream and in
// any compression that is common, and writes them.
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
	"cloudlets/images/bounded"
	"cloudlets/images/filelist"
	"cloudlets/images/fingerprint"
)

// DefaultMaxSize bounds what a tarball may unpack to if [Tarball.MaxSize] is
// 0: 64 GiB.
const DefaultMaxSize = 64 << 30

// Tarball is a tarball as an [images.Source]: plain, or compressed with gzip,
// zstd, xz or bzip2. It reads POSIX, GNU and older archives with long names,
// sparse files and extended attributes.
//
// It shows what extracting the tarball into an empty directory leaves. If a
// name comes again, the later entry counts, and a hard link to the earlier
// file keeps the earlier content. Names are paths in the image: "./etc", "/etc"
// and "etc" are the same. Directories that the tarball does not name belong to
// root, with mode 0755 and a time of 1970. A tarball is refused before anything
// of it is visited, with the name of the entry, if it would write outside of the
// image, if it links to a file that it does not hold, or if its end mark is
// missing.
//
// [Tarball.Walk] reads the archive from its beginning to its end.
// [Tarball.Tree] has the canonical order, for what depends on it: packs and
// disks.
//
// Its methods may be called by several goroutines at once.
type Tarball struct {
	// MaxSize bounds in bytes what the tarball may unpack to. It holds for the
	// archive, and separately for the sum of its files, holes included. 0 is
	// [DefaultMaxSize].
	MaxSize int64
	// TempDir is the folder for the temporary file that a compressed archive
	// is unpacked to when it must be read at random; "" is [os.TempDir]. The
	// file has no name and is gone when it is closed.
	TempDir string
	// Note, if not nil, is called when the tarball was first read, with each
	// sentence about what is left out of it or changed.
	Note func(sentence string)

	name string // in errors
	path string // of its file; "" is a stream
	// stream is a tarball without a path, until it was read.
	stream io.Reader

	mu sync.Mutex
	// plain is the uncompressed archive once it can be read at random: the
	// tarball's own file, or the one that it was unpacked to.
	plain *os.File
	size  int64 // of plain, in bytes
	index *index
	state string // of the file when the index was made
}

var _ images.Source = (*Tarball)(nil)

// New is the tarball in the file at path.
func New(path string) *Tarball { return &Tarball{name: path, path: path} }

// NewStream is the tarball that r reads. The first method that needs it
// unpacks it into a temporary file. Errors call it by the name. The caller
// closes it.
func NewStream(name string, r io.Reader) *Tarball { return &Tarball{name: name, stream: r} }

func (s *Tarball) maxSize() int64 {
	if s.MaxSize > 0 {
		return s.MaxSize
	}
	return DefaultMaxSize
}

// Walk visits the tarball's files in the order of the archive. A compressed
// file is unpacked twice for it, the first time to check it and to list it.
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
	cursor, entries := newCursor(in), filelist.NewMaker(index.List)
	for i := range index.walk() {
		if err := ctx.Err(); err != nil {
			return err
		}
		e := entries.Entry(i)
		var content io.Reader
		if e.Type == images.Regular {
			if _, err := cursor.content(index.File(i).At, e.Size); err != nil {
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
	return &tree{name: s.name, index: index, file: s.plain, size: s.size}, nil
}

// Close closes the tarball and the file that it was unpacked to. After it
// trees of the tarball cannot open files, and a stream cannot be read again.
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

// load reads the whole tarball once, to check it and to list it. If random is
// set it also provides the plain archive.
func (s *Tarball) load(ctx context.Context, random bool) (*index, error) {
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

// read reads the tarball from end to end. If random is set and the archive is
// compressed, it is kept in a temporary file.
func (s *Tarball) read(ctx context.Context, in *input, random bool) error {
	var spool *spool
	var err error
	if in.file == nil && random {
		if spool, err = newSpool(s.TempDir); err != nil {
			return err
		}
		in.copyTo(spool)
	}
	indexer := newIndexer(s.maxSize())
	index, err := readIndex(ctx, in, indexer)
	if err == nil && spool != nil {
		err = spool.end()
	}
	if err != nil {
		return errors.Join(err, spool.close())
	}
	if s.index == nil && s.Note != nil {
		for _, sentence := range indexer.remarks.sentences() {
			s.Note(sentence)
		}
	}
	if s.index, s.state = index, in.state; spool != nil {
		s.plain, s.size = spool.file, spool.n
	}
	return nil
}

// open opens the tarball's file or stream.
func (s *Tarball) open(ctx context.Context) (*input, error) {
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

func (s *Tarball) openFile(ctx context.Context) (*input, error) {
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
func (s *Tarball) again(ctx context.Context) (*input, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.plain != nil {
		return plainInput(s.plain, 0, s.size, aheadSize), nil
	}
	in, err := s.open(ctx)
	if err != nil {
		return nil, err
	}
	if in.state != s.state {
		in.Close()
		return nil, fmt.Errorf("read image %s: %w", s.name, errChanged)
	}
	return in, nil
}

// errChanged says that the file changed since its index was made.
var errChanged = errors.New("the tarball changed since it was opened: open it again")

// Manifest reads the image's manifest. It is kept from the first reading of
// the tarball, unless a link leads to it: then the tree is asked.
func (s *Tarball) Manifest(ctx context.Context) ([]byte, error) {
	index, err := s.load(ctx, false)
	if err != nil {
		return nil, err
	}
	if index.manifest != nil {
		return index.manifest, nil
	}
	if _, ok := index.Lookup(images.Dir); !ok {
		return nil, fs.ErrNotExist
	}
	tree, err := s.Tree(ctx)
	if err != nil {
		return nil, err
	}
	return images.ReadManifest(tree)
}

// Fingerprint identifies the tarball by size, times and inode of its file, or
// by its content if it comes from a stream.
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
	if _, err := io.Copy(sum, bounded.ByContext(ctx, in.buf)); err != nil {
		return "", fmt.Errorf("fingerprint image %s: %w", s.name, err)
	}
	return hex.EncodeToString(sum.Sum(nil)), nil
}
