package main

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/layout"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
	"github.com/google/go-containerregistry/pkg/v1/types"
)

// benchDirEnv names the directory for what is unpacked: one in memory to
// measure the processor's part, or one on a disk to measure the disk's.
const benchDirEnv = "CLOUDLETS_BENCH_DIR"

// importLayers is how many layers the container image has.
const importLayers = 20

// BenchmarkImport unpacks a container image of 20 layers into a directory with
// the program, start to end, by turns with the tools that people would take in
// its place. Each leaves a directory with the image's files, owned by whom the
// image says, and is timed until they are on the disk: we sync the filesystem,
// and after the others `sync -f` does. Beside the files, "umoci unpack" leaves
// an OCI bundle's config.json and a list with the digest of every file; "umoci
// raw unpack" leaves the files alone, as we do. skopeo copies the blobs into a
// directory, and GNU tar unpacks each over the last one. So that does less: the
// files of lower layers that an upper one removes stay, beside its whiteouts.
// A ratio below 1 means that we are faster.
func BenchmarkImport(b *testing.B) {
	root := os.Getenv(benchEnv)
	if root == "" {
		b.Fatalf("set %s to the tarball of a root filesystem, such as mmdebstrap makes", benchEnv)
	}
	base, err := os.MkdirTemp(os.Getenv(benchDirEnv), "import-bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = os.RemoveAll(base) })
	program := buildProgram(b, b.TempDir())
	image := filepath.Join(base, "layout")
	writeLayers(b, root, image)
	ours := func(dir string) { mustRun(b, exec.CommandContext(b.Context(), program, "import", image, dir)) }
	peers := []struct {
		name   string
		unpack func(dir string)
	}{
		{"umoci", func(dir string) { synced(b, dir, "umoci", "unpack", "--image", image+":bench", dir) }},
		{"umoci-raw", func(dir string) { synced(b, dir, "umoci", "raw", "unpack", "--image", image+":bench", dir) }},
		{"skopeo-tar", func(dir string) { copyAndUntar(b, image, dir) }},
	}
	sameFiles(b, base, ours, peers[1].unpack)
	them := make([]time.Duration, len(peers))
	var us time.Duration
	for b.Loop() {
		us += unpacking(b, base, ours)
		for i, p := range peers {
			them[i] += unpacking(b, base, p.unpack)
		}
	}
	b.ReportMetric(us.Seconds()/float64(b.N), "ours-s/op")
	for i, p := range peers {
		b.ReportMetric(them[i].Seconds()/float64(b.N), p.name+"-s/op")
		b.ReportMetric(us.Seconds()/them[i].Seconds(), "x-"+p.name)
	}
}

// unpacking times what unpacks into a new directory, which goes.
func unpacking(b *testing.B, base string, unpack func(dir string)) time.Duration {
	b.Helper()
	dir := filepath.Join(base, "unpacked")
	start := time.Now()
	unpack(dir)
	took := time.Since(start)
	if err := os.RemoveAll(dir); err != nil {
		b.Fatal(err)
	}
	return took
}

// synced runs a command and waits until what it made in a directory is on the
// disk.
func synced(b *testing.B, dir string, command ...string) {
	b.Helper()
	mustRun(b, exec.CommandContext(b.Context(), command[0], command[1:]...))
	mustRun(b, exec.CommandContext(b.Context(), "sync", "-f", dir))
}

// copyAndUntar copies an image's blobs and unpacks its layers with tar.
func copyAndUntar(b *testing.B, image, dir string) {
	b.Helper()
	blobs, files := filepath.Join(dir, "blobs"), filepath.Join(dir, "files")
	for _, d := range []string{dir, files} {
		if err := os.Mkdir(d, 0o755); err != nil {
			b.Fatal(err)
		}
	}
	mustRun(b, exec.CommandContext(b.Context(), "skopeo", "--insecure-policy", "copy", "--quiet", "oci:"+image+":bench", "dir:"+blobs))
	text, err := os.ReadFile(filepath.Join(blobs, "manifest.json"))
	var m v1.Manifest
	if err == nil {
		err = json.Unmarshal(text, &m)
	}
	if err != nil {
		b.Fatal(err)
	}
	for _, l := range m.Layers {
		mustRun(b, exec.CommandContext(b.Context(), "tar", "-xpzf", filepath.Join(blobs, l.Digest.Hex), "--numeric-owner", "-C", files))
	}
	mustRun(b, exec.CommandContext(b.Context(), "sync", "-f", dir))
}

// sameFiles fails unless both unpack the same files.
func sameFiles(b *testing.B, base string, one, other func(dir string)) {
	b.Helper()
	first, second := filepath.Join(base, "first"), filepath.Join(base, "second")
	one(first)
	other(second)
	mustRun(b, exec.CommandContext(b.Context(), "diff", "-r", "--no-dereference", "--exclude=dev", first, second))
	if err := errors.Join(os.RemoveAll(first), os.RemoveAll(second)); err != nil {
		b.Fatal(err)
	}
}

// writeLayers writes a root filesystem as an OCI layout. Its layers are about
// as large as each other. All but the first also replace files of the layer
// below and remove some that are in no other layer.
func writeLayers(b *testing.B, root, dir string) {
	b.Helper()
	stat, err := os.Stat(root)
	if err != nil {
		b.Fatal(err)
	}
	f, err := os.Open(root)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	img := mutate.MediaType(mutate.ConfigMediaType(empty.Image, types.OCIConfigJSON), types.OCIManifestSchema1)
	r := tar.NewReader(f)
	var below []*tar.Header
	for n := range importLayers {
		room := stat.Size() / importLayers
		if n == importLayers-1 {
			room = stat.Size() // what is left
		}
		var data []byte
		data, below = layerOf(b, r, n, room, below)
		layer, err := tarball.LayerFromOpener(func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(data)), nil },
			tarball.WithMediaType(types.OCILayer), tarball.WithCompressionLevel(gzip.DefaultCompression))
		if err == nil {
			img, err = mutate.AppendLayers(img, layer)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	config, err := img.ConfigFile()
	if err != nil {
		b.Fatal(err)
	}
	config = config.DeepCopy()
	config.OS, config.Architecture = "linux", "amd64"
	if img, err = mutate.ConfigFile(img, config); err != nil {
		b.Fatal(err)
	}
	p, err := layout.Write(dir, empty.Index)
	if err == nil {
		err = p.AppendImage(img, layout.WithAnnotations(map[string]string{"org.opencontainers.image.ref.name": "bench"}),
			layout.WithPlatform(v1.Platform{OS: "linux", Architecture: "amd64"}))
	}
	if err != nil {
		b.Fatal(err)
	}
}

// layerOf makes layer n of the next entries of a tarball, of at least so many
// bytes. It also replaces every twentieth of the files of the layer below, and
// removes ten that were added there for that. It returns the layer's files.
func layerOf(b *testing.B, r *tar.Reader, n int, room int64, below []*tar.Header) (layer []byte, files []*tar.Header) {
	b.Helper()
	var buffer bytes.Buffer
	w := tar.NewWriter(&buffer)
	put := func(h *tar.Header, content io.Reader) {
		err := w.WriteHeader(h)
		if err == nil {
			_, err = io.Copy(w, content)
		}
		if err != nil {
			b.Fatal(err)
		}
	}
	touch := func(name string) {
		put(&tar.Header{Name: name, Mode: 0o644, ModTime: time.Unix(1.7e9, 0)}, strings.NewReader(""))
	}
	for i, h := range below {
		if i%20 == 0 {
			put(h, io.LimitReader(repeated('x'), h.Size))
		}
	}
	for i := range 10 {
		if n > 0 {
			touch(fmt.Sprintf("./srv/.wh.gone-%d-%d", n-1, i))
		}
		if n < importLayers-1 {
			touch(fmt.Sprintf("./srv/gone-%d-%d", n, i))
		}
	}
	for int64(buffer.Len()) < room {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			b.Fatal(err)
		}
		put(h, r)
		if h.Typeflag == tar.TypeReg && strings.HasPrefix(path.Clean(h.Name), "usr/") {
			files = append(files, h)
		}
	}
	if err := w.Close(); err != nil {
		b.Fatal(err)
	}
	return buffer.Bytes(), files
}

// repeated is a reader of one byte, again and again.
type repeated byte

func (r repeated) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(r)
	}
	return len(p), nil
}
