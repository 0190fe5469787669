//go:build unix

package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"
	"strings"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/manifest"
	"cloudlets/images/metadata"
	"cloudlets/images/metadata/trees"
	"cloudlets/images/vcs"
	"cloudlets/images/vcs/commands"
)

// metadata reads the image's metadata file. If there is none, the result is
// empty.
func (s *session) metadata() (metadata.File, error) {
	if f := s.recorded; f != nil {
		s.recorded = nil
		return *f, nil
	}
	var err error
	if s.metadataState, err = s.metadataFileState(); err != nil {
		return metadata.File{}, err
	}
	f, err := metadata.Read(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return metadata.File{}, nil
	}
	return f, err
}

// contents are the files that a repository holds.
type contents struct {
	// names are the files that have their own name there, and escaped those
	// that have a name with [vcs.EscapePrefix]. Both are the tool's names.
	names   nameList
	escaped map[string]bool
	// hidden are the image's paths of the files of escaped.
	hidden map[string]bool
	// files is how many of these paths may be in a snapshot: bookkeeping is not.
	files int
}

// contentsOf sorts the tool's list of files. It keeps the list.
func contentsOf(tracked []string) *contents {
	c := &contents{escaped: map[string]bool{}, hidden: map[string]bool{}}
	c.names.sorted = slices.DeleteFunc(tracked, func(name string) bool {
		if !strings.Contains(name, vcs.EscapePrefix) {
			return false
		}
		c.escaped[name] = true
		if p, err := vcs.UnescapePath(name); err == nil {
			c.hidden[p] = true
		}
		return true
	})
	slices.Sort(c.names.sorted)
	c.names.sorted = slices.Compact(c.names.sorted) // git lists a conflict several times
	c.files = len(c.names.sorted) + len(c.hidden)
	for _, name := range c.names.sorted {
		if name[:1] == "." && images.IsBookkeeping("/"+name) {
			c.files--
		}
	}
	for p := range c.hidden {
		if images.IsBookkeeping(p) {
			c.files--
		}
	}
	return c
}

// nameList is a set of names. Looking up names one after another in about the
// order of the list is fast.
type nameList struct {
	sorted []string
	next   atomic.Int64 // the index of the name that is expected
}

func (l *nameList) has(name string) bool {
	i := int(l.next.Load())
	found := i < len(l.sorted) && l.sorted[i] == name
	if !found {
		i, found = slices.BinarySearch(l.sorted, name)
	}
	if found {
		l.next.Store(int64(i + 1))
	}
	return found
}

// keeps reports whether the repository has the file at a path of the image.
func (c *contents) keeps(p string) bool { return c.names.has(p[1:]) || c.hidden[p] }

// hasName reports whether the repository has a file whose name there is its
// path in the image.
func (c *contents) hasName(p string) bool { return c.names.has(p[1:]) || c.escaped[p[1:]] }

// lacking returns the paths of the files of the repository that the tree lacks.
func (c *contents) lacking(snapshot *trees.Snapshot) (gone []string) {
	// Usually there are none. Counting those that are there is faster than
	// looking for each.
	missing := c.files
	snapshot.Paths(func(p string, _ images.Type) {
		if c.names.has(p[1:]) {
			missing--
		}
		if c.hidden[p] {
			missing--
		}
	})
	if missing == 0 {
		return nil
	}
	for _, name := range c.names.sorted {
		if p, err := vcs.UnescapePath(name); err == nil && !images.IsBookkeeping(p) && !snapshot.Has(p) {
			gone = append(gone, p)
		}
	}
	for p := range c.hidden {
		if !images.IsBookkeeping(p) && !snapshot.Has(p) {
			gone = append(gone, p)
		}
	}
	slices.Sort(gone)
	return slices.Compact(gone)
}

// scope returns which files belong to the image, according to the repository
// and the manifest. If there is no readable manifest, no file is volatile.
func (s *session) scope(c *contents) (trees.Scope, error) {
	scope := trees.Scope{Kept: c.keeps}
	m, err := readManifest(s.Dir)
	if m != nil {
		scope.Volatile = m.IsVolatile
	}
	return scope, err
}

// maxManifest is the maximum size of a manifest in bytes.
const maxManifest = 1 << 20

// readManifest reads the manifest of an image in a directory. It returns nil if
// there is none.
func readManifest(dir string) (*manifest.Manifest, error) {
	src, err := dirtree.Open(dir)
	if err != nil {
		return nil, err
	}
	text, err := images.ReadFile(src, images.ManifestPath, maxManifest)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return manifest.Parse(filepath.Base(dir), text)
}

// view is the state of the tree before the tool runs.
type view struct {
	contents *contents
	scope    trees.Scope
	snapshot *trees.Snapshot
	// file is the metadata of the tree. A file that was removed from the tree,
	// but not from the repository, keeps what the repository has for it.
	file metadata.File
	// sure means that the manifest was readable, and that the tree lacks no file of the
	// repository.
	sure bool
	// marks are those of the tree, by the state at a time. They are nil for most commands.
	marks *trees.Marks
	began time.Time
}

// look examines the tree.
func (s *session) look(ctx context.Context) (*view, error) {
	// The tool lists its files while this process looks at the tree.
	var (
		both errgroup.Group
		v    view
	)
	v.began = s.state.clock()
	both.Go(func() (err error) {
		v.contents, err = s.contents(ctx)
		return err
	})
	recorded, err := s.metadata()
	if errors.Is(err, metadata.ErrConflict) {
		err = nil
	}
	if err == nil {
		v.snapshot, v.marks, err = trees.Scan(ctx, s.Dir, recorded)
	}
	if err := errors.Join(both.Wait(), err); err != nil {
		return nil, err
	}
	if v.scope, err = s.scope(v.contents); err != nil {
		if s.asked.Commits || s.asked.Effect == commands.Moves {
			return nil, fmt.Errorf("cannot tell which files are volatile, because the manifest is not readable: %w", err)
		}
		s.notice("%v; so all files count as not volatile", err)
	}
	whole := v.snapshot
	lacking := v.contents.lacking(v.snapshot)
	v.sure = err == nil && len(lacking) == 0
	gone, err := s.staying(ctx, lacking)
	if err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		whole = whole.With(gone, s.tool.committed(ctx))
	}
	v.file = whole.File(v.scope)
	if !s.isStatus() && s.asked.Effect != commands.Clones {
		v.marks = nil // they are much
	}
	return &v, nil
}
