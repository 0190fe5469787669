//go:build linux

package oci

import (
	"archive/tar"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/rootfs"
	"cloudlets/testdata/needs"
)

// foreignLayers contain what is in the images of distributions.
func foreignLayers() [][]item {
	return [][]item{
		{
			dir("etc"), reg("etc/passwd", "root"), reg("etc/shadow", "x").with(func(h *tar.Header) { h.Mode, h.Gid = 0o640, 42 }),
			dir("usr"), dir("usr/lib"), sym("lib", "usr/lib"), reg("usr/lib/libc.so", "elf"), link("usr/lib/libc.so.6", "usr/lib/libc.so"),
			dir("tmp").with(func(h *tar.Header) { h.Mode = 0o1777 }), dir("var"), dir("var/cache"), reg("var/cache/a", "a"), reg("var/cache/b", "b"),
			reg("su", "s").with(func(h *tar.Header) { h.Mode = 0o4755 }),
		},
		{reg("usr/lib/libd.so", "d"), dir("etc"), reg("etc/.wh.passwd", ""), dir("var/cache"), reg("var/cache/.wh..wh..opq", ""), reg("var/cache/c", "c")},
		{reg("etc/shadow", "y"), dir("opt").with(func(h *tar.Header) { h.Uid = 1000 })},
	}
}

// oldCompressions are those that all tools support.
var oldCompressions = []string{"gzip", "none"}

// TestAgainstUmoci compares our files with those that another tool unpacks.
func TestAgainstUmoci(t *testing.T) {
	needs.Root(t)
	layout := writeLayout(t, map[string]v1.Image{"v1": makePacked(t, "amd64", oldCompressions, foreignLayers()...)})
	work := t.TempDir()
	theirs, ours := filepath.Join(work, "theirs"), filepath.Join(work, "ours")
	run(t, "umoci", "raw", "unpack", "--image", layout+":v1", theirs)
	if _, err := rootfs.Write(t.Context(), ours, mustOpen(t, layout, Options{}), rootfs.Options{NoSync: true}); err != nil {
		t.Fatal(err)
	}
	want, got := listed(t, theirs), listed(t, ours)
	if len(want) < 10 {
		t.Fatalf("umoci unpacked %d files only", len(want))
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("umoci unpacks something else (-umoci +ours):\n%s", diff)
	}
}

// listed describes everything in a directory except the times of directories.
func listed(t *testing.T, dir string) []images.Entry {
	t.Helper()
	src, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	var list []images.Entry
	if err := images.WalkTree(src, "/", func(e images.Entry) error {
		if e.Type == images.Directory {
			e.ModTime = testTime
		}
		list = append(list, e)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return list
}

// TestSkopeoWrites lets another tool convert a layout to all kinds of bundles.
func TestSkopeoWrites(t *testing.T) {
	layout := writeLayout(t, map[string]v1.Image{"v1": makePacked(t, "amd64", oldCompressions, foreignLayers()...)})
	want := show(t, mustOpen(t, layout, Options{}))
	work := t.TempDir()
	policy := filepath.Join(work, "policy.json")
	if err := os.WriteFile(policy, []byte(`{"default": [{"type": "insecureAcceptAnything"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	for kind, to := range map[Kind]string{
		Layout: "oci:" + work + "/layout:web", Archive: "oci-archive:" + work + "/oci.tar:web", DockerArchive: "docker-archive:" + work + "/docker.tar:example.org/web:1",
	} {
		run(t, "skopeo", "--policy", policy, "copy", "-q", "oci:"+layout+":v1", to)
		path := filepath.Join(work, map[Kind]string{Layout: "layout", Archive: "oci.tar", DockerArchive: "docker.tar"}[kind])
		if found, ok := Detect(path); found != kind || !ok {
			t.Errorf("%s is detected as %q, %v", to, found, ok)
		}
		im := mustOpen(t, path, Options{})
		if got := show(t, im); !slices.Equal(got, want) {
			t.Errorf("%s (-want +got):\n%s", to, cmp.Diff(want, got))
		}
		if im.Config().User != "web" {
			t.Errorf("%s: configuration %+v", to, im.Config())
		}
	}
}
