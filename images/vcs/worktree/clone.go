//go:build unix

package worktree

import (
	"context"
	"errors"
	"os"
	"path/filepath"

	"cloudlets/images/metadata"
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
	return s.state.setIgnored(alwaysIgnored(s.tool))
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
