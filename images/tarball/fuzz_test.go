//go:build linux

package tarball

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"path"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images"
	"cloudlets/images/imagetest"
)

// FuzzTarball checks that a walk keeps the rules of a source, and that the
// tree has just what the walk visits.
func FuzzTarball(f *testing.F) {
	f.Add([]byte("text"))
	for _, headers := range [][]*tar.Header{
		{{Typeflag: tar.TypeDir, Name: "a/"}, {Typeflag: tar.TypeLink, Name: "a/b", Linkname: "a/c"}},
		{{Typeflag: tar.TypeSymlink, Name: "a", Linkname: "/"}, {Typeflag: tar.TypeChar, Name: "c", Devmajor: 1}},
		{{Typeflag: tar.TypeReg, Name: "x", PAXRecords: map[string]string{"SCHILY.xattr.user.a": "b"}}},
		{{Typeflag: tar.TypeReg, Name: "x"}, {Typeflag: tar.TypeLink, Name: "d/y", Linkname: "x"}, {Typeflag: tar.TypeReg, Name: "x"}, {Typeflag: tar.TypeDir, Name: "d"}},
	} {
		var b bytes.Buffer
		w := tar.NewWriter(&b)
		for _, h := range headers {
			if err := w.WriteHeader(h); err != nil {
				f.Fatal(err)
			}
		}
		w.Close()
		f.Add(b.Bytes())
	}
	f.Add(append(sparseTar("s", 3<<20, 1<<20, "data"), make([]byte, 2*blockSize)...))
	f.Fuzz(func(t *testing.T, data []byte) {
		if len(data) > 1<<16 {
			return
		}
		s := inMemory(t, data)
		s.MaxSize = 8 << 20
		checkSource(t, s)
	})
}

// checkSource walks a source, if it can be walked, and looks everything up.
func checkSource(t *testing.T, s *Tarball) {
	t.Helper()
	content, entries := map[string][]byte{}, map[string]images.Entry{}
	err := s.Walk(context.Background(), func(e images.Entry, r io.Reader) error {
		if _, twice := entries[e.Path]; twice || e.Path != images.CleanPath(e.Path) {
			t.Fatalf("%q is visited twice, or is not clean", e.Path)
		}
		if e.Path != "/" && entries[path.Dir(e.Path)].Type != images.Directory {
			t.Fatalf("%q comes before its directory", e.Path)
		}
		if target, ok := entries[e.Link]; e.Type == images.HardLink && (!ok || target.Type == images.HardLink || target.Type == images.Directory) {
			t.Fatalf("%q is a link to %q, which is %+v", e.Path, e.Link, target)
		}
		entries[e.Path] = e
		if r == nil {
			return nil
		}
		text, err := io.ReadAll(r)
		if content[e.Path] = text; err != nil || int64(len(text)) != e.Size {
			return fs.SkipAll // a sparse file with less in it than it says
		}
		return nil
	})
	tree, terr := s.Tree(context.Background())
	if err != nil && !errors.Is(err, fs.SkipAll) {
		if terr == nil {
			t.Fatalf("the walk says %v, the tree nothing", err)
		}
		return
	}
	if err == nil {
		compareTree(t, tree, entries, content)
	}
}

// unlinked shows each hard link as the file that it names.
func unlinked(entries map[string]images.Entry) map[string]images.Entry {
	files := map[string]images.Entry{}
	for p, e := range entries {
		if e.Type == images.HardLink {
			e = entries[e.Link]
			e.Path = p
		}
		files[p] = e
	}
	return files
}

// compareOrdered checks that the tree's own walk has the same files in
// canonical order, the first name of each with the content.
func compareOrdered(t *testing.T, tree images.Ordered, order []string, entries map[string]images.Entry, content map[string][]byte) {
	t.Helper()
	var visited []string
	found := map[string]images.Entry{}
	imagetest.Must(t, tree.Walk(t.Context(), func(e images.Entry, r io.Reader) error {
		visited = append(visited, e.Path)
		file := e.Path
		if entries[file].Type == images.HardLink {
			file = entries[file].Link
		}
		if e.Type == images.HardLink && images.ComparePaths(e.Link, e.Path) >= 0 {
			t.Fatalf("%q is a link to %q, which comes later", e.Path, e.Link)
		}
		found[e.Path] = e
		if (r != nil) != (e.Type == images.Regular) {
			t.Fatalf("%q: content is %v", e.Path, r)
		}
		if r == nil {
			return nil
		}
		text, err := io.ReadAll(r)
		if err != nil || !bytes.Equal(text, content[file]) {
			t.Fatalf("%q has %q in the tree's walk, and %q in the archive's, %v", e.Path, text, content[file], err)
		}
		return nil
	}))
	if diff := cmp.Diff(order, visited); diff != "" || !slices.IsSortedFunc(visited, images.ComparePaths) {
		t.Fatalf("the tree has (-), its walk visits (+): %s", diff)
	}
	if diff := cmp.Diff(unlinked(entries), unlinked(found)); diff != "" {
		t.Fatalf("the archive has (-), the tree's walk (+): %s", diff)
	}
}

// compareTree compares a tree with what a walk in the archive's order had.
func compareTree(t *testing.T, tree images.Ordered, entries map[string]images.Entry, content map[string][]byte) {
	t.Helper()
	found := map[string]images.Entry{}
	var order []string
	imagetest.Must(t, images.WalkTree(tree, "/", func(e images.Entry) error {
		found[e.Path] = e
		order = append(order, e.Path)
		return nil
	}))
	if diff := cmp.Diff(unlinked(entries), found); diff != "" {
		t.Fatalf("the walk has (-), the tree has (+): %s", diff)
	}
	compareOrdered(t, tree, order, entries, content)
	for p, e := range entries {
		want, regular := content[p]
		if target, ok := content[e.Link]; e.Type == images.HardLink && ok {
			want, regular = target, true
		}
		r, err := tree.Open(p)
		if !regular {
			if err == nil {
				t.Fatalf("%s can be opened", p)
			}
			continue
		}
		imagetest.Must(t, err)
		got, err := io.ReadAll(r)
		if imagetest.Must(t, err, r.Close()); !bytes.Equal(got, want) {
			t.Fatalf("%s is %.60q in the walk and %.60q in the tree", p, want, got)
		}
	}
}
