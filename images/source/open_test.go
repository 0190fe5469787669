//go:build linux

package source_test

import (
	"archive/tar"
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
	"cloudlets/images/source"
)

func TestOpen(t *testing.T) {
	root := imagetest.OneOfEach(t)
	d, err := dirtree.Open(root)
	imagetest.Must(t, err)
	for _, path := range []string{root, imagetest.TarOf(t, d)} {
		im, err := open(context.Background(), path)
		if err != nil {
			t.Fatal(err)
		}
		if im.Manifest.Name != "one-of-everything" || im.Path != path {
			t.Errorf("%s: manifest %+v", path, im.Manifest)
		}
		one, err1 := im.Fingerprint(context.Background())
		two, err2 := im.Fingerprint(context.Background())
		if imagetest.Must(t, err1, err2); one != two || len(one) != 64 {
			t.Errorf("%s: fingerprints %s, %s", path, one, two)
		}
		if got := imagetest.Listing(t, im.Source); len(got) != 22 {
			t.Errorf("%s: %d entries", path, len(got))
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	empty, broken := t.TempDir(), t.TempDir()
	imagetest.Must(t, os.Mkdir(filepath.Join(broken, ".cloudlet"), 0o755), os.WriteFile(filepath.Join(broken, images.ManifestPath), []byte("{\n  5\n}"), 0o644))
	escape := t.TempDir()
	imagetest.Must(t, os.Symlink("/etc", filepath.Join(escape, ".cloudlet")))
	for path, want := range map[string]string{
		empty: "it has no /.cloudlet/manifest", broken: ":2:3: is not JSON", escape: "not a cloudlet",
		imagetest.WriteTemp(t, unnamed(t)):  "it has no /.cloudlet/manifest; write one",
		imagetest.WriteTemp(t, []byte("x")): "unexpected EOF",
		"/no/such/image":                    "no such directory or file",
		"/dev/null":                         "neither a directory nor a file",
	} {
		im, err := open(context.Background(), path)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("open %s: %v, %v; want %q", path, im, err, want)
		}
		if strings.Contains(want, "not a cloudlet") && !errors.Is(err, images.ErrNotCloudlet) {
			t.Errorf("open %s: %v is not ErrNotCloudlet", path, err)
		}
	}
}

// TestOpenTells says what is left out of a tarball, once.
func TestOpenTells(t *testing.T) {
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	mac := &tar.Header{Typeflag: tar.TypeReg, Name: "x", PAXRecords: map[string]string{"SCHILY.xattr.com.apple.provenance": "x"}}
	imagetest.Must(t, w.WriteHeader(mac), w.Close())
	for _, opt := range []source.Options{{}, {Stdin: bytes.NewReader(b.Bytes())}} {
		ref := source.Stdin
		if opt.Stdin == nil {
			ref = imagetest.WriteTemp(t, b.Bytes())
		}
		var told []string
		opt.Bare, opt.Note = true, func(sentence string) { told = append(told, sentence) }
		im, err := source.Open(t.Context(), ref, opt)
		imagetest.Must(t, err)
		imagetest.Listing(t, im.Source)
		if imagetest.Must(t, im.Close()); len(told) != 1 || !strings.Contains(told[0], "com.apple.provenance") {
			t.Errorf("%s: it says %q", ref, told)
		}
	}
}

func TestFingerprintFollowsTheContent(t *testing.T) {
	root := imagetest.OneOfEach(t)
	at := func(name string) string { return filepath.Join(root, name) }
	im, err := open(context.Background(), root)
	imagetest.Must(t, err)
	print := func() string {
		t.Helper()
		sum, err := im.Fingerprint(context.Background())
		imagetest.Must(t, err)
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
		imagetest.Must(t, change.do())
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
	imagetest.Must(t, os.Symlink(root, link))
	last := print()
	if im, err = open(context.Background(), link); err != nil || print() != last {
		t.Errorf("by a link the fingerprint is another one: %v", err)
	}
}

// open opens an image as a person names it.
func open(ctx context.Context, path string) (*images.Image, error) {
	return source.Open(ctx, path, source.Options{})
}

// unnamed is a tarball without a manifest.
func unnamed(t *testing.T) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	imagetest.Must(t, w.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: "x"}), w.Close())
	return b.Bytes()
}
