//go:build unix

package worktree

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"path/filepath"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/manifest"
	"cloudlets/images/metadata"
	"cloudlets/images/vcs"
)

// metadata reads the image's metadata file. If there is none, the result is
// empty.
func (s *session) metadata() (metadata.File, error) {
	f, err := metadata.Read(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return metadata.File{}, nil
	}
	return f, err
}

// scope returns which files belong to the image, according to the repository
// and the manifest. If there is no readable manifest, no file is volatile.
func (s *session) scope(tracked []string) (metadata.Scope, error) {
	kept := make(map[string]bool, len(tracked))
	for _, name := range tracked {
		if p, err := vcs.UnescapePath(name); err == nil {
			kept[p] = true
		}
	}
	scope := metadata.Scope{Kept: func(p string) bool { return kept[p] }}
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
	tracked  []string
	scope    metadata.Scope
	snapshot *metadata.Snapshot
	// file is the metadata of the tree. A file that was removed from the tree,
	// but not from the repository, keeps what the repository has for it.
	file metadata.File
}

// look examines the tree.
func (s *session) look(ctx context.Context) (*view, error) {
	tracked, err := s.tracked(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{tracked: tracked}
	if v.scope, err = s.scope(tracked); err != nil {
		if s.plan.commits || s.plan.effect == moves {
			return nil, fmt.Errorf("cannot tell which files are volatile, because the manifest is not readable: %w", err)
		}
		s.notice("%v; so all files count as not volatile", err)
	}
	recorded, err := s.metadata()
	if err != nil && !errors.Is(err, metadata.ErrConflict) {
		return nil, err
	}
	if v.snapshot, err = metadata.Scan(ctx, s.Dir, recorded); err != nil {
		return nil, err
	}
	whole := v.snapshot
	gone, err := s.staying(ctx, v.gone())
	if err != nil {
		return nil, err
	}
	if len(gone) > 0 {
		whole = whole.With(gone, s.tool.committed(ctx))
	}
	v.file = whole.File(v.scope)
	return v, nil
}

// gone returns the files of the repository that the tree lacks.
func (v *view) gone() (gone []string) {
	for _, name := range v.tracked {
		if p, err := vcs.UnescapePath(name); err == nil && !images.IsBookkeeping(p) && !v.snapshot.Has(p) {
			gone = append(gone, p)
		}
	}
	return gone
}
