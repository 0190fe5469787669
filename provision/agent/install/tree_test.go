package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"io/fs"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"
)

func digestOf(data []byte) string {
	sum := sha256.Sum256(data)
	return "sha256:" + hex.EncodeToString(sum[:])
}

// noise are bytes that no compression makes shorter, the same each time.
func noise(seed byte, n int) []byte {
	b := make([]byte, n)
	_, _ = rand.NewChaCha8([32]byte{seed}).Read(b) // never fails
	return b
}

// write makes a file of a tree, with its folders.
func write(t testing.TB, root, name string, content []byte, mode uint32) string {
	t.Helper()
	file := filepath.Join(root, name)
	err := errors.Join(
		os.MkdirAll(filepath.Dir(file), 0o755),
		os.WriteFile(file, content, 0o600),
		unix.Chmod(file, mode),
	)
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// largeSize is what the faults in mid-stream befall: several frames.
const largeSize = 6 << 20

// tinyTree is the root filesystem of a small image, with a file of each kind.
func tinyTree(t testing.TB) string {
	t.Helper()
	needRoot(t)
	root := filepath.Join(tempDir(t), "tree")
	write(t, root, "/boot/vmlinuz-6.1.0-test", noise(1, 300<<10), 0o644)
	write(t, root, "/boot/initrd.img-6.1.0-test", noise(2, 500<<10), 0o600)
	write(t, root, "/sbin/init", []byte("#!/bin/sh\n"), 0o755)
	write(t, root, "/etc/hostname", []byte("image\n"), 0o644)
	write(t, root, "/etc/shadow", []byte("root:*:\n"), 0o640)
	write(t, root, "/bin/su", []byte("su"), 0o4755)
	write(t, root, "/srv/large", noise(3, largeSize), 0o644)
	write(t, root, "/.cloudlet/manifest", []byte("{}"), 0o644)
	write(t, root, "/etc/b\xffd name", nil, 0o644)
	err := errors.Join(
		os.Symlink("../bin/su", filepath.Join(root, "sbin/link")),
		os.Link(filepath.Join(root, "bin/su"), filepath.Join(root, "bin/su2")),
		unix.Mknod(filepath.Join(root, "etc/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))),
		unix.Mkfifo(filepath.Join(root, "etc/fifo"), 0o600),
		unix.Setxattr(filepath.Join(root, "srv/large"), "trusted.test", []byte("value"), 0),
		os.Lchown(filepath.Join(root, "etc/shadow"), 0, 42),
	)
	if err != nil {
		t.Fatal(err)
	}
	return root
}

// overlayTree is what differs for one machine.
func overlayTree(t testing.TB) string {
	t.Helper()
	root := filepath.Join(tempDir(t), "overlay")
	write(t, root, "/etc/hostname", []byte("node1\n"), 0o644)
	file := write(t, root, "/etc/secret", []byte("rendered\n"), 0o640)
	write(t, root, "/.cloudlet/applied_config", []byte(`{"args":{}}`), 0o600)
	if err := os.Lchown(file, 12, 34); err != nil {
		t.Fatal(err)
	}
	return root
}

// wantTree compares what is at root with the files of a tree, save those that
// are in but: type, mode, owner, links, content, device.
func wantTree(t testing.TB, root, tree string, but map[string]bool) {
	t.Helper()
	count := 0
	err := filepath.WalkDir(tree, func(name string, _ fs.DirEntry, err error) error {
		rel, _ := filepath.Rel(tree, name)
		if err != nil || rel == "." || but["/"+rel] {
			return err
		}
		count++
		wantSame(t, filepath.Join(root, rel), name)
		return nil
	})
	if err != nil || count == 0 {
		t.Errorf("compared %d files: %v", count, err)
	}
}

func wantSame(t testing.TB, got, want string) {
	t.Helper()
	var g, w unix.Stat_t
	if err := errors.Join(unix.Lstat(got, &g), unix.Lstat(want, &w)); err != nil {
		t.Errorf("%s: %v", got, err)
		return
	}
	if g.Mode != w.Mode || g.Uid != w.Uid || g.Gid != w.Gid || g.Rdev != w.Rdev || g.Mtim != w.Mtim {
		t.Errorf("%s: mode %o, owner %d:%d, device %d, time %d; want %o, %d:%d, %d, %d", got, g.Mode, g.Uid, g.Gid, g.Rdev, g.Mtim.Nano(), w.Mode, w.Uid, w.Gid, w.Rdev, w.Mtim.Nano())
	}
	switch w.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		a, err1 := os.ReadFile(got)
		b, err2 := os.ReadFile(want)
		if err := errors.Join(err1, err2); err != nil || !bytes.Equal(a, b) || g.Nlink != w.Nlink {
			t.Errorf("%s: %d bytes and %d names, want %d and %d, and the same (%v)", got, len(a), g.Nlink, len(b), w.Nlink, err)
		}
	case unix.S_IFLNK:
		a, _ := os.Readlink(got)
		if b, _ := os.Readlink(want); a != b {
			t.Errorf("%s links to %s, want %s", got, a, b)
		}
	}
}
