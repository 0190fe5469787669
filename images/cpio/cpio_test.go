//go:build linux

package cpio_test

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/cpio"
	"cloudlets/images/dirtree"
	"cloudlets/testdata/needs"
)

// TestWrite lets GNU cpio unpack an archive, and compares the result with the
// source.
func TestWrite(t *testing.T) {
	needs.Root(t)
	needs.Tool(t, "cpio", "cpio")
	from, to := t.TempDir(), t.TempDir()
	make := func(errs ...error) {
		t.Helper()
		for _, err := range errs {
			if err != nil {
				t.Fatal(err)
			}
		}
	}
	at := func(name string) string { return filepath.Join(from, name) }
	make(
		os.MkdirAll(at("a/empty"), 0o755), os.WriteFile(at("a/text"), []byte("hello"), 0o640),
		os.WriteFile(at("a/none"), nil, 0o600), os.Symlink("text", at("a/link")), os.Link(at("a/text"), at("b")), os.Link(at("a/text"), at("a/a")),
		unix.Mknod(at("null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.Mkfifo(at("pipe"), 0o600),
		os.WriteFile(at("one\nline \xff"), bytes.Repeat([]byte("x"), 70001), 0o4755), os.Lchown(at("a/none"), 70000, 12),
		unix.Chmod(at("a/text"), 0o4640), os.Lchown(at("a/link"), 5, 6),
	)
	for _, name := range []string{"a/text", "a/none", "null", "pipe", "one\nline \xff"} {
		make(os.Chtimes(at(name), time.Unix(1262304000, 0), time.Unix(1262304000, 0)))
	}
	src, err := dirtree.Open(from)
	make(err)
	var archive, again bytes.Buffer
	make(cpio.Write(t.Context(), &archive, src), cpio.Write(t.Context(), &again, src))
	if !bytes.Equal(archive.Bytes(), again.Bytes()) {
		t.Error("the same directory gave two different archives")
	}
	cmd := exec.CommandContext(t.Context(), "cpio", "--extract", "--make-directories", "--preserve-modification-time", "--quiet", "--no-absolute-filenames")
	cmd.Dir, cmd.Stdin = to, &archive
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("cpio: %v: %s", err, out)
	}
	if got, want := describe(t, to), describe(t, from); got != want {
		t.Errorf("unpacked:\n%s\nwant:\n%s", got, want)
	}
}

// describe describes everything that GNU cpio restores of a tree. Symbolic
// links and directories get the time at which they were unpacked.
func describe(t *testing.T, dir string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "sh", "-c", `find . -type d -printf '%p %y %m %U:%G\n' -o -printf '%p %y %m %U:%G %n %s %l\n' | LC_ALL=C sort; find . ! -type d ! -type l -exec stat -c '%n %Y' {} + | LC_ALL=C sort; find . -type f -exec sha256sum {} + | LC_ALL=C sort; stat -c '%n %t:%T' null`)
	cmd.Dir = dir
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("look at %s: %v: %s", dir, err, out)
	}
	return string(out)
}

// TestTooLarge checks that a file which is too large for a header is refused.
func TestTooLarge(t *testing.T) {
	a := cpio.NewWriter(&bytes.Buffer{})
	err := a.Put(images.Entry{Path: "/huge", Type: images.Regular, Size: 1 << 32}, strings.NewReader(""))
	if err == nil || !strings.Contains(err.Error(), "/huge") || !strings.Contains(err.Error(), "4 GiB") {
		t.Errorf("error %v", err)
	}
}
