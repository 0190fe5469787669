package oci

import (
	"archive/tar"
	"io"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"

	"cloudlets/images"
)

// flattenings are layers and the resulting files, sorted by path.
var flattenings = map[string]struct {
	layers [][]item
	want   []string
}{
	"one-layer": {
		layers: [][]item{{dir("etc"), reg("etc/hosts", "h"), sym("lib", "usr/lib"), link("etc/also", "etc/hosts"), reg("empty", "")}},
		want:   []string{"d /etc", "f /empty ", "h /etc/hosts = /etc/also", "f /etc/also h", "l /lib -> usr/lib"},
	},
	"implied-directories": {
		layers: [][]item{{reg("a/b/c", "x")}},
		want:   []string{"d /a", "d /a/b", "f /a/b/c x"},
	},
	"upper-file-wins": {
		layers: [][]item{{reg("a", "low"), reg("b", "b")}, {reg("a", "up")}},
		want:   []string{"f /a up", "f /b b"},
	},
	"upper-directory-keeps-what-is-in-it": {
		layers: [][]item{{dir("d"), reg("d/a", "a")}, {dir("d").with(func(h *tar.Header) { h.Mode = 0o700 }), reg("d/b", "b")}},
		want:   []string{"d -rwx------ /d", "f /d/a a", "f /d/b b"},
	},
	"directory-over-file": {
		layers: [][]item{{reg("x", "file")}, {dir("x"), reg("x/y", "y")}},
		want:   []string{"d /x", "f /x/y y"},
	},
	"file-over-directory": {
		layers: [][]item{{dir("x"), reg("x/y", "y")}, {reg("x", "file")}},
		want:   []string{"f /x file"},
	},
	"symlink-over-directory": {
		layers: [][]item{{dir("lib"), reg("lib/a", "a")}, {dir("usr"), sym("lib", "usr")}},
		want:   []string{"d /usr", "l /lib -> usr"},
	},
	"directory-over-symlink": {
		layers: [][]item{{dir("usr"), sym("lib", "usr")}, {dir("lib"), reg("lib/a", "a")}},
		want:   []string{"d /lib", "d /usr", "f /lib/a a"},
	},
	"whiteout": {
		layers: [][]item{{reg("a", "a"), reg("b", "b"), dir("d"), reg("d/x", "x")}, {reg(".wh.a", ""), reg(".wh.d", ""), reg(".wh.nothing", ""), reg("no/.wh.no", "")}},
		want:   []string{"f /b b"},
	},
	"whiteout-and-anew": {
		layers: [][]item{{dir("d"), reg("d/old", "x")}, {reg(".wh.d", ""), dir("d"), reg("d/new", "y")}},
		want:   []string{"d /d", "f /d/new y"},
	},
	"whiteout-after-what-is-new": {
		layers: [][]item{{dir("d"), reg("d/old", "x"), reg("f", "old")}, {dir("d"), reg("d/new", "y"), reg("f", "new"), reg(".wh.d", ""), reg(".wh.f", "")}},
		want:   []string{"d /d", "f /d/new y", "f /f new"},
	},
	"whiteout-of-three": {
		layers: [][]item{{reg("a", "1")}, {reg(".wh.a", "")}, {reg("a", "3")}, {reg("b", "b")}},
		want:   []string{"f /a 3", "f /b b"},
	},
	"opaque": {
		layers: [][]item{
			{dir("d"), reg("d/old", "x"), dir("d/sub"), reg("d/sub/old", "z"), dir("d/gone"), reg("stays", "s")},
			{dir("d"), reg("d/new", "y"), reg("d/.wh..wh..opq", ""), reg("d/sub/new", "n")},
		},
		want: []string{"d /d", "d /d/sub", "f /d/new y", "f /d/sub/new n", "f /stays s"},
	},
	"aufs-marks": {
		layers: [][]item{{reg(".wh..wh.aufs", ""), dir(".wh..wh.plnk"), reg(".wh..wh.plnk/1.2", "x"), reg("a", "a")}},
		want:   []string{"f /a a"},
	},
	"hard-link-to-lower": {
		layers: [][]item{{reg("a", "a")}, {link("b", "a")}},
		want:   []string{"f /a a", "h /b = /a"},
	},
	"hard-link-outlives-target": {
		layers: [][]item{{reg("a", "first"), link("b", "a"), link("c", "a")}, {reg(".wh.a", "")}, {link("d", "c")}},
		want:   []string{"f /b first", "h /c = /b", "h /d = /b"},
	},
	"hard-link-keeps-what-was-replaced": {
		layers: [][]item{{reg("a", "first"), link("b", "a")}, {reg("a", "second"), link("c", "a")}},
		want:   []string{"f /a second", "f /b first", "h /c = /a"},
	},
	"hard-link-replaced-in-its-layer": {
		layers: [][]item{{reg("a", "first"), link("b", "a"), reg("a", "second")}},
		want:   []string{"f /a second", "f /b first"},
	},
	"hard-link-to-symlink-and-device": {
		layers: [][]item{{
			sym("s", "x"), link("s2", "s"),
			{Header: tar.Header{Name: "null", Typeflag: tar.TypeChar, Mode: 0o666, Devmajor: 1, Devminor: 3}}, link("null2", "null"),
		}},
		want: []string{"h /null2 = /null", "h /s2 = /s", "l /s -> x", "n -rw-rw-rw- /null"},
	},
	"through-a-symlink": {
		layers: [][]item{{dir("usr"), dir("usr/lib"), sym("lib", "usr/lib"), reg("lib/a", "a")}, {reg("lib/b", "b"), reg("lib/.wh.a", ""), link("c", "lib/b")}},
		want:   []string{"d /usr", "d /usr/lib", "f /c b", "h /usr/lib/b = /c", "l /lib -> usr/lib"},
	},
	"symlink-that-leads-out-stays-in": {
		layers: [][]item{{sym("out", "../../.."), sym("abs", "/etc"), reg("out/evil", "1"), reg("abs/evil", "2")}},
		want:   []string{"d /etc", "f /etc/evil 2", "f /evil 1", "l /abs -> /etc", "l /out -> ../../.."},
	},
	"bookkeeping": {
		layers: [][]item{{dir(".git"), reg(".git/config", "x"), reg(".cloudlet/metadata", "m"), reg(".cloudlet/manifest", "{}"), reg("srv/.git/x", "stays")}},
		want:   []string{"d /.cloudlet", "d /srv", "d /srv/.git", "f /.cloudlet/manifest {}", "f /srv/.git/x stays"},
	},
	"names": {
		layers: [][]item{{reg("./a\n\xff", "x"), reg("/abs", "y"), reg(strings.Repeat("n", 255), "z")}},
		want:   []string{"f /" + strings.Repeat("n", 255) + " z", "f /a\n\xff x", "f /abs y"},
	},
}

