package ext4_test

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/dirtree"
	"cloudlets/images/disk/ext4"
)

// TestReadFile reads files from filesystems of our own and of mke2fs, in small and in
// indexed directories.
func TestReadFile(t *testing.T) {
	dir := t.TempDir()
	large := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
	must := func(errs ...error) {
		t.Helper()
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
	}
	must(os.MkdirAll(filepath.Join(dir, "a/many"), 0o755), os.WriteFile(filepath.Join(dir, "a/large"), large, 0o644), os.Symlink("large", filepath.Join(dir, "a/link")))
	for n := range 2000 {
		must(os.WriteFile(filepath.Join(dir, "a/many", fmt.Sprintf("file-with-a-long-name-%d", n)), []byte(fmt.Sprint(n)), 0o644))
	}
	src, err := dirtree.Open(dir)
	must(err)
	theirs := filepath.Join(t.TempDir(), "theirs")
	tool(t, "mke2fs", "-q", "-t", "ext4", "-b", "4096", "-d", dir, theirs, "64M")
	for name, img := range map[string]string{"ours": build(t, src, ext4.Options{}), "mke2fs's": theirs} {
		f, err := os.Open(img)
		must(err)
		defer f.Close()
		for file, want := range map[string]string{"/a/large": string(large), "/a/many/file-with-a-long-name-1999": "1999"} {
			if got, err := ext4.ReadFile(f, file, 1<<20); err != nil || string(got) != want {
				t.Errorf("%s: %s: %d bytes, %v", name, file, len(got), err)
			}
		}
		for _, file := range []string{"/none", "/a/none", "/a/large/none"} {
			if _, err := ext4.ReadFile(f, file, 1<<20); !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), file) {
				t.Errorf("%s: %s: %v", name, file, err)
			}
		}
		for file, says := range map[string]string{"/a": "no regular file", "/a/link": "no regular file"} {
			if _, err := ext4.ReadFile(f, file, 1<<20); err == nil || !strings.Contains(err.Error(), says) {
				t.Errorf("%s: %s: %v", name, file, err)
			}
		}
		if _, err := ext4.ReadFile(f, "/a/large", 1<<18); err == nil || !strings.Contains(err.Error(), "at most 262144 are read") {
			t.Errorf("%s: beyond the limit: %v", name, err)
		}
	}
}

// FuzzReadFile: a damaged filesystem is an error, and nothing worse.
func FuzzReadFile(f *testing.F) {
	img := tinyFilesystem(f)
	f.Add(0x400, byte(1))
	f.Add(0x2040, byte(0xff))
	f.Fuzz(func(t *testing.T, at int, value byte) {
		b := bytes.Clone(img)
		if at < 0 || at >= len(b) {
			return
		}
		b[at] = value
		_, _ = ext4.ReadFile(bytes.NewReader(b), "/a", 1<<16)
	})
}

// tinyFilesystem has one file, /a.
func tinyFilesystem(t testing.TB) []byte {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "a"), []byte("content"), 0o644); err != nil {
		t.Fatal(err)
	}
	src, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(build(t, src, ext4.Options{}))
	if err != nil {
		t.Fatal(err)
	}
	return b
}
