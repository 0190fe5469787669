package ext4_test

import (
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
	"cloudlets/testdata/needs"
)

// packages tells which Debian package a foreign tool is in.
var packages = map[string]string{
	"e2fsck": "e2fsprogs", "dumpe2fs": "e2fsprogs", "debugfs": "e2fsprogs", "resize2fs": "e2fsprogs",
	"mke2fs": "e2fsprogs", "losetup": "mount", "getfacl": "acl", "getcap": "libcap2-bin",
}

// tool runs a foreign tool, which must succeed, and returns what it said.
func tool(t testing.TB, name string, args ...string) string {
	t.Helper()
	out, err := try(t, name, args...)
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return out
}

func try(t testing.TB, name string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(context.Background(), needs.Tool(t, name, packages[name]), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// fsck wants a filesystem without the slightest flaw.
func fsck(t testing.TB, img string) {
	t.Helper()
	out, err := try(t, "e2fsck", "-fn", img)
	if err != nil || strings.Contains(out, "IGNORED") || strings.Contains(out, "? no") {
		t.Fatalf("e2fsck -fn: %v\n%s", err, out[:min(len(out), 4000)])
	}
}

// someUUID is any that is given rather than derived.
var someUUID = [16]byte{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}

// build writes an image to a sparse file that e2fsck finds nothing wrong with.
func build(t testing.TB, src images.Source, opts ext4.Options) string {
	t.Helper()
	l, err := ext4.Plan(t.Context(), src, opts)
	if err != nil {
		t.Fatal(err)
	}
	img := write(t, l)
	fsck(t, img)
	return img
}

func write(t testing.TB, l *ext4.Layout) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "ext4.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := sparse.File(f)
	if err := l.Write(t.Context(), w); err != nil {
		t.Fatal(err)
	}
	if err := w.Finish(); err != nil {
		t.Fatal(err)
	}
	if w.Offset() != l.Size() {
		t.Fatalf("wrote %d bytes of a filesystem of %d", w.Offset(), l.Size())
	}
	return f.Name()
}

// wantError wants an error that is what was said and names what it is about.
func wantError(t *testing.T, err, is error, words ...string) {
	t.Helper()
	if err == nil || is != nil && !errors.Is(err, is) {
		t.Fatalf("error %v, want one that is %v", err, is)
	}
	for _, word := range words {
		if !strings.Contains(err.Error(), word) {
			t.Errorf("error %q does not say %q", err, word)
		}
	}
}
