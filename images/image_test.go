//go:build linux

package images

import (
	"archive/tar"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func TestOpen(t *testing.T) {
	root := testRoot(t)
	d, err := NewDirSource(root)
	must(t, err)
	for _, path := range []string{root, tarOf(t, d)} {
		im, err := Open(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if im.Manifest.Name != "one-of-everything" || im.Path != path {
			t.Errorf("%s: manifest %+v", path, im.Manifest)
		}
		one, err1 := im.Fingerprint(context.Background())
		two, err2 := im.Fingerprint(context.Background())
		if must(t, err1, err2); one != two || len(one) != 64 {
			t.Errorf("%s: fingerprints %s, %s", path, one, two)
		}
		if got := listing(t, im.Source); len(got) != 22 {
			t.Errorf("%s: %d entries", path, len(got))
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	empty, broken := t.TempDir(), t.TempDir()
	must(t, os.Mkdir(filepath.Join(broken, ".cloudlet"), 0o755), os.WriteFile(filepath.Join(broken, ManifestPath), []byte("{\n  5\n}"), 0o644))
	escape := t.TempDir()
	must(t, os.Symlink("/etc", filepath.Join(escape, ".cloudlet")))
	for path, want := range map[string]string{
		empty: "not a cloudlet: no /.cloudlet/manifest in it", broken: ", line 2, column 3: is not JSON", escape: "not a cloudlet",
		writeTemp(t, tarball(t, entry(tar.TypeReg, "x", ""))): "not a cloudlet: no /.cloudlet/manifest in it; write one there",
		writeTemp(t, []byte("x")):                             "unexpected EOF",
		"/no/such/image":                                      "no such file",
		"/dev/null":                                           "neither a directory nor a tarball",
	} {
		im, err := Open(context.Background(), path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: %v, %v; want %q", path, im, err, want)
		}
		if strings.Contains(want, "not a cloudlet") && !errors.Is(err, ErrNotCloudlet) {
			t.Errorf("open %s: %v is not ErrNotCloudlet", path, err)
		}
	}
}

func TestImageName(t *testing.T) {
	for path, want := range map[string]string{
		"/a/debian-12": "debian-12", "/a/debian-12.tar": "debian-12", "/a/debian-12.tar.zst": "debian-12", "web.tgz": "web",
		"/a/sample.cloudlet/": "sample", "/a/.tar": ".tar", "/a/my.target": "my.target",
	} {
		if got := imageName(path); got != want {
			t.Errorf("name of %s is %q, want %q", path, got, want)
		}
	}
}

func TestFingerprintFollowsTheContent(t *testing.T) {
	root := testRoot(t)
	at := func(name string) string { return filepath.Join(root, name) }
	im, err := Open(context.Background(), root)
	must(t, err)
	print := func() string {
		t.Helper()
		sum, err := im.Fingerprint(context.Background())
		must(t, err)
		return sum
	}
	seen := map[string]string{}
	for _, change := range []struct {
		name string
		do   func() error
	}{
		{"nothing", func() error { return nil }},
		{"content", func() error { return os.WriteFile(at("etc/hosts"), []byte("x"), 0o640) }},
		{"mode", func() error { return os.Chmod(at("etc/deep/er"), 0o700) }},
		{"owner", func() error { return os.Chown(at("etc/empty"), 5, 5) }},
		{"a file more", func() error { return os.WriteFile(at("etc/deep/more"), nil, 0o644) }},
		{"another name", func() error { return os.Rename(at("etc/deep/more"), at("etc/deep/mare")) }},
		{"time", func() error { return os.Chtimes(at("etc/hosts"), time.Unix(1, 2), time.Unix(1, 2)) }},
	} {
		must(t, change.do())
		sum := print()
		if before, ok := seen[sum]; ok {
			t.Errorf("the fingerprint after a change of %s is that after %s", change.name, before)
		}
		if print() != sum {
			t.Errorf("the fingerprint after %s is not repeatable", change.name)
		}
		seen[sum] = change.name
	}
	link := filepath.Join(t.TempDir(), "link")
	must(t, os.Symlink(root, link))
	last := print()
	if im, err = Open(context.Background(), link); err != nil || print() != last {
		t.Errorf("by a link the fingerprint is another one: %v", err)
	}
}

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
		im, err := New(t.Context(), "/images/web.tar.gz", src, nil)
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
		im, err := New(t.Context(), file, s, nil)
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
		im, err := New(t.Context(), t.TempDir(), src, []byte(apart))
		must(t, err)
		tree, err := im.Tree(t.Context())
		must(t, err)
		inTree, err1 := ReadFile(tree, ManifestPath, 100)
		inWalk, err2 := findFile(t.Context(), im.Source, ManifestPath)
		if must(t, err1, err2); im.Manifest.Name != "apart" || string(inTree) != apart || string(inWalk) != apart {
			t.Errorf("%s: manifest %s, %q in the tree, %q in the walk", name, im.Manifest.Name, inTree, inWalk)
		}
		if _, err := tree.Entry("/etc/hosts"); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		one, err1 := im.Fingerprint(t.Context())
		other, err := New(t.Context(), im.Path, src, []byte(`{}`))
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
	im, err := New(t.Context(), "x", noTree{d}, nil)
	must(t, err)
	if tree, err := im.Tree(t.Context()); err == nil || !strings.Contains(err.Error(), "unpack it into a directory first") {
		t.Errorf("tree %v, %v", tree, err)
	}
	if im, err = New(t.Context(), "x", d, nil); err != nil {
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
