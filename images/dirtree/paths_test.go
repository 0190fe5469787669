//go:build linux

package dirtree

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/imagetest"
)

func pathsOf(t *testing.T, s images.Source) []string {
	t.Helper()
	var all []string
	imagetest.Must(t, images.Paths(t.Context(), s, func(p string) error { all = append(all, p); return nil }))
	return all
}

// TestPathsAreThoseOfFind compares with find and sort.
func TestPathsAreThoseOfFind(t *testing.T) {
	root := t.TempDir()
	for _, dir := range []string{"a", "a-b", "a-b-c", "a0", "a b", "a\nb", "\xff", "ö", "a!", "e"} {
		for _, inner := range []string{"", "a", "x", "x-y/z", "x/z", "x!/-"} {
			imagetest.Must(t, os.MkdirAll(filepath.Join(root, dir, inner), 0o755))
		}
	}
	imagetest.Must(t, os.WriteFile(filepath.Join(root, "a.b"), nil, 0o644), os.Symlink("a", filepath.Join(root, "a-link")))
	imagetest.Run(t, "findutils", "find", "--version")
	cmd := exec.Command("sh", "-c", `find . -print0 | LC_ALL=C sort -z`)
	cmd.Dir = root
	out, err := cmd.Output()
	imagetest.Must(t, err)
	want := []string{"/"}
	for _, p := range strings.Split(strings.TrimSuffix(string(out), "\x00"), "\x00")[1:] {
		want = append(want, strings.TrimPrefix(p, "."))
	}
	d, err := Open(root)
	imagetest.Must(t, err)
	if diff := cmp.Diff(want, pathsOf(t, d)); diff != "" {
		t.Errorf("directory: %s", diff)
	}
	if diff := cmp.Diff(want, pathsOf(t, imagetest.All(t, d))); diff != "" {
		t.Errorf("source: %s", diff)
	}
	if open := leftOpen(t, root); len(open) > 0 {
		t.Errorf("left open: %s", open)
	}
}

func TestPathsOfOneOfEverything(t *testing.T) {
	d, err := Open(imagetest.OneOfEach(t))
	imagetest.Must(t, err)
	want := pathsOf(t, imagetest.All(t, d))
	if diff := cmp.Diff(want, pathsOf(t, d)); diff != "" {
		t.Error(diff)
	}
}

func TestPathsStop(t *testing.T) {
	d, err := Open(imagetest.OneOfEach(t))
	imagetest.Must(t, err)
	for name, s := range map[string]images.Source{"directory": d, "source": imagetest.All(t, d)} {
		boom := errors.New("boom")
		n := 0
		err := images.Paths(t.Context(), s, func(string) error {
			if n++; n == 5 {
				return boom
			}
			return nil
		})
		if !errors.Is(err, boom) || n != 5 {
			t.Errorf("%s: error %v after %d paths", name, err, n)
		}
		ctx, cancel := context.WithCancel(t.Context())
		cancel()
		if err := images.Paths(ctx, s, func(string) error { return nil }); !errors.Is(err, context.Canceled) {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
