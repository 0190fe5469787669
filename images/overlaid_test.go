//go:build linux

package images

import (
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func overlayOf(pairs ...string) Overlay {
	var o Overlay
	for i := 0; i < len(pairs); i += 2 {
		o = append(o, File{Entry: Entry{Path: pairs[i], Type: Regular, Mode: 0o600, ModTime: time.Unix(7, 0).UTC()}, Content: []byte(pairs[i+1])})
	}
	return o
}

func TestOverlaid(t *testing.T) {
	src := lines("/etc/", "/etc/first = old", "/etc/host = old", "/etc/link -> host", "/etc/other => /etc/first", "/more/", "/more/third => /etc/other", "/last = x", "/later => /last")
	s := Overlaid(src, overlayOf("/new/deep/b", "B", "etc/host", "H", "/etc/first", "F", "/etc/link", "L", "/later", "l", "/etc/added", "A", "/new/a", "1", "/new/a", "2"))
	want := strings.Join([]string{"/", "/etc/", "/etc/first = F", "/etc/host = H", "/etc/link = L", "/more/", "/last = x", "/later = l",
		"/etc/other = old", "/more/third => /etc/other", "/etc/added = A", "/new/", "/new/a = 2", "/new/deep/", "/new/deep/b = B"}, "\n")
	for range 2 {
		if diff := cmp.Diff(want, outline(t, s)); diff != "" {
			t.Error(diff)
		}
	}
	for _, f := range all(t, s) {
		if f.Path == "/new/deep" && (f.Mode != 0o755 || f.UID != 0 || !f.ModTime.Equal(time.Unix(7, 0))) {
			t.Errorf("the new directory is %+v", f.Entry)
		}
	}
	if _, ok := s.(Tree); ok {
		t.Error("it is a tree, and its source is none")
	}
}

func TestOverlaidThatCannotBe(t *testing.T) {
	src := lines("/dir/", "/file = x", "/link -> dir")
	for _, tt := range []struct {
		overlay Overlay
		want    string
	}{
		{overlayOf("/dir", ""), "/dir is a directory in the image"},
		{overlayOf("/file/x", ""), "/file/x is in /file, which is not a directory"},
		{overlayOf("/link/x/y", ""), "/link/x/y is in /link, which is not a directory"},
		{overlayOf("/a", "", "/a/b", ""), "/a/b is in /a, which is not a directory"},
		{Overlay{{Entry: Entry{Path: "/x", Type: Symlink, Link: "y"}}}, "/x is not a regular file"},
	} {
		err := Overlaid(src, tt.overlay).Walk(t.Context(), func(Entry, io.Reader) error { return nil })
		if err == nil || !strings.Contains(err.Error(), tt.want) {
			t.Errorf("error %v, want %q", err, tt.want)
		}
	}
}

// TestOverlaidTree compares the tree with the walk.
func TestOverlaidTree(t *testing.T) {
	root := testRoot(t)
	must(t, os.WriteFile(filepath.Join(root, "etc/zzz"), []byte("z"), 0o644))
	d, err := NewDirSource(root)
	must(t, err)
	s := Overlaid(d, overlayOf("/etc/deep/er/hosts", "new hosts", "/ping6", "new ping", "/etc/absolute", "no link", "/etc/added", "A", "/new/dir/f", "F", "/.cloudlet/applied_config", "{}"))
	tree, ok := s.(Tree)
	if !ok {
		t.Fatal("it is no tree")
	}
	want := contents(t, s)
	if got := want["/etc/hosts"]; got != "1127.0.0.1 localhost\n" {
		t.Errorf("the other name of a replaced file has %q", got)
	}
	listed := map[string]bool{"/": true}
	must(t, WalkTree(tree, "/", func(e Entry) error {
		listed[e.Path] = true
		got := "directory"
		if e.Type != Directory {
			got = string('0'+rune(e.Type)) + e.Link
		}
		if e.Type == Regular {
			content, err := ReadFile(tree, e.Path, 1<<20)
			must(t, err)
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

// TestOverlaidTreeKeepsDirectoriesTogether: what extracts a tarball sets the
// time of a directory when it leaves it.
func TestOverlaidTreeKeepsDirectoriesTogether(t *testing.T) {
	d, err := NewDirSource(testRoot(t))
	must(t, err)
	var order []string
	must(t, Overlaid(d, overlayOf("/.cloudlet/applied_config", "{}", "/etc/added/x", "A")).Walk(t.Context(), func(e Entry, _ io.Reader) error {
		order = append(order, e.Path)
		return nil
	}))
	for i, p := range order {
		if p == "/.cloudlet/applied_config" && order[i-1] != "/.cloudlet" || p == "/etc/added" && order[i-1] != "/etc" || p == "/etc/added/x" && order[i-1] != path.Dir(p) {
			t.Errorf("%s comes after %s", p, order[i-1])
		}
	}
}

// TestOverlaidTreeOfLinks has a tree that shows hard links as such.
func TestOverlaidTreeOfLinks(t *testing.T) {
	src := linkTree{newTree("/file = old", "/z = x")}
	src.memTree["/link"] = File{Entry: Entry{Path: "/link", Type: HardLink, Link: "/file"}}
	tree := Overlaid(src, overlayOf("/file", "new")).(Tree)
	e, err := tree.Entry("/link")
	if err != nil || e.Type != Regular || e.Size != 3 || e.Path != "/link" {
		t.Errorf("entry %+v, %v", e, err)
	}
	list, err := tree.ReadDir("/")
	if err != nil || len(list) != 3 || !cmp.Equal(list[1], e) {
		t.Errorf("list %+v, %v", list, err)
	}
	if text, err := ReadFile(tree, "/link", 10); string(text) != "old" || err != nil {
		t.Errorf("it reads %q, %v", text, err)
	}
}

// linkTree is a tree in memory with hard links.
type linkTree struct{ memTree }

func (t linkTree) Walk(ctx context.Context, visit VisitFunc) error {
	return lines("/file = old", "/link => /file", "/z = x").Walk(ctx, visit)
}

func (t linkTree) Open(p string) (io.ReadCloser, error) {
	if f := t.memTree[p]; f.Type == HardLink {
		p = f.Link
	}
	return t.memTree.Open(p)
}
