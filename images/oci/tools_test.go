//go:build linux

package oci

import (
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"cloudlets/testdata/needs"
)

// fromStream opens what a file has as if it came from a pipe.
func fromStream(t *testing.T, path string, opt Options) *Image {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	im, _, err := OpenStream(t.Context(), "standard input", struct{ io.Reader }{f}, opt)
	if err != nil || im == nil {
		t.Fatalf("%s as a stream: image %v, %v", path, im, err)
	}
	t.Cleanup(func() {
		if err := im.Close(); err != nil {
			t.Error(err)
		}
	})
	return im
}

// TestToolsWrite reads what buildah, podman and skopeo write, as files and as
// streams. Their store keeps the owners of files, which takes root or numbers that the
// system has set aside for the user.
func TestToolsWrite(t *testing.T) {
	needs.Root(t)
	layout := writeLayout(t, map[string]v1.Image{"v1": makePacked(t, "amd64", oldCompressions, foreignLayers()...)})
	want := show(t, mustOpen(t, layout, Options{}))
	work := t.TempDir()
	at := func(name string) string { return filepath.Join(work, name) }
	policy := at("policy.json")
	if err := os.WriteFile(policy, []byte(`{"default": [{"type": "insecureAcceptAnything"}]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	store := []string{"--root", at("store"), "--runroot", at("run"), "--storage-driver", "vfs"}
	tool := func(name string, args ...string) {
		t.Helper()
		run(t, name, append(store[:len(store):len(store)], args...)...)
	}
	run(t, "skopeo", "--policy", policy, "copy", "-q", "oci:"+layout+":v1", "containers-storage:[vfs@"+at("store")+"+"+at("run")+"]localhost/web:1")
	save := func(args ...string) {
		t.Helper()
		tool("podman", append([]string{"save", "-q", "--signature-policy", policy}, append(args, "localhost/web:1")...)...)
	}
	save("--format", "docker-archive", "-o", at("podman.docker.tar"))
	save("--format", "oci-archive", "-o", at("podman.oci.tar"))
	save("--format", "oci-dir", "-o", at("podman.oci"))
	save("--format", "docker-dir", "-o", at("podman.dir"))
	save("--format", "docker-dir", "--compress", "-o", at("podman.gzip.dir"))
	tool("buildah", "push", "-q", "--signature-policy", policy, "localhost/web:1", "oci-archive:"+at("buildah.oci.tar")+":web:1")
	tool("buildah", "push", "-q", "--signature-policy", policy, "localhost/web:1", "docker-archive:"+at("buildah.docker.tar")+":web:1")
	run(t, "skopeo", "--policy", policy, "copy", "-q", "oci:"+layout+":v1", "dir:"+at("skopeo.dir"))
	for name, kind := range map[string]Kind{
		"podman.docker.tar": DockerArchive, "podman.oci.tar": Archive, "podman.oci": Layout, "podman.dir": Directory, "podman.gzip.dir": Directory,
		"buildah.oci.tar": Archive, "buildah.docker.tar": DockerArchive, "skopeo.dir": Directory,
	} {
		t.Run(name, func(t *testing.T) {
			if found, ok := Detect(at(name)); found != kind || !ok {
				t.Errorf("detected as %q, %v; want %q", found, ok, kind)
			}
			ways := map[string]*Image{"path": mustOpen(t, at(name), Options{})}
			if kind == Archive || kind == DockerArchive {
				ways["stream"] = fromStream(t, at(name), Options{Ref: "1"})
			}
			for way, im := range ways {
				if diff := cmp.Diff(want, show(t, im)); diff != "" {
					t.Errorf("by %s (-want +got):\n%s", way, diff)
				}
				if im.Config().User != "web" {
					t.Errorf("by %s: configuration %+v", way, im.Config())
				}
			}
		})
	}
}

// TestStreams opens each kind of archive as a stream.
func TestStreams(t *testing.T) {
	img := makeImage(t, "amd64", []item{dir("etc"), reg("etc/a", "a")}, []item{reg("c", "c")})
	layout, docker := writeLayout(t, map[string]v1.Image{"v1": img}), writeDocker(t, img, "example.org/web:v1")
	packed := docker + ".zst"
	run(t, "zstd", "-q", docker, "-o", packed)
	want := []string{"d /", "d /etc", "f /etc/a a", "f /c c"}
	for name, path := range map[string]string{"archive": tarOf(t, layout), "archive, gzip": tarOf(t, layout, "-z"), "docker": docker, "docker, zstd": packed} {
		if diff := cmp.Diff(want, show(t, fromStream(t, path, Options{}))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// TestStreamOfSomethingElse leaves every byte of another stream to its reader.
func TestStreamOfSomethingElse(t *testing.T) {
	large := strings.Repeat("0123456789abcdef", 1<<16)
	root := layerTar(t, []item{dir("blobs"), reg("blobs/large", large), reg("etc", "x")})
	for name, text := range map[string][]byte{"a root filesystem": root, "nothing": {}, "noise": []byte("noise"), "a cut gzip": {0x1f, 0x8b, 8}} {
		im, rest, err := OpenStream(t.Context(), "standard input", bytes.NewReader(text), Options{})
		if err != nil || im != nil {
			t.Fatalf("%s: image %v, %v", name, im, err)
		}
		got, err := io.ReadAll(rest)
		if err := errors.Join(err, rest.Close()); err != nil || !bytes.Equal(got, text) {
			t.Errorf("%s: %d bytes of %d, %v", name, len(got), len(text), err)
		}
	}
}

// TestEmptyLayers has layers of no bytes, plain and compressed.
func TestEmptyLayers(t *testing.T) {
	img := makeImage(t, "amd64", []item{reg("a", "a")})
	for _, packed := range oldCompressions {
		var err error
		if img, err = mutate.AppendLayers(img, makeLayer(t, packed, nil)); err != nil {
			t.Fatal(err)
		}
	}
	for _, path := range []string{writeLayout(t, map[string]v1.Image{"v1": img}), writeDocker(t, img, "example.org/web:v1")} {
		if diff := cmp.Diff([]string{"d /", "f /a a"}, show(t, mustOpen(t, path, Options{}))); diff != "" {
			t.Errorf("%s (-want +got):\n%s", path, diff)
		}
	}
}

// TestIndexWithoutImages has an archive whose index lists no image, as Docker
// 25 saves an image by its digest.
func TestIndexWithoutImages(t *testing.T) {
	work := t.TempDir()
	run(t, "tar", "-x", "-f", writeDocker(t, makeImage(t, "amd64", []item{reg("a", "a")}), "example.org/web:v1"), "-C", work)
	for name, text := range map[string]string{
		layoutName: `{"imageLayoutVersion": "1.0.0"}`,
		indexName:  `{"schemaVersion": 2, "mediaType": "application/vnd.oci.image.index.v1+json", "manifests": null}`,
	} {
		if err := os.WriteFile(filepath.Join(work, name), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"d /", "f /a a"}, show(t, mustOpen(t, tarOf(t, work), Options{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

// TestBazelLinks has a layout whose blobs are links to files elsewhere, as
// Bazel makes it. A link to a file with other content shows nothing of it.
func TestBazelLinks(t *testing.T) {
	layout := writeLayout(t, map[string]v1.Image{"v1": makeImage(t, "amd64", []item{reg("a", "a")})})
	blobs, err := filepath.Glob(filepath.Join(layout, "blobs/sha256/*"))
	if err != nil {
		t.Fatal(err)
	}
	outside := t.TempDir()
	for _, blob := range blobs {
		to := filepath.Join(outside, filepath.Base(blob))
		if err := errors.Join(os.Rename(blob, to), os.Symlink(to, blob)); err != nil {
			t.Fatal(err)
		}
	}
	if diff := cmp.Diff([]string{"d /", "f /a a"}, show(t, mustOpen(t, layout, Options{}))); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
	for _, blob := range blobs {
		if err := errors.Join(os.Remove(blob), os.Symlink("/etc/passwd", blob)); err != nil {
			t.Fatal(err)
		}
	}
	if err := openAndDrain(t.Context(), layout); err == nil || strings.Contains(err.Error(), "root:") {
		t.Errorf("links to another file: %v", err)
	}
}

// TestNix reads an archive as Nix's dockerTools write it: the layers have
// folders of their own, and the root of the archive is an entry.
func TestNix(t *testing.T) {
	data := layerTar(t, []item{dir("nix"), reg("nix/a", "a")})
	img, err := mutate.AppendLayers(empty.Image, makeLayer(t, "none", data))
	if err != nil {
		t.Fatal(err)
	}
	c, err := img.RawConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	sum, _, err := v1.SHA256(bytes.NewReader(c))
	if err != nil {
		t.Fatal(err)
	}
	layerID := strings.Repeat("7", 64)
	manifest, err := json.Marshal([]dockerImage{{Config: sum.Hex + ".json", RepoTags: []string{"web:1"}, Layers: []string{layerID + "/layer.tar"}}})
	if err != nil {
		t.Fatal(err)
	}
	archive := layerTar(t, []item{
		dir("."), dir("./" + layerID), reg("./"+layerID+"/VERSION", "1.0"), reg("./"+layerID+"/layer.tar", string(data)),
		reg("./"+sum.Hex+".json", string(c)), reg("./manifest.json", string(manifest)), reg("./repositories", "{}"),
	})
	path := filepath.Join(t.TempDir(), "nix.tar")
	if err := os.WriteFile(path, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	want := []string{"d /", "d /nix", "f /nix/a a"}
	for _, im := range []*Image{mustOpen(t, path, Options{}), fromStream(t, path, Options{})} {
		if diff := cmp.Diff(want, show(t, im)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}

// TestKaniko reads a layout as kaniko writes it: without names, and with the
// media types of docker.
func TestKaniko(t *testing.T) {
	img := mutate.MediaType(mutate.ConfigMediaType(makePacked(t, "amd64", []string{"none"}, []item{reg("a", "a")}), types.DockerConfigJSON), types.DockerManifestSchema2)
	layout := writeLayout(t, map[string]v1.Image{"-": img})
	for _, im := range []*Image{mustOpen(t, layout, Options{}), mustOpen(t, tarOf(t, layout), Options{})} {
		if diff := cmp.Diff([]string{"d /", "f /a a"}, show(t, im)); diff != "" {
			t.Errorf("(-want +got):\n%s", diff)
		}
	}
}
