//go:build linux

package imagetest

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/testdata/needs"
)

// OneOfEach makes a directory that contains one file of each kind.
func OneOfEach(t *testing.T) string {
	t.Helper()
	needs.Root(t)
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	old := time.Date(1965, 3, 4, 5, 6, 7, 89, time.UTC)
	Must(t,
		os.Chmod(root, 0o755),
		os.MkdirAll(at("etc/deep/er"), 0o755), os.Mkdir(at(".cloudlet"), 0o755), os.Mkdir(at("dev"), 0o755), os.Mkdir(at("tmp"), 0o755),
		os.WriteFile(at(".cloudlet/manifest"), []byte(`{"name": "one-of-everything"}`), 0o644),
		os.WriteFile(at("etc/hosts"), []byte("127.0.0.1 localhost\n"), 0o640), os.Chown(at("etc/hosts"), 12, 34567),
		os.WriteFile(at("etc/empty"), nil, 0o600), os.Chtimes(at("etc/empty"), old, old),
		os.WriteFile(at("ping"), []byte("program"), 0o755), unix.Chmod(at("ping"), 0o4755),
		unix.Setxattr(at("ping"), "security.capability", []byte(CapNetRaw), 0),
		os.Link(at("ping"), at("ping6")), os.Link(at("etc/hosts"), at("etc/deep/er/hosts")),
		os.Symlink("/etc/shadow", at("etc/absolute")), os.Symlink("../../../../../etc/passwd", at("etc/escape")), os.Symlink("nowhere", at("dangling")),
		os.Symlink("etc", at("conf")),
		unix.Mknod(at("dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.Chmod(at("dev/null"), 0o666), unix.Mknod(at("dev/sda9"), unix.S_IFBLK|0o660, int(unix.Mkdev(8, 300))), unix.Chmod(at("dev/sda9"), 0o660),
		unix.Mkfifo(at("dev/initctl"), 0o600), unix.Chmod(at("tmp"), 0o1777),
		os.WriteFile(at("name\xff\xfe"), []byte("latin"), 0o644), os.WriteFile(at(strings.Repeat("n", 255)), []byte("long"), 0o644),
	)
	socket, err := net.Listen("unix", at("dev/log"))
	Must(t, err)
	t.Cleanup(func() { socket.Close() })
	return root
}

// Listing returns a line for each entry that a walk visits.
func Listing(t *testing.T, s images.Source) []string {
	t.Helper()
	var lines []string
	err := s.Walk(context.Background(), func(e images.Entry, content io.Reader) error {
		text := ""
		if (content != nil) != (e.Type == images.Regular) {
			t.Errorf("%s: content is %v for type %d", e.Path, content, e.Type)
		}
		if content != nil {
			all, err := io.ReadAll(content)
			if err != nil || int64(len(all)) != e.Size {
				return fmt.Errorf("%s: %d bytes of %d: %w", e.Path, len(all), e.Size, err)
			}
			text = string(all)
		}
		lines = append(lines, fmt.Sprintf("%q %d %o %d:%d %q %d,%d %q %q", e.Path, e.Type, e.Mode, e.UID, e.GID, e.Link, e.Major, e.Minor, e.Xattrs, text))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return lines
}
