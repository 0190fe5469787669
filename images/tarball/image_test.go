//go:build linux

package tarball

import (
	"archive/tar"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/fingerprint"
	"cloudlets/images/imagetest"
	"cloudlets/images/layers"
)

// noTree is a source that is nothing but that.
type noTree struct{ images.Source }

func TestNewFindsTheManifest(t *testing.T) {
	d, err := dirtree.Open(imagetest.OneOfEach(t))
	imagetest.Must(t, err)
	data, err := os.ReadFile(imagetest.TarOf(t, d))
	imagetest.Must(t, err)
	linked := archive(t, entry(tar.TypeReg, "{}", ""), entry(tar.TypeDir, ".cloudlet", ""), entry(tar.TypeSymlink, ".cloudlet/manifest", "../{}"))
	sources := map[string]images.Source{"directory": d, "plain": noTree{d}, "behind a link": inMemory(t, linked)}
	for form, s := range forms(t, data) {
		sources[form] = s
	}
	for name, src := range sources {
		im, err := images.New(t.Context(), "/images/web.tar.gz", src)
		if err != nil {
			t.Errorf("%s: %v", name, err)
			continue
		}
		if im.Name != "web" || im.Path != "/images/web.tar.gz" || im.Source != src || name != "behind a link" && im.Manifest.Name != "one-of-everything" {
			t.Errorf("%s: %+v", name, im)
		}
		imagetest.Must(t, im.Close())
	}
}

// TestNewTakesTheLastManifest reads a tarball to which a manifest was appended.
func TestNewTakesTheLastManifest(t *testing.T) {
	root, file := imagetest.OneOfEach(t), filepath.Join(t.TempDir(), "x.tar")
	imagetest.Run(t, "tar", "tar", "-C", root, "-cf", file, ".")
	imagetest.Must(t, os.WriteFile(filepath.Join(root, images.ManifestPath), []byte(`{"name": "appended"}`), 0o644))
	imagetest.Run(t, "tar", "tar", "-C", root, "-rf", file, "./.cloudlet/manifest")
	data, err := os.ReadFile(file)
	imagetest.Must(t, err)
	for form, s := range forms(t, data) {
		im, err := images.New(t.Context(), file, s)
		imagetest.Must(t, err)
		if im.Manifest.Name != "appended" {
			t.Errorf("%s: the manifest of %s counts", form, im.Manifest.Name)
		}
		imagetest.Must(t, im.Close())
	}
}

func TestNewWithAManifestApart(t *testing.T) {
	const apart = `{"name": "apart"}`
	d, err := dirtree.Open(imagetest.OneOfEach(t))
	imagetest.Must(t, err)
	data, err := os.ReadFile(imagetest.TarOf(t, d))
	imagetest.Must(t, err)
	bare := archive(t, entry(tar.TypeReg, "etc/hosts", ""))
	sources := map[string]images.Source{"directory": d, "no manifest of its own": inMemory(t, bare)}
	for form, s := range forms(t, data) {
		sources[form] = s
	}
	for name, src := range sources {
		im, err := images.New(t.Context(), t.TempDir(), layers.WithManifest(src, []byte(apart)))
		imagetest.Must(t, err)
		tree, err := im.Tree(t.Context())
		imagetest.Must(t, err)
		inTree, err1 := images.ReadFile(tree, images.ManifestPath, 100)
		inWalk := imagetest.Contents(t, im.Source)[images.ManifestPath]
		if imagetest.Must(t, err1); im.Manifest.Name != "apart" || string(inTree) != apart || inWalk != "1"+apart {
			t.Errorf("%s: manifest %s, %q in the tree, %q in the walk", name, im.Manifest.Name, inTree, inWalk)
		}
		if _, err := tree.Entry("/etc/hosts"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		one, err1 := im.Fingerprint(t.Context())
		other, err := images.New(t.Context(), im.Path, layers.WithManifest(src, []byte(`{}`)))
		imagetest.Must(t, err)
		two, err2 := other.Fingerprint(t.Context())
		if imagetest.Must(t, err1, err2, im.Close()); one == two {
			t.Errorf("%s: the fingerprint does not tell one manifest from another", name)
		}
	}
}

func TestImageTree(t *testing.T) {
	d, err := dirtree.Open(imagetest.OneOfEach(t))
	imagetest.Must(t, err)
	im, err := images.New(t.Context(), "x", noTree{d})
	imagetest.Must(t, err)
	if tree, err := im.Tree(t.Context()); err == nil || !strings.Contains(err.Error(), "unpack it into a directory first") {
		t.Errorf("tree %v, %v", tree, err)
	}
	if im, err = images.New(t.Context(), "x", d); err != nil {
		t.Fatal(err)
	}
	if tree, err := im.Tree(t.Context()); tree != images.Tree(d) || err != nil {
		t.Errorf("tree %v, %v", tree, err)
	}
}

func TestFingerprintOfAStreamIsThatOfItsContent(t *testing.T) {
	a, b := archive(t, entry(tar.TypeReg, "a", "")), archive(t, entry(tar.TypeReg, "b", ""))
	sum := func(data []byte) string {
		sum, err := inMemory(t, data).Fingerprint(t.Context())
		if imagetest.Must(t, err); len(sum) != 64 {
			t.Errorf("fingerprint %q", sum)
		}
		return sum
	}
	if sum(a) != sum(a) || sum(a) == sum(b) {
		t.Error("the fingerprint does not follow the content")
	}
}

func TestFingerprintLeavesOutRepositories(t *testing.T) {
	root := imagetest.OneOfEach(t)
	imagetest.Must(t, os.MkdirAll(filepath.Join(root, ".git/objects"), 0o755))
	before, err := fingerprint.Path(t.Context(), root)
	imagetest.Must(t, err, os.WriteFile(filepath.Join(root, ".git/index"), []byte("x"), 0o644), os.WriteFile(filepath.Join(root, ".git/objects/x"), nil, 0o644))
	if after, err := fingerprint.Path(t.Context(), root); after != before || err != nil {
		t.Errorf("fingerprint %s, before %s, %v", after, before, err)
	}
}
