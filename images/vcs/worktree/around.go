//go:build unix

package worktree

import (
	"context"
	"errors"
	"path/filepath"
	"slices"

	"cloudlets/images/metadata"
	"cloudlets/images/metadata/trees"
	"cloudlets/images/vcs/commands"
)

// around runs a command that involves the files. For the command it brings the
// image into a form that the tool can keep, and it turns the result back into
// an image.
func (s *session) around(ctx context.Context) (code int, err error) {
	err = s.withState(ctx, func() error {
		if err := s.tool.prepare(ctx); err != nil {
			return err
		}
		conflict, err := s.recover(ctx)
		if err != nil {
			return err
		}
		if conflict && s.asked.Commits {
			return metadata.ErrConflict
		}
		code, err = s.shown(ctx, conflict)
		if err != nil {
			return err
		}
		return s.after(context.WithoutCancel(ctx), code, conflict)
	})
	return code, err
}

// recover finishes what an interrupted run left undone, and what is missing if
// only the bare tool was used so far. conflict reports that the metadata file
// has an unresolved merge; then it is neither written nor applied.
func (s *session) recover(ctx context.Context) (conflict bool, err error) {
	before, pending, err := s.state.pending()
	if err != nil {
		return false, err
	}
	names, err := s.state.names()
	if err != nil {
		return false, err
	}
	took, err := s.readTaken()
	if err != nil {
		return false, err
	}
	if pending || s.state.fresh || len(names) > 0 {
		if err := s.showNames(ctx); err != nil {
			return false, err
		}
	}
	if took != nil {
		return false, s.settleTaken(ctx, took, false)
	}
	file, err := s.metadata()
	if errors.Is(err, metadata.ErrConflict) {
		return true, nil
	}
	if err != nil {
		return false, err
	}
	if !pending && !s.state.fresh {
		s.recorded = &file
		return false, nil
	}
	return false, s.apply(ctx, before, file)
}

// apply changes the image's files so that they match the metadata.
func (s *session) apply(ctx context.Context, before, file metadata.File) error {
	return s.applyTo(ctx, before, file, nil)
}

// applyTo is apply for the files in the repository and some more.
func (s *session) applyTo(ctx context.Context, before, file metadata.File, more map[string]bool) error {
	held, err := s.contents(ctx)
	if err != nil {
		return err
	}
	scope, err := s.scope(held)
	if err != nil {
		s.notice("%v; so all files count as not volatile", err)
	}
	kept := scope.Kept
	scope.Kept = func(p string) bool { return kept(p) || more[p] }
	if err := trees.Apply(ctx, trees.Target{Dir: s.Dir, Scope: scope, Before: before}, file); err != nil {
		return err
	}
	s.tool.ownersChanged(file)
	return s.state.remove(pendingFile)
}

// shown runs the tool while the image has a form that the tool can keep.
func (s *session) shown(ctx context.Context, conflict bool) (code int, err error) {
	e := s.startEarly(ctx)
	defer e.stop()
	if e != nil && !conflict {
		seen, err := s.asSeen(ctx, e)
		if err != nil {
			return 0, err
		}
		if seen && e.fits(nil, e.ignore, false) {
			return e.finish()
		}
	}
	v, err := s.look(ctx)
	if err != nil {
		return 0, err
	}
	hidden := s.hidden(v)
	text := ignored(v.snapshot, v.scope, s.tool, func(p string) string { return toolPath(hidden, p) })
	changed, err := s.write(v, conflict)
	if err != nil {
		return 0, err
	}
	if s.isStatus() && v.sure && len(hidden) == 0 && !changed && !conflict {
		s.saveSeen(v, text)
	}
	if e.fits(hidden, text, changed) {
		return e.finish()
	}
	e.drop(v.hasNode(hidden))
	if e != nil && s.signalled.Load() { // the user does not want another run
		return e.code, e.err
	}
	if err := s.state.setIgnored(text); err != nil {
		return 0, err
	}
	if len(hidden) > 0 {
		defer func() { err = errors.Join(err, s.state.remove(ignoreFile)) }()
	}
	return s.hiding(ctx, v, hidden, conflict)
}

// hiding runs the tool while files have names that it can keep.
func (s *session) hiding(ctx context.Context, v *view, hidden []string, conflict bool) (code int, err error) {
	if s.asked.Effect == commands.Changes && !conflict {
		if s.taken, err = s.prepareTaking(ctx, v); err != nil {
			return 0, err
		}
	}
	err = s.whileHidden(ctx, hidden, func() error {
		if err := s.remember(ctx, v); err != nil {
			return err
		}
		code, err = s.execute(ctx, s.arguments())
		return err
	})
	return code, err
}

// write writes the metadata before the tool looks at it. If the metadata file
// is not in the repository yet, a command that changes files may bring one
// along, so write does not make one. changed reports whether it wrote.
func (s *session) write(v *view, conflict bool) (changed bool, err error) {
	if conflict || s.asked.Effect == commands.Moves || s.asked.Effect == commands.Changes && !v.scope.Kept(metadata.Path) {
		return false, nil
	}
	return metadata.Write(s.Dir, v.file)
}

// remember prepares for what the command will do to the metadata.
func (s *session) remember(ctx context.Context, v *view) error {
	if s.asked.Commits {
		if err := s.stage(ctx, v.scope); err != nil {
			return err
		}
	}
	if s.asked.Effect != commands.Changes {
		return nil
	}
	if s.taken != nil {
		if err := s.setTaken(s.taken); err != nil {
			return err
		}
	}
	return s.state.setPending(s.tool.committed(ctx))
}

// stage adds the metadata file to the next revision.
func (s *session) stage(ctx context.Context, scope trees.Scope) error {
	if !exists(s.Dir, metadataName) {
		return nil
	}
	return s.tool.stage(ctx, scope.Kept(metadata.Path))
}

// after makes metadata and files consistent after the command.
func (s *session) after(ctx context.Context, code int, conflict bool) error {
	switch s.asked.Effect {
	case commands.Moves:
		if conflict || slices.Contains(s.Args, "--dry-run") || slices.Contains(s.Args, "-n") {
			return nil
		}
		return s.again(ctx)
	case commands.Changes:
		if s.taken != nil {
			return s.settleTaken(ctx, s.taken, code == 0)
		}
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
	if _, err := metadata.Write(s.Dir, v.file); err != nil {
		return err
	}
	// Writing git's index may look at any file, so keep the files hidden.
	return s.whileHidden(ctx, s.hidden(v), func() error { return s.stage(ctx, v.scope) })
}

// settle applies the metadata that the command left.
func (s *session) settle(ctx context.Context) error {
	before, _, err := s.state.pending()
	if err != nil {
		return err
	}
	file, err := s.metadata()
	if errors.Is(err, metadata.ErrConflict) {
		s.notice("two branches changed the same owner, mode or device: edit %s to choose, then run \"cloudlets %s %s %s %s\"",
			filepath.Join(s.Options.Dir, metadataName), s.Kind, s.Options.Dir, s.tool.resolved(), metadataName)
		return nil
	}
	if err != nil {
		return err
	}
	return s.apply(ctx, before, file)
}
