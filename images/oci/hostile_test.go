package oci

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cloudlets/images"
	"cloudlets/images/filelist"
	"cloudlets/images/tarball"
)

// drain reads all of a source.
func drain(ctx context.Context, src images.Source) error {
	return src.Walk(ctx, func(_ images.Entry, content io.Reader) error {
		if content == nil {
			return nil
		}
		_, err := io.Copy(io.Discard, content)
		return err
	})
}

// TestHostileLayers reads layers that no image tool makes.
func TestHostileLayers(t *testing.T) {
	for name, c := range map[string]struct {
		layers [][]item
		want   string
	}{
		"dot-dot":               {[][]item{{reg("../evil", "x")}}, `".."`},
		"dot-dot-inside":        {[][]item{{reg("a/../../evil", "x")}}, `".."`},
		"link-dot-dot":          {[][]item{{link("a", "../../etc/passwd")}}, `".."`},
		"link-to-nothing":       {[][]item{{link("a", "etc/passwd")}}, "hard link to /etc/passwd"},
		"link-to-directory":     {[][]item{{dir("d"), link("a", "d")}}, "hard link to the directory"},
		"link-to-what-is-gone":  {[][]item{{reg("a", "x")}, {reg(".wh.a", ""), link("b", "a")}}, "hard link to /a"},
		"in-a-file":             {[][]item{{reg("a", "x")}, {reg("a/b", "y")}}, "not a directory"},
		"symlinks-in-a-circle":  {[][]item{{sym("a", "b"), sym("b", "a"), reg("a/x", "y")}}, "symbolic links"},
		"whiteout-of-parent":    {[][]item{{dir("d")}, {reg("d/.wh...", "")}}, "not a valid name"},
		"whiteout-of-nothing":   {[][]item{{reg("d/.wh.", "")}}, "not a valid name"},
		"root-is-a-file":        {[][]item{{reg(".", "x")}}, "root"},
		"long-path-by-symlinks": {[][]item{longPath()}, "cannot be opened"},
	} {
		t.Run(name, func(t *testing.T) {
			im := mustOpen(t, writeLayout(t, map[string]v1.Image{"v1": makeImage(t, "amd64", c.layers...)}), Options{})
			if err := drain(t.Context(), im); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// longPath makes a path that is deeper than any single name in the layer.
func longPath() []item {
	deep := strings.TrimSuffix(strings.Repeat("d/", 1500), "/")
	return []item{reg(deep+"/x", ""), sym("a", deep), reg("a/"+deep+"/y", "")}
}

func TestMaxSize(t *testing.T) {
	zeros := strings.Repeat("\x00", 4<<20)
	img := makeImage(t, "amd64", []item{reg("a", zeros)}, []item{reg("b", zeros)})
	folder := writeLayout(t, map[string]v1.Image{"v1": img})
	if err := drain(t.Context(), mustOpen(t, folder, Options{MaxSize: 9 << 20})); err != nil {
		t.Errorf("8 MiB where 9 are allowed: %v", err)
	}
	for _, max := range []int64{6 << 20, 1 << 20} { // both layers together, one alone
		if err := drain(t.Context(), mustOpen(t, folder, Options{MaxSize: max})); err == nil || !strings.Contains(err.Error(), "--max-size") {
			t.Errorf("8 MiB where %d are allowed: %v", max, err)
		}
	}
	packed := tarOf(t, folder, "-z")
	if _, err := Open(t.Context(), packed, Options{MaxSize: 100}); err == nil || !strings.Contains(err.Error(), "--max-size") {
		t.Errorf("a compressed archive: %v", err)
	}
}

// TestDamage changes each file of a layout in turn.
func TestDamage(t *testing.T) {
	img := makeImage(t, "amd64", []item{reg("a", strings.Repeat("text ", 1000))}, []item{reg("b", "b")}, []item{reg("c", "c")})
	clean := writeLayout(t, map[string]v1.Image{"v1": img})
	blobs, err := filepath.Glob(filepath.Join(clean, "blobs/sha256/*"))
	if err != nil || len(blobs) != 5 {
		t.Fatalf("%d blobs, %v; want 3 layers, a manifest and a configuration", len(blobs), err)
	}
	for _, blob := range blobs {
		text, err := os.ReadFile(blob)
		if err != nil {
			t.Fatal(err)
		}
		flipped := bytes.Clone(text)
		flipped[len(text)/2] ^= 1
		for how, damaged := range map[string][]byte{"flipped": flipped, "short": text[:len(text)-1], "long": append(bytes.Clone(text), 0)} {
			if err := openDamaged(t, clean, blob, damaged); err == nil {
				t.Errorf("%s, %s: nothing was noticed", filepath.Base(blob), how)
			}
		}
		if err := os.Remove(blob); err != nil {
			t.Fatal(err)
		}
		if err := openAndDrain(t.Context(), clean); err == nil || !strings.Contains(err.Error(), filepath.Base(blob)+" is missing") {
			t.Errorf("%s is missing: %v", filepath.Base(blob), err)
		}
		if err := os.WriteFile(blob, text, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := openAndDrain(t.Context(), clean); err != nil {
		t.Errorf("undamaged: %v", err)
	}
}

// openDamaged opens a layout in which one file is replaced for a while.
func openDamaged(t *testing.T, layout, name string, damaged []byte) error {
	t.Helper()
	good, err := os.ReadFile(name)
	if err == nil {
		err = os.WriteFile(name, damaged, 0o644)
	}
	if err != nil {
		t.Fatal(err)
	}
	found := openAndDrain(t.Context(), layout)
	if err := os.WriteFile(name, good, 0o644); err != nil {
		t.Fatal(err)
	}
	return found
}

func openAndDrain(ctx context.Context, path string) error {
	im, err := Open(ctx, path, Options{})
	if err != nil {
		return err
	}
	return errors.Join(drain(ctx, im), im.Close())
}

func TestDamagedDockerArchive(t *testing.T) {
	name := writeDocker(t, makeImage(t, "amd64", []item{}, []item{}, []item{reg("a", strings.Repeat("text ", 1000))}), "example.org/web:v1")
	text, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	if !bytes.Contains(text, []byte("text text")) {
		t.Fatal("the layer is not there as it is")
	}
	if err := os.WriteFile(name, bytes.Replace(text, []byte("text text"), []byte("text test"), 1), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := openAndDrain(t.Context(), name); !errors.Is(err, errDamaged) {
		t.Errorf("error %v, want that it is damaged", err)
	}
}

// TestFoldersLinksStayInside opens a layout whose blobs are links.
func TestFoldersLinksStayInside(t *testing.T) {
	layout := writeLayout(t, map[string]v1.Image{"v1": makeImage(t, "amd64", []item{reg("a", "a")})})
	index := filepath.Join(layout, indexName)
	outside := filepath.Join(t.TempDir(), "index.json")
	if err := errors.Join(os.Rename(index, outside), os.Symlink(outside, index)); err != nil {
		t.Fatal(err)
	}
	if _, err := Open(t.Context(), layout, Options{}); err == nil {
		t.Error("a link led out of the layout")
	}
}

func TestCancelled(t *testing.T) {
	im := mustOpen(t, writeLayout(t, map[string]v1.Image{"v1": makeImage(t, "amd64", []item{reg("a", "a")})}), Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := drain(ctx, im); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := im.Tree(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("Tree: error %v", err)
	}
	broken := errors.New("the visitor's own")
	err := im.Walk(t.Context(), func(e images.Entry, _ io.Reader) error {
		if e.Path == "/a" {
			return broken
		}
		return nil
	})
	if err != broken {
		t.Errorf("error %v, want the visitor's", err)
	}
}

// FuzzFlatten puts two layers with arbitrary bytes on top of each other.
func FuzzFlatten(f *testing.F) {
	for _, c := range flattenings {
		if len(c.layers) == 2 {
			f.Add(layerTar(f, c.layers[0]), layerTar(f, c.layers[1]))
		}
	}
	f.Add(layerTar(f, longPath()), []byte{})
	f.Fuzz(func(t *testing.T, low, up []byte) {
		flat := newFlattener(1 << 20)
		for i, data := range [][]byte{low, up} {
			err := entries(bytes.NewReader(data), func(at int, h *tar.Header, _ io.Reader) error {
				e, err := tarball.Entry(h)
				if err == nil {
					err = flat.add(e, i, at)
				}
				return err
			})
			if err != nil {
				return
			}
		}
		kinds := map[string]images.Type{}
		see := func(e images.Entry) {
			checkNext(t, kinds, e)
			kinds[e.Path] = e.Type
		}
		list := flat.list(2)
		entries := filelist.NewMaker(list.files)
		for _, files := range append([][]uint32{list.bare}, list.contents...) {
			for _, i := range files {
				see(entries.CanonicalEntry(i, list.order))
			}
		}
	})
}
