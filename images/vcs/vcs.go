// Package vcs keeps images under revision control with git and Mercurial.
//
// [Open] reads one revision of a repository as an image, without a checkout.
// [Run] runs the real tool with an image as its repository, and sees to what
// the tool loses: owners, modes, devices and the like are in the image's
// metadata file (see package metadata), which is written before the tool
// looks at the tree, and applied after the tool has changed it.
package vcs

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// Kind is a revision control system, by the name of its tool.
type Kind string

// The systems that are known.
const (
	Git Kind = "git"
	Hg  Kind = "hg"
)

// ErrNoRepository says that a directory is not under revision control.
var ErrNoRepository = errors.New("there is no git or Mercurial repository")

// Detect tells which system a repository is of: a directory with a working
// copy, or a bare one.
func Detect(path string) (Kind, bool) {
	switch {
	case exists(path, ".git"), isBareGit(path):
		return Git, true
	case exists(path, ".hg"):
		return Hg, true
	}
	return "", false
}

// IsBare says whether a directory is a repository without a working copy. A
// Mercurial repository is one too if nothing but its own folder is there.
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

// Open reads a revision of the repository at path: what the tool itself takes
// for one, a branch, a tag, a hash. "" is the latest, that is git's HEAD or
// Mercurial's tip. A revision that there is not is told with those that there
// are. The caller closes it.
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
