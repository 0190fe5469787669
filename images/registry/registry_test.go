//go:build linux

package registry

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-containerregistry/pkg/name"
	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/empty"
	"github.com/google/go-containerregistry/pkg/v1/mutate"
	"github.com/google/go-containerregistry/pkg/v1/remote"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
	"cloudlets/images/manifest"
	"cloudlets/images/oci"
	"cloudlets/images/pack"
	"cloudlets/images/rootfs"
	testregistry "cloudlets/testdata/registry"
)

// cloudlet makes a cloudlet in a directory, with one file of random bytes of
// some size.
func cloudlet(t *testing.T, size int) *images.Image {
	t.Helper()
	root := t.TempDir()
	text := make([]byte, size)
	random := rand.NewChaCha8([32]byte{1})
	_, _ = random.Read(text)
	imagetest.Must(t, os.Mkdir(filepath.Join(root, ".cloudlet"), 0o755),
		os.WriteFile(filepath.Join(root, images.ManifestPath), []byte("{\n\n  \"name\": \"web\", \"arch\": \"arm64\"\n}\n"), 0o644),
		os.WriteFile(filepath.Join(root, "random"), text, 0o644))
	return openDir(t, root)
}

func openDir(t *testing.T, root string) *images.Image {
	t.Helper()
	dir, err := dirtree.Open(root)
	imagetest.Must(t, err)
	im, err := images.New(t.Context(), root, dir)
	imagetest.Must(t, err)
	t.Cleanup(func() { imagetest.Must(t, im.Close()) })
	return im
}

func mustPush(t *testing.T, im *images.Image, to string) Pushed {
	t.Helper()
	pushed, err := Push(t.Context(), im, to, "", Options{})
	if err != nil {
		t.Fatal(err)
	}
	return pushed
}

// fetched opens an image, with a cache.
func fetched(t *testing.T, name string, opt Options) (*oci.Image, error) {
	t.Helper()
	im, err := Open(t.Context(), name, oci.Options{}, opt)
	if err == nil {
		t.Cleanup(func() { imagetest.Must(t, im.Close()) })
	}
	return im, err
}

func mustFetch(t *testing.T, name string, opt Options) *oci.Image {
	t.Helper()
	im, err := fetched(t, name, opt)
	if err != nil {
		t.Fatal(err)
	}
	return im
}

// identity is the digest of the pack.
func identity(t *testing.T, src images.Source) string {
	t.Helper()
	info, err := pack.Write(t.Context(), io.Discard, src, pack.Options{})
	imagetest.Must(t, err)
	return info.Digest
}

// TestThereAndBack pushes random trees, and has the same cloudlets back.
func TestThereAndBack(t *testing.T) {
	addr := testregistry.Start(t, false)
	for seed := range uint64(3) {
		files := imagetest.RandomFiles(seed, 200)
		for _, f := range imagetest.Lines("/.cloudlet/", "/.cloudlet/manifest = {\"name\": \"web\"}")[1:] {
			files = append(files, f)
		}
		root := filepath.Join(t.TempDir(), "image")
		_, err := rootfs.Write(t.Context(), root, imagetest.InOrder(files), rootfs.Options{NoSync: true})
		imagetest.Must(t, err)
		im := openDir(t, root)
		to := fmt.Sprintf("%s/deep/web:%d", addr, seed)
		pushed := mustPush(t, im, to)
		if again := mustPush(t, im, to); again != pushed {
			t.Errorf("pushed again it is %+v, not %+v", again, pushed)
		}
		for _, name := range []string{to, Scheme + to, pushed.Name} {
			back, err := Open(t.Context(), name, oci.Options{}, Options{CacheDir: t.TempDir()})
			imagetest.Must(t, err)
			if got, want := identity(t, back), identity(t, im.Source); got != want {
				t.Errorf("%s: its identity is %s, not %s", name, got, want)
			}
			if back.Digest() != pushed.Digest {
				t.Errorf("%s: its digest is %s, not %s", name, back.Digest(), pushed.Digest)
			}
			imagetest.Must(t, back.Close())
		}
	}
}

