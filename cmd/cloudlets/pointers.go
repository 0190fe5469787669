package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
	"cloudlets/images/vcs"
)

// pointerAdvice says what to do about Git LFS pointers.
const pointerAdvice = `the files themselves are not in the repository: run "git lfs pull" in a clone of it, and use that directory`

// maxNamed is how many files a message names.
const maxNamed = 3

// pointersIn describes the Git LFS pointers among an image's files, or returns
// "" if there are none.
func pointersIn(ctx context.Context, t images.Tree, keep func(path string) bool) (string, error) {
	found, err := vcs.Pointers(ctx, t)
	if err != nil {
		return "", fmt.Errorf("look for Git LFS pointers: %w", err)
	}
	found = slices.DeleteFunc(found, func(p string) bool { return !keep(p) })
	switch n := len(found); {
	case n == 0:
		return "", nil
	case n > maxNamed:
		return fmt.Sprintf("%s and %d more files", strings.Join(found[:maxNamed], ", "), n-maxNamed), nil
	}
	return strings.Join(found, ", "), nil
}

// refusePointers returns an error if a system has Git LFS pointers instead of
// files.
func refusePointers(ctx context.Context, s target.System) error {
	keep := s.Manifest.Selector([]manifest.Class{manifest.Templates, manifest.Persistent, manifest.Other})
	names, err := pointersIn(ctx, s.Tree, keep)
	if err != nil || names == "" {
		return err
	}
	return fmt.Errorf("make a disk of %s: Git LFS pointers are in the place of %s; %s. --lfs-pointers makes the disk with the pointers", s.Name, names, pointerAdvice)
}

// everyPath selects all files.
func everyPath(string) bool { return true }
