//go:build linux

package images

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// noTree is a source that is nothing but that.
type noTree struct{ Source }

func TestNewFindsTheManifest(t *testing.T) {
	d, err := NewDirSource(testRoot(t))
	must(t, err)
	data, err := os.ReadFile(tarOf(t, d))
	must(t, err)
	linked := tarball(t, entry(tar.TypeReg, "{}", ""), entry(tar.TypeDir, ".cloudlet", ""), entry(tar.TypeSymlink, ".cloudlet/manifest", "../{}"))
	sources := map[string]Source{"directory": d, "plain": noTree{d}, "behind a link": inMemory(t, linked)}
	for form, s := range forms(t, data) {
		sources[form] = s
	}
	for name, src := range sources {
		im, err := New(t.Context(), "/images/web.tar.gz", src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if im.Name != "web" || im.Path != "/images/web.tar.gz" || im.Source != src || name != "behind a link" && im.Manifest.Name != "one-of-everything" {
			t.Errorf("%s: %+v", name, im)
		}
		must(t, im.Close())
	}
}

// TestNewTakesTheLastManifest reads a tarball to which a manifest was appended.
func TestNewTakesTheLastManifest(t *testing.T) {
	root, file := testRoot(t), filepath.Join(t.TempDir(), "x.tar")
	run(t, "tar", "tar", "-C", root, "-cf", file, ".")
	must(t, os.WriteFile(filepath.Join(root, ManifestPath), []byte(`{"name": "appended"}`), 0o644))
	run(t, "tar", "tar", "-C", root, "-rf", file, "./.cloudlet/manifest")
	data, err := os.ReadFile(file)
	must(t, err)
	for form, s := range forms(t, data) {
		im, err := New(t.Context(), file, s)
		must(t, err)
		if im.Manifest.Name != "appended" {
			t.Errorf("%s: the manifest of %s counts", form, im.Manifest.Name)
		}
		must(t, im.Close())
	}
}

func TestNewWithAManifestApart(t *testing.T) {
	const apart = `{"name": "apart"}`
	d, err := NewDirSource(testRoot(t))
	must(t, err)
	data, err := os.ReadFile(tarOf(t, d))
	must(t, err)
	bare := tarball(t, entry(tar.TypeReg, "etc/hosts", ""))
	sources := map[string]Source{"directory": d, "no manifest of its own": inMemory(t, bare)}
	for form, s := range forms(t, data) {
		sources[form] = s
	}
	for name, src := range sources {
		im, err := New(t.Context(), t.TempDir(), WithManifest(src, []byte(apart)))
		must(t, err)
		tree, err := im.Tree(t.Context())
		must(t, err)
		inTree, err1 := ReadFile(tree, ManifestPath, 100)
		inWalk := contents(t, im.Source)[ManifestPath]
		if must(t, err1); im.Manifest.Name != "apart" || string(inTree) != apart || inWalk != apart {
			t.Errorf("%s: manifest %s, %q in the tree, %q in the walk", name, im.Manifest.Name, inTree, inWalk)
		}
		if _, err := tree.Entry("/etc/hosts"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		one, err1 := im.Fingerprint(t.Context())
		other, err := New(t.Context(), im.Path, WithManifest(src, []byte(`{}`)))
		must(t, err)
		two, err2 := other.Fingerprint(t.Context())
		if must(t, err1, err2, im.Close()); one == two {
			t.Errorf("%s: the fingerprint does not tell one manifest from another", name)
		}
	}
}

func TestImageTree(t *testing.T) {
	d, err := NewDirSource(testRoot(t))
	must(t, err)
	im, err := New(t.Context(), "x", noTree{d})
	must(t, err)
	if tree, err := im.Tree(t.Context()); err == nil || !strings.Contains(err.Error(), "unpack it into a directory first") {
		t.Errorf("tree %v, %v", tree, err)
	}
	if im, err = New(t.Context(), "x", d); err != nil {
		t.Fatal(err)
	}
	if tree, err := im.Tree(t.Context()); tree != Tree(d) || err != nil {
		t.Errorf("tree %v, %v", tree, err)
	}
}

func TestFingerprintOfAStreamIsThatOfItsContent(t *testing.T) {
	a, b := tarball(t, entry(tar.TypeReg, "a", "")), tarball(t, entry(tar.TypeReg, "b", ""))
	sum := func(data []byte) string {
		sum, err := inMemory(t, data).Fingerprint(t.Context())
		if must(t, err); len(sum) != 64 {
			t.Errorf("fingerprint %q", sum)
		}
		return sum
	}
	if sum(a) != sum(a) || sum(a) == sum(b) {
		t.Error("the fingerprint does not follow the content")
	}
}

func TestFingerprintLeavesOutRepositories(t *testing.T) {
	root := testRoot(t)
	must(t, os.MkdirAll(filepath.Join(root, ".git/objects"), 0o755))
	before, err := Fingerprint(t.Context(), root)
	must(t, err, os.WriteFile(filepath.Join(root, ".git/index"), []byte("x"), 0o644), os.WriteFile(filepath.Join(root, ".git/objects/x"), nil, 0o644))
	if after, err := Fingerprint(t.Context(), root); after != before || err != nil {
		t.Errorf("fingerprint %s, before %s, %v", after, before, err)
	}
}