// TestManifestIsAnnotation has the manifest, byte for byte, without the
// layer.
func TestManifestIsAnnotation(t *testing.T) {
	addr := testregistry.Start(t, false)
	im := cloudlet(t, 10)
	pushed := mustPush(t, im, addr+"/web:1")
	if pushed.Platform != "linux/arm64/v8" {
		t.Errorf("the platform is %s", pushed.Platform)
	}
	ref, err := name.ParseReference(pushed.Name)
	imagetest.Must(t, err)
	got, err := remote.Image(ref)
	imagetest.Must(t, err)
	m, err := got.Manifest()
	imagetest.Must(t, err)
	text, err := os.ReadFile(filepath.Join(im.Path, images.ManifestPath))
	if imagetest.Must(t, err); m.Annotations[ManifestKey] != string(text) || len(m.Layers) != 1 {
		t.Errorf("the annotations are %q, with %d layers", m.Annotations, len(m.Layers))
	}
}

// TestEntryPointRuns: the command of a container is the chroot entry point.
func TestEntryPointRuns(t *testing.T) {
	addr := testregistry.Start(t, false)
	root := t.TempDir()
	text := `{"entrypoints": {
		"shell": {"type": "chroot", "path": "/bin/tool", "args": ["-v"], "env": {"B": "2", "A": "1"}, "default": true},
		"other": {"type": "chroot", "path": "/bin/tool"}}}`
	imagetest.Must(t, os.MkdirAll(filepath.Join(root, ".cloudlet"), 0o755), os.Mkdir(filepath.Join(root, "bin"), 0o755),
		os.WriteFile(filepath.Join(root, images.ManifestPath), []byte(text), 0o644),
		os.WriteFile(filepath.Join(root, "bin/tool"), []byte("#!/bin/tool\n"), 0o755))
	im := openDir(t, root)
	if !im.Manifest.Has(manifest.ChrootEntry) {
		t.Fatal("the manifest has no chroot entry point")
	}
	for entry, want := range map[string][]string{"": {"/bin/tool", "-v"}, "other": {"/bin/tool"}} {
		pushed, err := Push(t.Context(), im, addr+"/web:1", entry, Options{})
		imagetest.Must(t, err)
		back, err := Open(t.Context(), pushed.Name, oci.Options{}, Options{CacheDir: t.TempDir()})
		imagetest.Must(t, err)
		if diff := cmp.Diff(want, back.Config().Cmd); diff != "" {
			t.Errorf("entry point %q (-want +got):\n%s", entry, diff)
		}
		if env := strings.Join(back.Config().Env, " "); entry == "" && !strings.HasPrefix(env, "A=1 B=2 PATH=") {
			t.Errorf("the environment is %s", env)
		}
		imagetest.Must(t, back.Close())
	}
	if _, err := Push(t.Context(), im, addr+"/web:1", "none", Options{}); err == nil || !strings.Contains(err.Error(), "none") {
		t.Errorf("an entry point that is not there: %v", err)
	}
}

func TestPushRefuses(t *testing.T) {
	addr := testregistry.Start(t, false)
	im := cloudlet(t, 10)
	imagetest.Must(t, os.WriteFile(filepath.Join(im.Path, ".wh.random"), nil, 0o644))
	for to, want := range map[string]string{
		addr + "/web:1": "/.wh.random cannot be in a container image", addr + "/web@sha256:" + strings.Repeat("0", 64): "name with a tag", addr + "/Web": "HOST/NAME:TAG",
	} {
		if _, err := Push(t.Context(), im, to, "", Options{}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("push to %s: %v; want %q", to, err, want)
		}
	}
}

// TestCache fetches a layer once, and again when the copy is damaged.
func TestCache(t *testing.T) {
	p := newProxy(t, testregistry.Start(t, false))
	pushed := mustPush(t, cloudlet(t, 1000), p.addr+"/web:1")
	p.layer = pushed.Layer
	opt := Options{CacheDir: t.TempDir()}
	first := identity(t, mustFetch(t, pushed.Tag, opt))
	if again := identity(t, mustFetch(t, pushed.Tag, opt)); again != first || len(p.ranges()) != 1 {
		t.Errorf("the second time it is %s, not %s, or the layer was fetched again", again, first)
	}
	cached, err := filepath.Glob(filepath.Join(opt.CacheDir, "*"))
	if imagetest.Must(t, err); len(cached) != 1 {
		t.Fatalf("the cache has %q", cached)
	}
	text, err := os.ReadFile(cached[0])
	imagetest.Must(t, err)
	text[len(text)/2] ^= 1
	imagetest.Must(t, os.WriteFile(cached[0], text, 0o600))
	if again := identity(t, mustFetch(t, pushed.Tag, opt)); again != first || len(p.ranges()) != 1 {
		t.Errorf("with a damaged copy it is %s, not %s, or was not fetched again", again, first)
	}
}