func TestFlattening(t *testing.T) {
	for name, c := range flattenings {
		t.Run(name, func(t *testing.T) {
			im := mustOpen(t, writeLayout(t, map[string]v1.Image{"v1": makeImage(t, "amd64", c.layers...)}), Options{})
			got := show(t, im)
			checkOrder(t, im)
			if again := show(t, im); !slices.Equal(got, again) {
				t.Errorf("another walk shows something else: %q and %q", got, again)
			}
			slices.Sort(got)
			want := append([]string{"d /"}, c.want...)
			slices.Sort(want)
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("(-want +got):\n%s", diff)
			}
		})
	}
}

// checkOrder checks what the interface promises about a walk.
func checkOrder(t testing.TB, src images.Source) {
	t.Helper()
	kinds := map[string]images.Type{}
	err := src.Walk(t.Context(), func(e images.Entry, _ io.Reader) error {
		checkNext(t, kinds, e)
		kinds[e.Path] = e.Type
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkNext(t testing.TB, kinds map[string]images.Type, e images.Entry) {
	t.Helper()
	if _, twice := kinds[e.Path]; twice {
		t.Errorf("%q is there twice", e.Path)
	}
	for part := range strings.SplitSeq(strings.TrimPrefix(e.Path, "/"), "/") {
		if e.Path != "/" && (part == "" || part == "." || part == ".." || strings.HasPrefix(part, whiteoutPrefix+whiteoutPrefix)) {
			t.Errorf("%q is no path of a file", e.Path)
		}
	}
	if e.Path != "/" && kinds[parentOf(e.Path)] != images.Directory {
		t.Errorf("%q comes before its directory", e.Path)
	}
	if target := kinds[e.Link]; e.Type == images.HardLink && (target == 0 || target == images.HardLink || target == images.Directory) {
		t.Errorf("%q is a link to %q, which is no file before it", e.Path, e.Link)
	}
}

func parentOf(p string) string {
	if i := strings.LastIndexByte(p, '/'); i > 0 {
		return p[:i]
	}
	return "/"
}

// TestEveryKindIsTheSame opens one image in bundles of every kind.
func TestEveryKindIsTheSame(t *testing.T) {
	img := makeImage(t, "amd64", []item{dir("etc"), reg("etc/a", "a"), reg("b", strings.Repeat("b", 100_000))}, []item{reg("etc/.wh.a", ""), reg("c", "c")})
	folder := writeLayout(t, map[string]v1.Image{"v1": img})
	docker := writeDocker(t, img, "example.org/web:v1")
	packedDocker := docker + ".zst"
	run(t, "zstd", "-q", docker, "-o", packedDocker)
	for name, c := range map[string]struct {
		path string
		kind Kind
	}{
		"layout":         {folder, Layout},
		"archive":        {tarOf(t, folder), Archive},
		"archive-gzip":   {tarOf(t, folder, "-z"), Archive},
		"docker-archive": {docker, DockerArchive},
		"docker-zstd":    {packedDocker, DockerArchive},
	} {
		t.Run(name, func(t *testing.T) {
			if kind, ok := Detect(c.path); kind != c.kind || !ok {
				t.Errorf("Detect says %q, %v", kind, ok)
			}
			for _, ref := range []string{"", "v1"} {
				im := mustOpen(t, c.path, Options{Ref: ref})
				want := []string{"d /", "d /etc", "f /b " + strings.Repeat("b", 100_000), "f /c c"}
				if diff := cmp.Diff(want, show(t, im)); diff != "" {
					t.Errorf("(-want +got):\n%s", diff)
				}
				checkConfig(t, im)
			}
		})
	}
}

func checkConfig(t *testing.T, im *Image) {
	t.Helper()
	want := Config{
		OS: "linux", Architecture: "amd64", Entrypoint: []string{"/init"}, Cmd: []string{"-v"}, Env: []string{"A=b"},
		WorkingDir: "/srv", User: "web", Labels: map[string]string{"k": "v"},
	}
	if diff := cmp.Diff(want, im.Config()); diff != "" {
		t.Errorf("configuration (-want +got):\n%s", diff)
	}
	print, err := im.Fingerprint(t.Context())
	if len(print) != 64 || err != nil {
		t.Errorf("fingerprint %q, %v", print, err)
	}
}

func TestTree(t *testing.T) {
	im := mustOpen(t, writeLayout(t, map[string]v1.Image{"v1": makeImage(t, "amd64", []item{reg("a", "low")}, []item{reg("a", "up"), link("b", "a")})}), Options{})
	for range 2 {
		tree, err := im.Tree(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		text, err := images.ReadFile(tree, "/b", 10)
		if err != nil || string(text) != "up" {
			t.Errorf("/b is %q, %v", text, err)
		}
	}
}

func TestDetectOthers(t *testing.T) {
	root := t.TempDir()
	if kind, ok := Detect(root); ok {
		t.Errorf("an empty folder is a %s", kind)
	}
	if kind, ok := Detect(tarOf(t, root)); ok {
		t.Errorf("an empty tarball is a %s", kind)
	}
	if kind, ok := Detect(root + "/no"); ok {
		t.Errorf("what is not there is a %s", kind)
	}
	if _, err := Open(t.Context(), tarOf(t, root), Options{}); err == nil || !strings.Contains(err.Error(), "not a container image") {
		t.Errorf("opening a tarball: %v", err)
	}
}
