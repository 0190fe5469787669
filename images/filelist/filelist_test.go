package filelist_test

import (
	"context"
	"errors"
	"path"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/filelist"
)

// listOf lists files; a path with a slash at its end is a directory. Each comes
// after its directory.
func listOf(t *testing.T, paths ...string) *filelist.List {
	t.Helper()
	l := filelist.New()
	for _, p := range paths {
		add(t, l, p)
	}
	return l
}

func add(t *testing.T, l *filelist.List, p string) uint32 {
	t.Helper()
	e := images.Entry{Path: path.Clean(p), Type: images.Regular, Size: 1}
	if p[len(p)-1] == '/' {
		e.Type = images.Directory
	}
	dir, ok := l.Lookup(path.Dir(e.Path))
	if !ok {
		t.Fatalf("there is no directory for %s", p)
	}
	f, _ := l.Describe(e, 0, 0)
	return l.Add(f, dir, path.Base(e.Path))
}

func pathsOf(t *testing.T, l *filelist.List) []string {
	t.Helper()
	var paths []string
	if err := l.Paths(t.Context(), func(p string) error { paths = append(paths, p); return nil }); err != nil {
		t.Fatal(err)
	}
	return paths
}

// TestPathsAreSorted uses names that begin alike, some of which sort before a
// slash and some after it.
func TestPathsAreSorted(t *testing.T) {
	want := []string{"/", "/a", "/a!", "/a!/x", "/a-b", "/a-b/c", "/a/a", "/a/a!", "/a/a/b", "/a0", "/a0/x", "/empty"}
	l := listOf(t, "/a0/", "/empty/", "/a/", "/a/a/", "/a/a/b", "/a0/x", "/a-b/", "/a!/", "/a!/x", "/a-b/c", "/a/a!")
	if diff := cmp.Diff(want, pathsOf(t, l)); diff != "" || !slices.IsSorted(want) {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestPathsStop(t *testing.T) {
	l := listOf(t, "/a/", "/a/b", "/c")
	own := errors.New("the caller's own")
	if err := l.Paths(t.Context(), func(p string) error {
		if p == "/a/b" {
			return own
		}
		return nil
	}); err != own {
		t.Errorf("error %v, want the caller's", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Paths(ctx, func(string) error { return nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want that it was cancelled", err)
	}
}

// TestRemoveAndAddAgain removes files, adds some of them again, and replaces a
// directory with all that is in it.
func TestRemoveAndAddAgain(t *testing.T) {
	l := listOf(t, "/a", "/b", "/c", "/d/", "/d/x")
	l.Remove(0, func(i uint32) bool { name := string(l.Name(i)); return name == "a" || name == "c" })
	if _, ok := l.Lookup("/a"); ok {
		t.Error("/a can still be found")
	}
	if diff := cmp.Diff([]string{"/", "/b", "/d", "/d/x"}, pathsOf(t, l)); diff != "" {
		t.Errorf("after two were removed (-want +got):\n%s", diff)
	}
	again := add(t, l, "/a")
	if i, ok := l.Lookup("/a"); !ok || i != again {
		t.Errorf("/a is file %d, %v; want %d", i, ok, again)
	}
	add(t, l, "/d/")
	if _, ok := l.Lookup("/d/x"); ok {
		t.Error("/d/x is in a directory that was replaced")
	}
	if diff := cmp.Diff([]string{"/", "/a", "/b", "/d"}, pathsOf(t, l)); diff != "" {
		t.Errorf("in the end (-want +got):\n%s", diff)
	}
	l.Remove(0, func(uint32) bool { return true })
	if l.File(0).Value != 0 {
		t.Error("the root is not empty")
	}
}