// TestCacheIsBounded removes what was not used for the longest time.
func TestCacheIsBounded(t *testing.T) {
	c := cache{t.TempDir()}
	for i, name := range []string{"old", "middle", "new"} {
		path := filepath.Join(c.dir, name)
		at := time.Unix(int64(1000+i), 0)
		imagetest.Must(t, os.WriteFile(path, make([]byte, 100), 0o600), os.Chtimes(path, at, at))
	}
	imagetest.Must(t, c.sweepTo(250))
	left, err := os.ReadDir(c.dir)
	if imagetest.Must(t, err); len(left) != 2 || left[0].Name() != "middle" {
		t.Errorf("the cache has %v", left)
	}
}

const large = 3 << 20 // bytes of a layer that is broken off

// TestBrokenOff goes on where the connection broke, whatever the registry can.
func TestBrokenOff(t *testing.T) {
	addr := testregistry.Start(t, false)
	im := cloudlet(t, large)
	pushed := mustPush(t, im, addr+"/web:1")
	_, tag, _ := strings.Cut(pushed.Tag, "/")
	want := identity(t, im.Source)
	breakFirst := func(n int, answer *http.Response) {
		if n == 0 {
			answer.Body = &cut{answer.Body, large / 2}
		}
	}
	for name, c := range map[string]struct {
		noRange bool
		spoil   func(int, *http.Response)
		asked   []string
	}{
		"by range":      {false, breakFirst, []string{"", "bytes=N-"}},
		"without range": {true, breakFirst, []string{"", "", ""}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProxy(t, addr)
			p.layer, p.spoil, p.noRange = pushed.Layer, c.spoil, c.noRange
			var done, total int64
			opt := Options{CacheDir: t.TempDir(), Progress: func(d, all int64) { done, total = d, all }}
			if got := identity(t, mustFetch(t, p.addr+"/"+tag, opt)); got != want {
				t.Errorf("its identity is %s, not %s", got, want)
			}
			asked := p.ranges()
			for i, r := range asked {
				if r != "" {
					asked[i] = "bytes=N-"
				}
			}
			if diff := cmp.Diff(c.asked, asked); diff != "" {
				t.Errorf("asked for (-want +got):\n%s", diff)
			}
			if done != total || total != pushed.Size {
				t.Errorf("%d bytes of %d are done; the layer has %d", done, total, pushed.Size)
			}
		})
	}
}

// TestStalled tries again when nothing comes.
func TestStalled(t *testing.T) {
	p := newProxy(t, testregistry.Start(t, false))
	im := cloudlet(t, large)
	pushed := mustPush(t, im, p.addr+"/web:1")
	p.layer = pushed.Layer
	ended := make(chan struct{})
	p.spoil = func(n int, answer *http.Response) {
		if n == 0 {
			answer.Body = &silent{cut{answer.Body, large / 2}, ended}
		}
	}
	got := identity(t, mustFetch(t, pushed.Tag, Options{CacheDir: t.TempDir(), StallTime: time.Second}))
	close(ended)
	if asked := p.ranges(); got != identity(t, im.Source) || len(asked) != 2 || asked[1] == "" {
		t.Errorf("asked for %q", asked)
	}
}

// TestInterrupted goes on with what an interrupted program has left.
func TestInterrupted(t *testing.T) {
	p := newProxy(t, testregistry.Start(t, false))
	im := cloudlet(t, large)
	pushed := mustPush(t, im, p.addr+"/web:1")
	p.layer = pushed.Layer
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	// The rest comes when nobody reads any more. If it came once ctx is done, it could be there
	// before that is noticed.
	over := make(chan struct{})
	p.spoil = func(_ int, answer *http.Response) {
		answer.Body = &halting{ReadCloser: answer.Body, left: answer.ContentLength / 2, goOn: over}
	}
	opt := Options{CacheDir: t.TempDir(), Progress: func(done, total int64) {
		if done > total/3 {
			cancel()
		}
	}}
	_, err := Open(ctx, pushed.Tag, oci.Options{}, opt)
	close(over)
	if !errors.Is(err, context.Canceled) {
		t.Fatalf("interrupted: %v", err)
	}
	p.ranges()
	p.spoil, opt.Progress = nil, nil
	got := identity(t, mustFetch(t, pushed.Tag, opt))
	if asked := p.ranges(); got != identity(t, im.Source) || len(asked) != 1 || asked[0] == "" {
		t.Errorf("the second program asked for %q", asked)
	}
}

