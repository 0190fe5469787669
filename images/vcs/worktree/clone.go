//go:build unix

package worktree

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"cloudlets/images/metadata"
	"cloudlets/images/metadata/trees"
	"cloudlets/images/pause"
	"cloudlets/images/vcs"
)

// clone runs the tool's clone, which makes the image's directory, and applies
// the metadata to the files. The directory is the last argument.
func (s *session) clone(ctx context.Context) (code int, err error) {
	template, err := s.template()
	if err != nil {
		return 0, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(template)) }()
	code, err = s.execute(ctx, append(s.Args[:len(s.Args):len(s.Args)], s.Dir), "GIT_TEMPLATE_DIR="+template)
	if code != 0 || err != nil || !exists(s.Dir, "."+string(s.Kind)) {
		return code, err
	}
	ctx = context.WithoutCancel(ctx)
	return 0, s.withState(ctx, func() error {
		if err := s.state.setPending(metadata.File{}); err != nil {
			return err
		}
		if err := s.tool.prepare(ctx); err != nil {
			return err
		}
		if _, err := s.recover(ctx); err != nil {
			return err
		}
		return s.guess(ctx)
	})
}

// guess leaves the guess for an early run (see [early]): nothing volatile is in
// a fresh clone.
func (s *session) guess(ctx context.Context) error {
	held, err := s.contents(ctx)
	if err != nil || len(held.escaped) > 0 {
		return err
	}
	text := alwaysIgnored(s.tool)
	if err := s.state.setIgnored(text); err != nil || s.Kind != vcs.Git {
		return err
	}
	if err := s.foresee(ctx, text); err != nil {
		_ = s.state.remove(seenFile) // then the first status looks at all files, and tells
	}
	return nil
}

// foresee leaves for the first status what it would see. That is cheaper now than then:
// a status that has to look at all files and their attributes takes twice as long as
// git's own. Files that have just been written are trusted only after a tick of the
// kernel's clock.
func (s *session) foresee(ctx context.Context, guess string) error {
	if err := pause.For(ctx, trees.Tick); err != nil {
		return err
	}
	notice := s.Notice
	s.Notice = nil // the first status tells
	v, err := s.look(ctx)
	s.Notice = notice
	if err != nil {
		return err
	}
	hidden := s.hidden(v)
	text := ignored(v.snapshot, v.scope, s.tool, func(p string) string { return toolPath(hidden, p) })
	current, err := metadata.IsCurrent(s.Dir, v.file)
	if err == nil && current && v.sure && len(hidden) == 0 && text == guess {
		s.saveSeen(v, text)
	}
	return err
}

// template makes a template for git repositories, so that its attributes apply
// from the first file on.
func (s *session) template() (string, error) {
	dir, err := os.MkdirTemp("", "cloudlets-git-*")
	if err != nil {
		return "", err
	}
	info := filepath.Join(dir, "info")
	err = os.Mkdir(info, 0o700)
	if err == nil {
		err = os.WriteFile(filepath.Join(info, "attributes"), []byte(attributes), 0o600)
	}
	if err != nil {
		return "", errors.Join(err, os.RemoveAll(dir))
	}
	return dir, nil
}
