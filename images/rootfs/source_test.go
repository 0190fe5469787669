//go:build linux

package rootfs

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"maps"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/testdata/needs"
)

// memFile is an invented file of an image.
type memFile struct {
	images.Entry
	content []byte
}

// memSource is a source of invented files, in the given order. If failing is
// set, the walk ends with that error.
type memSource struct {
	files   []memFile
	failing error
}

func source(files ...memFile) memSource { return memSource{files: files} }

func (s memSource) Walk(ctx context.Context, visit images.VisitFunc) error {
	for _, f := range s.files {
		var content io.Reader
		if f.Type == images.Regular && f.content != nil {
			content = bytes.NewReader(f.content)
		}
		if err := visit(f.Entry, content); err != nil {
			return err
		}
	}
	return s.failing
}

var testTime = time.Date(2024, 2, 29, 12, 30, 1, 0, time.UTC)

func folder(p string, mode uint32) memFile {
	return memFile{Entry: images.Entry{Path: p, Type: images.Directory, Mode: mode, ModTime: testTime}}
}

func file(p, content string, mode uint32) memFile {
	return memFile{
		Entry: images.Entry{
			Path: p, Type: images.Regular, Mode: mode, ModTime: testTime, Size: int64(len(content)),
		},
		content: []byte(content),
	}
}

func symlink(p, to string) memFile {
	return memFile{Entry: images.Entry{Path: p, Type: images.Symlink, Mode: 0o777, Link: to, ModTime: testTime}}
}

func hardLink(p, to string) memFile {
	return memFile{Entry: images.Entry{Path: p, Type: images.HardLink, Link: to, ModTime: testTime}}
}

func node(p string, typ images.Type, major, minor uint32) memFile {
	return memFile{Entry: images.Entry{Path: p, Type: typ, Mode: 0o620, Major: major, Minor: minor, ModTime: testTime}}
}

func (f memFile) with(change func(*images.Entry)) memFile {
	change(&f.Entry)
	return f
}

func owned(uid, gid uint32) func(*images.Entry) {
	return func(e *images.Entry) { e.UID, e.GID = uid, gid }
}

// capability is a security.capability value: version 2, cap_net_raw+ep.
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// everything has one file of each kind that an entry can describe, in the order
// of a walk of a directory.
func everything() memSource {
	holes := make([]byte, 3*smallFile+100)
	copy(holes[smallFile+17:], "data")
	large := bytes.Repeat([]byte("0123456789abcdef"), smallFile/8)
	return source(
		folder("/", 0o751).with(owned(3, 4)),
		folder("/bin", 0o755),
		file("/bin/ping", "capable", 0o755).with(func(e *images.Entry) {
			e.UID = 42
			e.Xattrs = map[string]string{"security.capability": capability, "user.note": "two\x00zeros\x00"}
		}),
		hardLink("/bin/ping6", "/bin/ping"),
		file("/bin/su", "setuid", 0o4755).with(owned(0, 1000)),
		folder("/dev", 0o755),
		node("/dev/initctl", images.FIFO, 0, 0),
		node("/dev/null", images.CharDevice, 1, 3),
		hardLink("/dev/null2", "/dev/null"),
		node("/dev/sdz", images.BlockDevice, 259, 1048575),
		folder("/etc", 0o755).with(func(e *images.Entry) { e.Xattrs = map[string]string{"user.dir": "yes"} }),
		file("/etc/\xff\n raw", "a name that is not UTF-8", 0o644),
		file("/etc/empty", "", 0o600),
		file("/etc/hosts", "127.0.0.1 localhost\n", 0o644).with(func(e *images.Entry) {
			e.UID, e.GID = 4000000000, 4000000001
			e.ModTime = time.Date(1969, 12, 31, 23, 59, 59, 123456789, time.UTC)
		}),
		symlink("/etc/mtab", "../proc/self/mounts").with(func(e *images.Entry) {
			e.UID, e.GID = 7, 8
			e.Xattrs = map[string]string{"trusted.link": "on the link itself"}
		}),
		hardLink("/etc/mtab2", "/etc/mtab"),
		folder("/lib", 0o755),
		file("/lib/"+strings.Repeat("n", 255), "long name", 0o644),
		file("/lib/holes", string(holes), 0o640),
		file("/lib/large", string(large), 0o644),
		folder("/locked", 0).with(func(e *images.Entry) { e.ModTime = testTime.Add(-time.Hour) }),
		file("/locked/secret", "in a directory without rights", 0),
		folder("/srv", 0o2775).with(owned(0, 50)),
		file("/srv/inherits", "not the group", 0o644),
		folder("/tmp", 0o1777),
	)
}

// facts holds an entry and the digest of its content.
type facts struct {
	images.Entry
	Sum string
}

// wanted returns what a directory should look like after a source was written
// to it.
func wanted(s memSource) map[string]facts {
	m := map[string]facts{}
	for _, f := range s.files {
		v := facts{Entry: f.Entry}
		switch f.Type {
		case images.HardLink:
			v = facts{Entry: images.Entry{Path: f.Path, Type: f.Type, Link: f.Link}}
		case images.Regular:
			v.Sum = fmt.Sprintf("%x", sha256.Sum256(f.content))
		}
		m[f.Path] = v
	}
	return m
}

// found returns what a directory looks like.
func found(t *testing.T, dir string) map[string]facts {
	t.Helper()
	src, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]facts{}
	err = src.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		v := facts{Entry: e}
		switch e.Type {
		case images.HardLink:
			v = facts{Entry: images.Entry{Path: e.Path, Type: e.Type, Link: e.Link}}
		case images.Regular:
			sum := sha256.New()
			if _, err := io.Copy(sum, content); err != nil {
				return err
			}
			v.Sum = fmt.Sprintf("%x", sum.Sum(nil))
		}
		m[e.Path] = v
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// names lists a directory.
func names(t *testing.T, dir string) map[string]bool {
	t.Helper()
	list, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	m := map[string]bool{}
	for _, d := range list {
		m[d.Name()] = true
	}
	return m
}

// onlyHolds fails the test if a directory contains any other name.
func onlyHolds(t *testing.T, dir string, want ...string) {
	t.Helper()
	wanted := map[string]bool{}
	for _, name := range want {
		wanted[name] = true
	}
	if got := names(t, dir); !maps.Equal(got, wanted) {
		t.Errorf("%s holds %v, want %v", dir, got, wanted)
	}
}

func needRoot(t testing.TB) {
	t.Helper()
	needs.Root(t)
}

// mountTmpfs mounts an empty filesystem in memory until the test ends.
func mountTmpfs(t *testing.T, dir, options string) {
	t.Helper()
	needRoot(t)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, options); err != nil {
		t.Fatalf("mount a tmpfs: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
		}
	})
}
