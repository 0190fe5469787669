package vcs

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/metadata"
)

// around runs a command that has to do with the files: it is shown the image
// in a form that the tool can keep, and what it makes is turned into an image
// again.
func (s *session) around(ctx context.Context) (code int, err error) {
	err = s.withState(ctx, func() error {
		if err := s.tool.prepare(ctx); err != nil {
			return err
		}
		conflict, err := s.recover(ctx)
		if err != nil {
			return err
		}
		if conflict && s.plan.commits {
			return metadata.ErrConflict
		}
		code, err = s.shown(ctx, conflict)
		if err != nil {
			return err
		}
		return s.after(context.WithoutCancel(ctx), conflict)
	})
	return code, err
}

// recover does what a run before could not, and what is due where only the
// bare tool has been. conflict says that the metadata is in the middle of
// a merge: then it is neither written nor applied.
func (s *session) recover(ctx context.Context) (conflict bool, err error) {
	before, pending, err := s.state.pending()
	if err != nil {
		return false, err
	}
	names, err := s.state.names()
	if err != nil {
		return false, err
	}
	if pending || s.state.fresh || len(names) > 0 {
		if err := s.showNames(ctx); err != nil {
			return false, err
		}
	}
	file, err := s.metadata()
	if errors.Is(err, metadata.ErrConflict) {
		return true, nil
	}
	if err != nil || !pending && !s.state.fresh {
		return false, err
	}
	return false, s.apply(ctx, before, file)
}

// metadata reads the image's metadata file; where there is none it is empty.
func (s *session) metadata() (metadata.File, error) {
	f, err := metadata.Read(s.Dir)
	if errors.Is(err, fs.ErrNotExist) {
		return metadata.File{}, nil
	}
	return f, err
}

// showNames gives all files their own names.
func (s *session) showNames(ctx context.Context) error {
	tracked, err := s.tracked(ctx)
	if err != nil {
		return err
	}
	r := renamer{dir: s.Dir, state: s.state}
	return r.show(escapedPaths(tracked))
}

// escapedPaths are the image's paths of the files, and the directories, whose
// names in the repository are others.
func escapedPaths(tracked []string) []string {
	found := map[string]bool{}
	for _, name := range tracked {
		if !strings.Contains(name, escapePrefix) {
			continue
		}
		p := ""
		for part := range strings.SplitSeq(name, "/") {
			plain, escaped := unescape(part)
			if p += "/" + plain; escaped {
				found[p] = true
			}
		}
	}
	own := make([]string, 0, len(found))
	for p := range found {
		own = append(own, p)
	}
	return own
}

