//go:build linux

package images

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/google/go-cmp/cmp"

	"cloudlets/testdata/needs"
)

// capNetRaw is the attribute of a program that may use raw sockets.
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// must fails the test on the first error of making something.
func must(t *testing.T, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatalf("%v (these tests need root, for owners and devices)", err)
	}
}

// testRoot makes a directory with one of everything.
func testRoot(t *testing.T) string {
	t.Helper()
	needs.Root(t)
	root := t.TempDir()
	at := func(name string) string { return filepath.Join(root, name) }
	old := time.Date(1965, 3, 4, 5, 6, 7, 89, time.UTC)
	must(t,
		os.Chmod(root, 0o755),
		os.MkdirAll(at("etc/deep/er"), 0o755), os.Mkdir(at(".cloudlet"), 0o755), os.Mkdir(at("dev"), 0o755), os.Mkdir(at("tmp"), 0o755),
		os.WriteFile(at(".cloudlet/manifest"), []byte(`{"name": "one-of-everything"}`), 0o644),
		os.WriteFile(at("etc/hosts"), []byte("127.0.0.1 localhost\n"), 0o640), os.Chown(at("etc/hosts"), 12, 34567),
		os.WriteFile(at("etc/empty"), nil, 0o600), os.Chtimes(at("etc/empty"), old, old),
		os.WriteFile(at("ping"), []byte("program"), 0o755), unix.Chmod(at("ping"), 0o4755),
		unix.Setxattr(at("ping"), "security.capability", []byte(capNetRaw), 0),
		os.Link(at("ping"), at("ping6")), os.Link(at("etc/hosts"), at("etc/deep/er/hosts")),
		os.Symlink("/etc/shadow", at("etc/absolute")), os.Symlink("../../../../../etc/passwd", at("etc/escape")), os.Symlink("nowhere", at("dangling")),
		os.Symlink("etc", at("conf")),
		unix.Mknod(at("dev/null"), unix.S_IFCHR|0o666, int(unix.Mkdev(1, 3))), unix.Chmod(at("dev/null"), 0o666), unix.Mknod(at("dev/sda9"), unix.S_IFBLK|0o660, int(unix.Mkdev(8, 300))), unix.Chmod(at("dev/sda9"), 0o660),
		unix.Mkfifo(at("dev/initctl"), 0o600), unix.Chmod(at("tmp"), 0o1777),
		os.WriteFile(at("name\xff\xfe"), []byte("latin"), 0o644), os.WriteFile(at(strings.Repeat("n", 255)), []byte("long"), 0o644),
	)
	socket, err := net.Listen("unix", at("dev/log"))
	must(t, err)
	t.Cleanup(func() { socket.Close() })
	return root
}

