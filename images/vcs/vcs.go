// Package vcs keeps images under revision control with git and Mercurial.
//
// [Open] reads one revision of a repository as an image, without a checkout.
// Package worktree runs the real tool with an image as its repository. Both use
// what is here about the tools: how they are found and asked, and which names of
// files they cannot keep.
package vcs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Kind is a revision control system, named after its tool.
type Kind string

// The supported systems.
const (
	Git Kind = "git"
	Hg  Kind = "hg"
)

// ErrNoRepository means that a directory is not under revision control.
var ErrNoRepository = errors.New("there is no git or Mercurial repository")

// Detect returns the kind of the repository in a directory, which may have a
// working copy or be bare. ok is false if there is none.
func Detect(path string) (Kind, bool) {
	switch {
	case exists(path, ".git"), isBareGit(path):
		return Git, true
	case exists(path, ".hg"):
		return Hg, true
	}
	return "", false
}

// IsBare reports whether a directory is a repository without a working copy. A
// Mercurial repository counts as bare if the directory contains only
// Mercurial's own folder.
func IsBare(path string) bool {
	if exists(path, ".git") {
		return false
	}
	if isBareGit(path) {
		return true
	}
	names, err := os.ReadDir(path)
	return err == nil && len(names) == 1 && names[0].Name() == ".hg"
}

func isBareGit(path string) bool {
	return exists(path, "HEAD") && exists(path, "objects") && exists(path, "refs")
}

func exists(dir, name string) bool {
	_, err := os.Lstat(filepath.Join(dir, name))
	return err == nil
}

// Open opens a revision of the repository at path. revision is anything that
// the tool accepts: a branch, a tag, a hash. "" is the latest revision, which
// is git's HEAD or Mercurial's tip. If the revision does not exist, the error
// lists those that do. The caller must close the revision.
func Open(ctx context.Context, path, revision string) (*Revision, error) {
	kind, ok := Detect(path)
	if !ok {
		return nil, fmt.Errorf("open %s@%s: %w", path, revision, ErrNoRepository)
	}
	open := openGit
	if kind == Hg {
		open = openHg
	}
	r, err := open(ctx, path, revision)
	if err != nil {
		return nil, fmt.Errorf("open %s@%s: %w", path, revision, err)
	}
	return r, nil
}
