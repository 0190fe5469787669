package imageflags

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

// PointerCheck says when a system is searched for Git LFS pointers in the place
// of its files. A system that has them is refused.
type PointerCheck int

const (
	// PointersAllowed does not search.
	PointersAllowed PointerCheck = iota
	// PointersBefore searches before anything is made. That takes a pass over all
	// files.
	PointersBefore
	// PointersInWalk searches while the system's source is walked for the first
	// time, and that walk fails. It is for what walks the source before it writes.
	PointersInWalk
)

// on makes the check on a system, or prepares it.
func (c PointerCheck) on(ctx context.Context, s *target.System) error {
	switch c {
	case PointersBefore:
		if err := refusePointers(ctx, s); err != nil {
			return fmt.Errorf("look at image %s: %w", s.Name, err)
		}
	case PointersInWalk:
		s.Source = vcs.OnAttributes(s.Source, func(ctx context.Context) error { return refusePointers(ctx, s) })
	}
	return nil
}

// refusePointers returns an error if a system has Git LFS pointers instead of
// files.
func refusePointers(ctx context.Context, s *target.System) error {
	keep := s.Manifest.Selector([]manifest.Class{manifest.Templates, manifest.Persistent, manifest.Other})
	names, err := Pointers(ctx, s.Tree, keep)
	if err != nil || names == "" {
		return err
	}
	return fmt.Errorf("Git LFS pointers are in the place of %s; %s. --lfs-pointers makes the disk with the pointers", names, PointerAdvice)
}

// PointerAdvice says what to do about Git LFS pointers.
const PointerAdvice = `the files themselves are not in the repository: run "git lfs pull" in a clone of it, and use that directory`

// maxNamed is how many files a message names.
const maxNamed = 3

// Pointers describes the Git LFS pointers among an image's files, or returns
// "" if there are none.
func Pointers(ctx context.Context, t images.Tree, keep func(path string) bool) (string, error) {
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
