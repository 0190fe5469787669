package imageflags

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/vcs"
)

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