// listing is what a walk visits, a line for each entry.
func listing(t *testing.T, s Source) []string {
	t.Helper()
	var lines []string
	err := s.Walk(context.Background(), func(e Entry, content io.Reader) error {
		text := ""
		if (content != nil) != (e.Type == Regular) {
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

func TestDirSourceVisitsOneOfEverything(t *testing.T) {
	d, err := NewDirSource(testRoot(t))
	must(t, err)
	got := listing(t, d)
	dir := func(p, mode string) string { return fmt.Sprintf(`%q 2 %s 0:0 "" 0,0 map[] ""`, p, mode) }
	want := []string{
		dir("/", "755"), dir("/.cloudlet", "755"),
		`"/.cloudlet/manifest" 1 644 0:0 "" 0,0 map[] "{\"name\": \"one-of-everything\"}"`,
		`"/conf" 3 777 0:0 "etc" 0,0 map[] ""`, `"/dangling" 3 777 0:0 "nowhere" 0,0 map[] ""`,
		dir("/dev", "755"), `"/dev/initctl" 7 600 0:0 "" 0,0 map[] ""`, `"/dev/null" 5 666 0:0 "" 1,3 map[] ""`, `"/dev/sda9" 6 660 0:0 "" 8,300 map[] ""`,
		dir("/etc", "755"), `"/etc/absolute" 3 777 0:0 "/etc/shadow" 0,0 map[] ""`,
		dir("/etc/deep", "755"), dir("/etc/deep/er", "755"), `"/etc/deep/er/hosts" 1 640 12:34567 "" 0,0 map[] "127.0.0.1 localhost\n"`,
		`"/etc/empty" 1 600 0:0 "" 0,0 map[] ""`, `"/etc/escape" 3 777 0:0 "../../../../../etc/passwd" 0,0 map[] ""`,
		`"/etc/hosts" 4 640 12:34567 "/etc/deep/er/hosts" 0,0 map[] ""`,
		`"/name\xff\xfe" 1 644 0:0 "" 0,0 map[] "latin"`, `"/` + strings.Repeat("n", 255) + `" 1 644 0:0 "" 0,0 map[] "long"`,
		fmt.Sprintf(`"/ping" 1 4755 0:0 "" 0,0 %q "program"`, map[string]string{"security.capability": capNetRaw}),
		`"/ping6" 4 4755 0:0 "/ping" 0,0 map[] ""`,
		dir("/tmp", "1777"),
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if again := listing(t, d); !slices.Equal(got, again) {
		t.Error("a second walk is another one")
	}
}

func TestDirSourceAsTree(t *testing.T) {
	root := testRoot(t)
	d, err := NewDirSource(root)
	must(t, err)
	e, err := d.Entry("/etc/empty")
	if want := time.Date(1965, 3, 4, 5, 6, 7, 89, time.UTC); err != nil || !e.ModTime.Equal(want) {
		t.Errorf("time %v, %v; want %v", e.ModTime, err, want)
	}
	if e, err := d.Entry("/"); err != nil || e.Type != Directory || e.Path != "/" {
		t.Errorf("root %+v, %v", e, err)
	}
	var names []string
	entries, err := d.ReadDir("/dev")
	for _, e := range entries {
		names = append(names, e.Path)
	}
	if diff := cmp.Diff([]string{"/dev/initctl", "/dev/null", "/dev/sda9"}, names); diff != "" || err != nil {
		t.Error(err, diff)
	}
	if text, err := ReadFile(d, "/conf/hosts", 100); string(text) != "127.0.0.1 localhost\n" {
		t.Errorf("read by a link: %q, %v", text, err)
	}
	for _, p := range []string{"/nothing", "/conf/hosts", "/etc/hosts/x", "/etc/escape/x", "/dev/log", "/../../../../../../etc/fstab/x"} {
		if e, err := d.Entry(p); !errors.Is(err, fs.ErrNotExist) {
			t.Errorf("entry %s = %+v, %v; want it absent", p, e, err)
		}
	}
	for _, p := range []string{"/etc", "/etc/absolute", "/dev/null", "/dev/initctl", "/etc/escape"} {
		if f, err := d.Open(p); err == nil {
			f.Close()
			t.Errorf("%s can be opened", p)
		}
	}
}

// TestDirSourceNeverLeavesItsDirectory plants a secret beside the image and
// links that lead to it.
func TestDirSourceNeverLeavesItsDirectory(t *testing.T) {
	base := t.TempDir()
	root := filepath.Join(base, "image")
	must(t, os.Mkdir(root, 0o755), os.WriteFile(filepath.Join(base, "secret"), []byte("secret"), 0o644),
		os.Symlink("../secret", filepath.Join(root, "up")), os.Symlink(filepath.Join(base, "secret"), filepath.Join(root, "absolute")),
		os.Symlink("..", filepath.Join(root, "dir")))
	d, err := NewDirSource(root)
	must(t, err)
	for _, p := range []string{"/up", "/absolute", "/dir/secret", "/../secret", "../secret"} {
		if text, err := ReadFile(d, p, 100); err == nil {
			t.Errorf("%s reads %q", p, text)
		}
		if f, err := d.Open(p); err == nil {
			f.Close()
			t.Errorf("%s can be opened", p)
		}
	}
}

func TestDirSourceFileThatShrinks(t *testing.T) {
	root := t.TempDir()
	file := filepath.Join(root, "f")
	must(t, os.WriteFile(file, make([]byte, 2*aheadFile), 0o644)) // too long to be read ahead
	d, err := NewDirSource(root)
	must(t, err)
	err = d.Walk(context.Background(), func(e Entry, content io.Reader) error {
		if content == nil {
			return nil
		}
		must(t, os.Truncate(file, 3))
		_, err := io.ReadAll(content)
		return err
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) || !strings.Contains(err.Error(), "read /f: it became shorter") {
		t.Errorf("error %v", err)
	}
}

func TestWalksStop(t *testing.T) {
	root := testRoot(t)
	d, err := NewDirSource(root)
	must(t, err)
	for name, s := range map[string]Source{"directory": d, "tarball": NewTarSource(tarOf(t, d))} {
		boom := errors.New("boom")
		if err := s.Walk(context.Background(), func(Entry, io.Reader) error { return boom }); !errors.Is(err, boom) || err.Error() != "boom" {
			t.Errorf("%s: error %v, want the visitor's", name, err)
		}
		ctx, cancel := context.WithCancel(context.Background())
		visits := 0
		err := s.Walk(ctx, func(Entry, io.Reader) error { visits++; cancel(); return nil })
		if !errors.Is(err, context.Canceled) || visits > 2 {
			t.Errorf("%s: error %v after %d visits", name, err, visits)
		}
	}
}