// halting is a body that stops after some bytes until it may go on.
type halting struct {
	io.ReadCloser
	left int64
	goOn <-chan struct{}
}

func (h *halting) Read(p []byte) (int, error) {
	if h.left <= 0 {
		<-h.goOn
		return h.ReadCloser.Read(p)
	}
	n, err := h.ReadCloser.Read(p[:min(int64(len(p)), h.left)])
	h.left -= int64(n)
	return n, err
}

// TestWrongBytes refuses what does not have the digest, and keeps nothing of
// it.
func TestWrongBytes(t *testing.T) {
	p := newProxy(t, testregistry.Start(t, false))
	pushed := mustPush(t, cloudlet(t, 1000), p.addr+"/web:1")
	p.layer = pushed.Layer
	p.spoil = func(_ int, answer *http.Response) { answer.Body = &flipped{ReadCloser: answer.Body} }
	opt := Options{CacheDir: t.TempDir()}
	if _, err := fetched(t, pushed.Tag, opt); err == nil || !strings.Contains(err.Error(), pushed.Layer) || !strings.Contains(err.Error(), "digest") {
		t.Errorf("error %v", err)
	}
	left, err := os.ReadDir(opt.CacheDir)
	if imagetest.Must(t, err); len(left) != 0 {
		t.Errorf("the cache has %v", left)
	}
	p.spoil = nil // what an older program has left is wrong, too
	part := filepath.Join(opt.CacheDir, "sha256-"+strings.TrimPrefix(pushed.Layer, "sha256:")+partEnding)
	imagetest.Must(t, os.WriteFile(part, []byte("wrong"), 0o600))
	mustFetch(t, pushed.Tag, opt)
}

// TestTooLarge refuses an image by the sizes in its manifest.
func TestTooLarge(t *testing.T) {
	addr := testregistry.Start(t, false)
	pushed := mustPush(t, cloudlet(t, 2000), addr+"/web:1")
	_, err := Open(t.Context(), pushed.Tag, oci.Options{MaxSize: 1000}, Options{CacheDir: t.TempDir()})
	if err == nil || !strings.Contains(err.Error(), "--max-size") {
		t.Errorf("error %v", err)
	}
}

// TestPlatforms takes one of several platforms, and names them all if the one
// that is asked for is not there.
func TestPlatforms(t *testing.T) {
	addr := testregistry.Start(t, false)
	var index v1.ImageIndex = empty.Index
	for _, arch := range []string{"amd64", "arm64"} {
		im, err := mutate.ConfigFile(empty.Image, &v1.ConfigFile{OS: "linux", Architecture: arch})
		imagetest.Must(t, err)
		index = mutate.AppendManifests(index, mutate.IndexAddendum{Add: im, Descriptor: v1.Descriptor{Platform: &v1.Platform{OS: "linux", Architecture: arch}}})
	}
	ref, err := name.ParseReference(addr + "/web:1")
	imagetest.Must(t, err, remote.WriteIndex(ref, index))
	opt := Options{CacheDir: t.TempDir()}
	for _, arch := range []string{"amd64", "arm64"} {
		im, err := Open(t.Context(), ref.Name(), oci.Options{Platform: "linux/" + arch}, opt)
		if imagetest.Must(t, err); im.Config().Architecture != arch {
			t.Errorf("%s is for %s", arch, im.Config().Architecture)
		}
		imagetest.Must(t, im.Close())
	}
	_, err = Open(t.Context(), ref.Name(), oci.Options{Platform: "linux/s390x"}, opt)
	if err == nil || !strings.Contains(err.Error(), "linux/amd64") || !strings.Contains(err.Error(), "linux/arm64") {
		t.Errorf("error %v", err)
	}
}