// apply makes the image's files be as its metadata says.
func (s *session) apply(ctx context.Context, before, file metadata.File) error {
	tracked, err := s.tracked(ctx)
	if err != nil {
		return err
	}
	scope, err := s.scope(tracked)
	if err != nil {
		s.notice("%v; so no file is taken for volatile", err)
	}
	if err := metadata.Apply(ctx, metadata.Target{Dir: s.Dir, Scope: scope, Before: before}, file); err != nil {
		return err
	}
	return s.state.remove(pendingFile)
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
func readManifest(dir string) (*images.Manifest, error) {
	src, err := images.NewDirSource(dir)
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
	return images.ParseManifest(filepath.Base(dir), text)
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

// shown runs the tool while the image has the form that it can keep.
func (s *session) shown(ctx context.Context, conflict bool) (code int, err error) {
	v, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	hidden := s.hidden(v)
	text := ignored(v.snapshot, v.scope, s.tool, func(p string) string { return toolPath(hidden, p) })
	if err := os.WriteFile(s.state.file(ignoreFile), []byte(text), 0o600); err != nil {
		return 0, err
	}
	if err := s.write(v, conflict); err != nil {
		return 0, err
	}
	r := renamer{dir: s.Dir, state: s.state}
	defer func() { err = errors.Join(err, s.unhide(context.WithoutCancel(ctx), &r)) }()
	if err := r.hide(hidden); err != nil {
		return 0, err
	}
	if err := s.remember(ctx, v); err != nil {
		return 0, err
	}
	return s.execute(ctx, s.Args)
}

// write writes the metadata that the tool is about to look at. Where it is
// not in the repository yet a command that changes files may bring one along.
func (s *session) write(v *view, conflict bool) error {
	if conflict || s.plan.effect == moves || s.plan.effect == changes && !v.scope.Kept(metadata.Path) {
		return nil
	}
	_, err := metadata.Write(s.Dir, v.snapshot.File(v.scope))
	return err
}

// remember prepares for what the command does to the metadata.
func (s *session) remember(ctx context.Context, v *view) error {
	if s.plan.commits {
		if err := s.stage(ctx, v.scope); err != nil {
			return err
		}
	}
	if s.plan.effect != changes {
		return nil
	}
	return s.state.setPending(s.tool.committed(ctx))
}

// stage has the metadata be in the next revision.
func (s *session) stage(ctx context.Context, scope metadata.Scope) error {
	if !exists(s.Dir, metadataName) {
		return nil
	}
	return s.tool.stage(ctx, scope.Kept(metadata.Path))
}

// hidden lists the files that need another name. Those that are in the
// repository by their own name, since the bare tool put them there, keep it.
// Devices step aside for whatever a command puts in their place, and those
// that a tool would read its orders from always: from a FIFO it would for ever.
func (s *session) hidden(v *view) []string {
	byOwnName := make(map[string]bool, len(v.tracked))
	for _, name := range v.tracked {
		byOwnName["/"+name] = true
	}
	var own []string
	v.snapshot.Paths(func(p string, t images.Type) {
		name, known := p[strings.LastIndexByte(p, '/')+1:], byOwnName[p]
		orders := strings.HasPrefix(name, ".git") || strings.HasPrefix(name, ".hg")
		if isNode(t) && (known || orders || s.plan.effect == changes) || !known && mustEscape(s.Kind, name, t, strings.Count(p, "/") == 1) {
			own = append(own, p)
		}
	})
	return own
}

func isNode(t images.Type) bool {
	return t == images.CharDevice || t == images.BlockDevice || t == images.FIFO
}

// toolPath is what a path is while files are hidden.
func toolPath(hidden []string, p string) string {
	if len(hidden) == 0 {
		return p
	}
	var b strings.Builder
	for i := 1; i <= len(p); {
		end := len(p)
		if n := strings.IndexByte(p[i:], '/'); n >= 0 {
			end = i + n
		}
		name := p[i:end]
		if slices.Contains(hidden, p[:end]) {
			name = escape(name)
		}
		b.WriteString("/" + name)
		i = end + 1
	}
	return b.String()
}

// unhide gives the files their own names again, also those that have come.
func (s *session) unhide(ctx context.Context, r *renamer) error {
	if s.plan.effect == looks {
		return r.show(nil)
	}
	return s.showNames(ctx)
}

// after brings metadata and files together again.
func (s *session) after(ctx context.Context, conflict bool) error {
	switch s.plan.effect {
	case moves:
		if conflict || slices.Contains(s.Args, "--dry-run") || slices.Contains(s.Args, "-n") {
			return nil
		}
		return s.again(ctx)
	case changes:
		return s.settle(ctx)
	}
	return nil
}

// again writes the metadata of what is in the repository now.
func (s *session) again(ctx context.Context) error {
	v, err := s.look(ctx)
	if err != nil {
		return err
	}
	if _, err := metadata.Write(s.Dir, v.snapshot.File(v.scope)); err != nil {
		return err
	}
	return s.stage(ctx, v.scope)
}

// settle applies the metadata that the command has left.
func (s *session) settle(ctx context.Context) error {
	before, _, err := s.state.pending()
	if err != nil {
		return err
	}
	file, err := s.metadata()
	if errors.Is(err, metadata.ErrConflict) {
		s.notice("two branches changed the same owner, mode or device: choose in %s, then run \"cloudlets %s %s %s %s\"",
			filepath.Join(s.Options.Dir, metadataName), s.Kind, s.Options.Dir, s.tool.resolved(), metadataName)
		return nil
	}
	if err != nil {
		return err
	}
	return s.apply(ctx, before, file)
}
