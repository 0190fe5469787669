package oci

import (
	"archive/tar"
	"bytes"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-containerregistry/pkg/compression"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/static"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"

	"cloudlets/images"
	"cloudlets/testdata/needs"
)

var testTime = time.Date(2024, 2, 29, 12, 30, 1, 0, time.UTC)

// member of a layer.
type item struct {
	tar.Header
	text string
}

func dir(name string) item {
	return item{Header: tar.Header{Name: name + "/", Typeflag: tar.TypeDir, Mode: 0o755}}
}

func reg(name, text string) item {
	return item{Header: tar.Header{Name: name, Typeflag: tar.TypeReg, Mode: 0o644, Size: int64(len(text))}, text: text}
}

func sym(name, to string) item {
	return item{Header: tar.Header{Name: name, Typeflag: tar.TypeSymlink, Mode: 0o777, Linkname: to}}
}

func link(name, to string) item {
	return item{Header: tar.Header{Name: name, Typeflag: tar.TypeLink, Mode: 0o644, Linkname: to}}
}

func (i item) with(change func(*tar.Header)) item {
	change(&i.Header)
	return i
}

// layerTar returns an uncompressed layer.
func layerTar(t testing.TB, items []item) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, i := range items {
		if i.ModTime.IsZero() {
			i.ModTime = testTime
		}
		i.Format = tar.FormatPAX
		if err := w.WriteHeader(&i.Header); err != nil {
			t.Fatal(err)
		}
		if _, err := io.WriteString(w, i.text); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// makeLayer returns a layer in one of the supported compressions.
func makeLayer(t testing.TB, packed string, data []byte) v1.Layer {
	t.Helper()
	if packed == "none" {
		return static.NewLayer(data, types.OCIUncompressedLayer)
	}
	kind := map[string]types.MediaType{"gzip": types.OCILayer, "zstd": types.OCILayerZStd}[packed]
	l, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(data)), nil
	}, tarball.WithCompression(compression.Compression(packed)), tarball.WithMediaType(kind))
	if err != nil {
		t.Fatal(err)
	}
	return l
}

// makeImage puts layers on top of each other. It uses all compressions in turn.
func makeImage(t testing.TB, arch string, layers ...[]item) v1.Image {
	t.Helper()
	return makePacked(t, arch, []string{"gzip", "zstd", "none"}, layers...)
}

func makePacked(t testing.TB, arch string, packed []string, layers ...[]item) v1.Image {
	t.Helper()
	img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	for i, items := range layers {
		var err error
		if img, err = mutate.AppendLayers(img, makeLayer(t, packed[i%len(packed)], layerTar(t, items))); err != nil {
			t.Fatal(err)
		}
	}
	c, err := img.ConfigFile()
	if err != nil {
		t.Fatal(err)
	}
	c = c.DeepCopy()
	c.OS, c.Architecture = "linux", arch
	c.Config = v1.Config{
		Entrypoint: []string{"/init"}, Cmd: []string{"-v"}, Env: []string{"A=b"},
		WorkingDir: "/srv", User: "web", Labels: map[string]string{"k": "v"},
	}
	if img, err = mutate.ConfigFile(img, c); err != nil {
		t.Fatal(err)
	}
	return img
}

// writeLayout writes images as an OCI layout. The map is from an image's name
// to the image.
func writeLayout(t testing.TB, tagged map[string]v1.Image) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "layout")
	p, err := layout.Write(dir, empty.Index)
	if err != nil {
		t.Fatal(err)
	}
	for tag, img := range tagged {
		c, err := img.ConfigFile()
		if err != nil {
			t.Fatal(err)
		}
		about := []layout.Option{layout.WithPlatform(v1.Platform{OS: c.OS, Architecture: c.Architecture})}
		if !strings.HasPrefix(tag, "-") {
			about = append(about, layout.WithAnnotations(map[string]string{refNameKey: tag}))
		}
		if err := p.AppendImage(img, about...); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// tarOf makes an archive of a folder with the tar command.
func tarOf(t testing.TB, dir string, flags ...string) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "image.tar")
	run(t, "tar", append(append([]string{"-c", "-f", name}, flags...), "-C", dir, ".")...)
	return name
}

// writeDocker writes an image in the format that "docker save" used for a long
// time.
func writeDocker(t testing.TB, img v1.Image, tag string) string {
	t.Helper()
	ref, err := name.NewTag(tag)
	if err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "docker.tar")
	if err := tarball.WriteToFile(file, ref, img); err != nil {
		t.Fatal(err)
	}
	return file
}

// packages are the Debian packages of the commands that tests run.
var packages = map[string]string{"buildah": "buildah", "tar": "tar", "zstd": "zstd", "skopeo": "skopeo", "umoci": "umoci"}

func run(t testing.TB, tool string, args ...string) {
	t.Helper()
	var path string
	if tool == "podman" { // unpacked and not installed, as its package enables a service
		path = needs.Made(t, "../../bin/podman/usr/bin/podman", "bin/podman")
	} else {
		path = needs.Tool(t, tool, packages[tool])
	}
	if out, err := exec.CommandContext(t.Context(), path, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", tool, strings.Join(args, " "), err, out)
	}
}

func mustOpen(t testing.TB, path string, opt Options) *Image {
	t.Helper()
	im, err := Open(t.Context(), path, opt)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := im.Close(); err != nil {
			t.Error(err)
		}
	})
	return im
}

// show describes the files of a source, one in each line: "d 755 /etc", "f 644
// /a text", "l /b -> a", "h /c = /a".
func show(t testing.TB, src images.Source) []string {
	t.Helper()
	var lines []string
	err := src.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		line, err := showEntry(e, content)
		lines = append(lines, line)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}

func showEntry(e images.Entry, content io.Reader) (string, error) {
	switch e.Type {
	case images.Directory:
		return "d " + mode(e) + e.Path, nil
	case images.Symlink:
		return "l " + e.Path + " -> " + e.Link, nil
	case images.HardLink:
		return "h " + e.Path + " = " + e.Link, nil
	case images.Regular:
		text, err := io.ReadAll(content)
		return "f " + mode(e) + e.Path + " " + string(text), err
	}
	return "n " + mode(e) + e.Path, nil
}

// mode is left out where it is the usual one.
func mode(e images.Entry) string {
	if usual := map[images.Type]uint32{images.Directory: 0o755, images.Regular: 0o644}; e.Mode == usual[e.Type] {
		return ""
	}
	return os.FileMode(e.Mode).String() + " "
}
