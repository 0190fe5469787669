//go:build unix

package vcs

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
)

// metadata reads the image's metadata file; where there is none it is empty.
func (s *session) metadata() (metadata.File, error) {
	f, err := metadata.Read(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return metadata.File{}, nil
	}
	return f, err
}

// scope is what belongs to the image, by the files in the repository and the
// manifest. Without a manifest that can be read nothing is volatile.
func (s *session) scope(tracked []string) (metadata.Scope, error) {
	kept := make(map[string]bool, len(tracked))
	for _, name := range tracked {
		if p, err := unescapePath(name); err == nil {
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

// maxManifest bounds a manifest, in bytes.
const maxManifest = 1 << 20

// readManifest reads the manifest of an image in a directory; nil is none.
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

// view is the tree as it is before the tool runs.
type view struct {
	tracked  []string
	scope    metadata.Scope
	snapshot *metadata.Snapshot
}

// look looks at the tree.
func (s *session) look(ctx context.Context) (*view, error) {
	tracked, err := s.tracked(ctx)
	if err != nil {
		return nil, err
	}
	v := &view{tracked: tracked}
	if v.scope, err = s.scope(tracked); err != nil {
		if s.plan.commits || s.plan.effect == moves {
			return nil, fmt.Errorf("the manifest does not tell what is volatile: %w", err)
		}
		s.notice("%v; so no file is taken for volatile", err)
	}
	recorded, err := s.metadata()
	if err != nil && !errors.Is(err, metadata.ErrConflict) {
		return nil, err
	}
	v.snapshot, err = metadata.Scan(ctx, s.Dir, recorded)
	return v, err
}
