//go:build linux

package layers

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
)

func overlayOf(pairs ...string) images.Overlay {
	var o images.Overlay
	for i := 0; i < len(pairs); i += 2 {
		o = append(o, images.File{Entry: images.Entry{Path: pairs[i], Type: images.Regular, Mode: 0o600, ModTime: time.Unix(7, 0).UTC()}, Content: []byte(pairs[i+1])})
	}
	return o
}

func TestOverlaid(t *testing.T) {
	src := imagetest.Lines("/etc/", "/etc/first = old", "/etc/host = old", "/etc/link -> host", "/etc/other => /etc/first", "/more/", "/more/third => /etc/other", "/last = x", "/later => /last")
	s := Overlay(src, overlayOf("/new/deep/b", "B", "etc/host", "H", "/etc/first", "F", "/etc/link", "L", "/later", "l", "/etc/added", "A", "/new/a", "1", "/new/a", "2"))
	want := strings.Join([]string{"/", "/etc/", "/etc/first = F", "/etc/host = H", "/etc/link = L", "/more/", "/last = x", "/later = l",
		"/etc/other = old", "/more/third => /etc/other", "/etc/added = A", "/new/", "/new/a = 2", "/new/deep/", "/new/deep/b = B"}, "\n")
	for range 2 {
		if diff := cmp.Diff(want, imagetest.Outline(t, s)); diff != "" {
			t.Error(diff)
		}
	}
	for _, f := range imagetest.All(t, s) {
		if f.Path == "/new/deep" && (f.Mode != 0o755 || f.UID != 0 || !f.ModTime.Equal(time.Unix(7, 0))) {
			t.Errorf("the new directory is %+v", f.Entry)
		}
	}
	if _, ok := s.(images.Tree); ok {
		t.Error("it is a tree, and its source is none")
	}
}

func TestOverlaidThatCannotBe(t *testing.T) {
	src := imagetest.Lines("/dir/", "/file = x", "/link -> dir")
	for _, tt := range []struct {
		overlay images.Overlay
		want    string
	}{
		{overlayOf("/dir", ""), "/dir is a directory in the image"},
		{overlayOf("/file/x", ""), "/file/x is in /file, which is not a directory"},
		{overlayOf("/link/x/y", ""), "/link/x/y is in /link, which is not a directory"},
		{overlayOf("/a", "", "/a/b", ""), "/a/b is in /a, which is not a directory"},
		{images.Overlay{{Entry: images.Entry{Path: "/x", Type: images.Directory}}}, "/x is neither a regular file nor a symbolic link"},
	} {
		err := Overlay(src, tt.overlay).Walk(t.Context(), func(images.Entry, io.Reader) error { return nil })
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

// TestOverlaidTree compares the tree with the walk.
func TestOverlaidTree(t *testing.T) {
	root := imagetest.OneOfEach(t)
	imagetest.Must(t, os.WriteFile(filepath.Join(root, "etc/zzz"), []byte("z"), 0o644))
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	s := Overlay(d, overlayOf("/etc/deep/er/hosts", "new hosts", "/ping6", "new ping", "/etc/absolute", "no link", "/etc/added", "A", "/new/dir/f", "F", "/.cloudlet/applied_config", "{}"))
	tree, ok := s.(images.Tree)
	if !ok {
		t.Fatal("it is no tree")
	}
	want := imagetest.Contents(t, s)
	if got := want["/etc/hosts"]; got != "1127.0.0.1 localhost\n" {
		t.Errorf("the other name of a replaced file has %q", got)
	}
	listed := map[string]bool{"/": true}
	imagetest.Must(t, images.WalkTree(tree, "/", func(e images.Entry) error {
		listed[e.Path] = true
		got := "directory"
		if e.Type != images.Directory {
			got = string('0'+rune(e.Type)) + e.Link
		}
		if e.Type == images.Regular {
			content, err := images.ReadFile(tree, e.Path, 1<<20)
			imagetest.Must(t, err)
			got += string(content)
			if int64(len(content)) != e.Size {
				t.Errorf("%q has the size %d, and %d bytes", e.Path, e.Size, len(content))
			}
		}
		if got != want[e.Path] {
			t.Errorf("%q is %q, want %q", e.Path, got, want[e.Path])
		}
		if again, err := tree.Entry(e.Path); err != nil || !cmp.Equal(e, again) {
			t.Errorf("%q: %v\n%s", e.Path, err, cmp.Diff(e, again))
		}
		return nil
	}))
	if len(listed) != len(want) {
		t.Errorf("the tree has %d files, the walk %d", len(listed), len(want))
	}
	if e, err := tree.Entry("/new/none"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("%+v, %v", e, err)
	}
}

// TestOverlayKeepsTheOrder puts new files before, between and after those of a
// source in canonical order, and takes the first name of a file away.
func TestOverlayKeepsTheOrder(t *testing.T) {
	root := t.TempDir()
	imagetest.Must(t,
		os.MkdirAll(filepath.Join(root, "b/c"), 0o755),
		os.WriteFile(filepath.Join(root, "b/first"), []byte("old"), 0o644), os.Link(filepath.Join(root, "b/first"), filepath.Join(root, "b/second")),
		os.Link(filepath.Join(root, "b/first"), filepath.Join(root, "b/third")), os.WriteFile(filepath.Join(root, "b/z"), nil, 0o644),
	)
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	s := Overlay(d, overlayOf("/a/new/x", "1", "/b-", "2", "/b/c/x", "3", "/b/first", "F", "/b/zz/x", "4", "/b.d", "5", "/z", "6"))
	want := []string{"/", "/a/", "/a/new/", "/a/new/x = 1", "/b/", "/b/c/", "/b/c/x = 3", "/b/first = F", "/b/second = old", "/b/third => /b/second",
		"/b/z = ", "/b/zz/", "/b/zz/x = 4", "/b- = 2", "/b.d = 5", "/z = 6"}
	if diff := cmp.Diff(strings.Join(want, "\n"), imagetest.Outline(t, s)); diff != "" {
		t.Error(diff)
	}
}

// TestOverlaidTreeOfLinks has a tree that shows hard links as such.
func TestOverlaidTreeOfLinks(t *testing.T) {
	src := linkTree{imagetest.NewTree("/file = old", "/z = x")}
	src.Tree["/link"] = images.File{Entry: images.Entry{Path: "/link", Type: images.HardLink, Link: "/file"}}
	tree := Overlay(src, overlayOf("/file", "new")).(images.Tree)
	e, err := tree.Entry("/link")
	if err != nil || e.Type != images.Regular || e.Size != 3 || e.Path != "/link" {
		t.Errorf("entry %+v, %v", e, err)
	}
	list, err := tree.ReadDir("/")
	if err != nil || len(list) != 3 || !cmp.Equal(list[1], e) {
		t.Errorf("list %+v, %v", list, err)
	}
	if text, err := images.ReadFile(tree, "/link", 10); string(text) != "old" || err != nil {
		t.Errorf("it reads %q, %v", text, err)
	}
}

// linkTree is a tree in memory with hard links.
type linkTree struct{ imagetest.Tree }

func (t linkTree) Walk(ctx context.Context, visit images.VisitFunc) error {
	return imagetest.Lines("/file = old", "/link => /file", "/z = x").Walk(ctx, visit)
}

func (t linkTree) Open(p string) (io.ReadCloser, error) {
	if f := t.Tree[p]; f.Type == images.HardLink {
		p = f.Link
	}
	return t.Tree.Open(p)
}
