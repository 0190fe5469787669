//go:build linux

package pack

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"io"
	"io/fs"
	"math/rand/v2"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/rootfs"
)

// memFile is an invented file of an image. If content is nil, it consists of
// Size zeros.
type memFile struct {
	images.Entry
	content []byte
	// tail is the end of a file that is too large for memory. Zeros come before
	// it.
	tail string
}

func (f memFile) open() io.Reader {
	if f.content != nil {
		return bytes.NewReader(f.content)
	}
	zeros := io.LimitReader(zeroReader{}, f.Size-2*int64(len(f.tail)))
	return io.MultiReader(strings.NewReader(f.tail), zeros, strings.NewReader(f.tail))
}

type zeroReader struct{}

func (zeroReader) Read(p []byte) (int, error) { clear(p); return len(p), nil }

// memSource is an images.Source of made-up files.
type memSource []memFile

func (s memSource) Walk(ctx context.Context, visit images.VisitFunc) error {
	for _, f := range s {
		var content io.Reader
		if f.Type == images.Regular {
			content = f.open()
		}
		if err := visit(f.Entry, content); err != nil {
			return err
		}
	}
	return ctx.Err()
}

var testTime = time.Date(2024, 2, 29, 12, 30, 1, 0, time.UTC)

func dirFile(p string) memFile {
	return memFile{Entry: images.Entry{Path: p, Type: images.Directory, Mode: 0o755, ModTime: testTime}}
}

func regFile(p string, content []byte) memFile {
	return memFile{
		Entry:   images.Entry{Path: p, Type: images.Regular, Mode: 0o644, ModTime: testTime, Size: int64(len(content))},
		content: content,
	}
}

func linkFile(p, to string) memFile {
	return memFile{Entry: images.Entry{Path: p, Type: images.HardLink, Link: to, ModTime: testTime, Mode: 0o644}}
}

func (f memFile) with(change func(*images.Entry)) memFile {
	change(&f.Entry)
	return f
}

func noise(seed uint64, n int) []byte {
	b := make([]byte, n)
	rng := rand.NewChaCha8([32]byte{byte(seed), byte(seed >> 8)})
	_, _ = rng.Read(b)
	return b
}

// capability is a security.capability value: version 2, cap_net_raw+ep.
const capability = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// plainTree has one file of each kind that tar can also carry.
func plainTree() memSource {
	node := func(p string, typ images.Type, major, minor uint32) memFile {
		return memFile{Entry: images.Entry{Path: p, Type: typ, Mode: 0o620, GID: 5, Major: major, Minor: minor, ModTime: testTime}}
	}
	symlink := func(p, to string) memFile {
		return memFile{Entry: images.Entry{Path: p, Type: images.Symlink, Mode: 0o777, UID: 7, GID: 8, Link: to, ModTime: testTime.Add(5)}}
	}
	return memSource{
		dirFile("/").with(func(e *images.Entry) { e.Mode = 0o751; e.UID = 3 }),
		dirFile("/bin"),
		regFile("/bin/su", []byte("setuid")).with(func(e *images.Entry) { e.Mode = 0o4755; e.UID, e.GID = 0, 1000 }),
		regFile("/bin/wall", []byte("setgid")).with(func(e *images.Entry) { e.Mode = 0o2755; e.GID = 4 }),
		regFile("/bin/ping", []byte("capable")).with(func(e *images.Entry) {
			e.Mode, e.UID = 0o755, 42
			e.Xattrs = map[string]string{"security.capability": capability, "user.note": "two\x00zeros\x00"}
		}),
		linkFile("/bin/ping6", "/bin/ping"),
		dirFile("/dev"),
		node("/dev/null", images.CharDevice, 1, 3),
		node("/dev/sdz", images.BlockDevice, 259, 1048575),
		node("/dev/initctl", images.FIFO, 0, 0),
		dirFile("/etc").with(func(e *images.Entry) { e.Xattrs = map[string]string{"user.dir": "yes"} }),
		regFile("/etc/empty", nil).with(func(e *images.Entry) { e.Mode = 0o600 }),
		regFile("/etc/hosts", []byte("127.0.0.1 localhost\n")).with(func(e *images.Entry) {
			e.UID, e.GID = 4000000000, 4000000001
			e.ModTime = time.Date(1969, 12, 31, 23, 59, 59, 123456789, time.UTC)
		}),
		regFile("/etc/old", []byte("old")).with(func(e *images.Entry) { e.ModTime = time.Date(1905, 1, 1, 0, 0, 0, 1, time.UTC) }),
		regFile("/etc/late", []byte("late")).with(func(e *images.Entry) { e.ModTime = time.Date(2110, 1, 1, 0, 0, 0, 999999999, time.UTC) }),
		symlink("/etc/mtab", "../proc/self/mounts"),
		symlink("/etc/dangling", "/no/where"),
		linkFile("/etc/dangling2", "/etc/dangling"),
		regFile("/etc/"+strings.Repeat("n", 255), []byte("long name")),
		dirFile("/lib"),
		regFile("/lib/exact", noise(1, FrameSize)),
		regFile("/lib/two", noise(2, 2*FrameSize)),
		regFile("/lib/big", noise(3, 3*FrameSize+4097)),
		regFile("/lib/holes", holes()),
		dirFile("/srv").with(func(e *images.Entry) { e.Mode = 0o2775; e.GID = 50 }),
		regFile("/srv/inherits", []byte("not the group")),
		dirFile("/tmp").with(func(e *images.Entry) { e.Mode = 0o1777 }),
		dirFile("/locked").with(func(e *images.Entry) { e.Mode = 0; e.ModTime = testTime.Add(-time.Hour) }),
		regFile("/locked/secret", []byte("in a directory without rights")).with(func(e *images.Entry) { e.Mode = 0 }),
	}
}

// holes returns content that has blocks of zeros at its beginning, middle and
// end.
func holes() []byte {
	b := make([]byte, 10*rootfs.BlockSize+100)
	copy(b[3*rootfs.BlockSize+17:], "data")
	b[7*rootfs.BlockSize-1] = 1
	return b
}

// everything is plainTree, with additional files that tar cannot express or
// would expand.
func everything() memSource {
	raw := "/etc/\xff\xfe caf\xe9"
	s := slices.Clone(plainTree())
	return append(s,
		regFile(raw, []byte("a name that is not UTF-8")),
		linkFile("/etc/\xc3\x28", raw),
		memFile{Entry: images.Entry{Path: "/etc/\xf0raw", Type: images.Symlink, Mode: 0o777, Link: "to \x80", ModTime: testTime}},
		regFile("/etc/\n<&>\"\\ \u2028\ufffd", []byte("a name that JSON escapes")),
		regFile("/etc/attr", []byte("x")).with(func(e *images.Entry) {
			e.Xattrs = map[string]string{"user.a=b": "equals", "user.\xff": "raw", "user.empty": ""}
		}),
		dirFile("/dev/\xffdir"),
		regFile("/dev/\xffdir/in", []byte("in it")),
		memFile{
			Entry: images.Entry{Path: "/var-sparse", Type: images.Regular, Mode: 0o640, Size: 1 << 30, ModTime: testTime},
			tail:  "data at both ends",
		},
	)
}

// randomTree invents a tree from a seed.
func randomTree(seed uint64) memSource {
	rng := rand.New(rand.NewPCG(seed, 1))
	s := memSource{dirFile("/")}
	dirs, files := []string{"/"}, []string{}
	for i := range 60 + rng.IntN(100) {
		name := make([]byte, 1+rng.IntN(12))
		for k := range name {
			name[k] = byte(1 + rng.IntN(255))
			if name[k] == '/' || name[k] == '.' {
				name[k] = 0xff
			}
		}
		p := path.Join(dirs[rng.IntN(len(dirs))], fmt.Sprintf("%d%s", i, name))
		f := randomFile(rng, p, files)
		f.ModTime = time.Unix(rng.Int64N(4e9)-2e9, rng.Int64N(1e9)).UTC()
		f.Mode, f.UID, f.GID = uint32(rng.IntN(0o10000)), rng.Uint32N(1<<31), rng.Uint32N(1<<31)
		if f.Type == images.Directory {
			dirs = append(dirs, p)
		} else if f.Type != images.HardLink {
			files = append(files, p)
		}
		s = append(s, f)
	}
	return s
}

func randomFile(rng *rand.Rand, p string, files []string) memFile {
	switch k := rng.IntN(10); {
	case k < 2:
		return dirFile(p)
	case k == 2:
		return memFile{Entry: images.Entry{Path: p, Type: images.Symlink, Link: strings.Repeat("../\xfe", 1+rng.IntN(9))}}
	case k == 3 && len(files) > 0:
		return linkFile(p, files[rng.IntN(len(files))])
	case k == 4:
		return memFile{Entry: images.Entry{Path: p, Type: images.FIFO}}
	}
	sizes := []int{0, 1, 100, rootfs.BlockSize, rootfs.BlockSize + 1, 70000, FrameSize - 1, FrameSize, FrameSize + 1, 5 * FrameSize / 2}
	content := noise(rng.Uint64(), sizes[min(rng.IntN(len(sizes)), rng.IntN(len(sizes)), rng.IntN(len(sizes)))])
	for at := 0; at+rootfs.BlockSize <= len(content); at += rootfs.BlockSize { // some of it is holes
		if rng.IntN(2) == 0 {
			clear(content[at : at+rootfs.BlockSize])
		}
	}
	return regFile(p, content)
}

// facts describe everything that a test can see of a file.
type facts struct {
	Type       uint32
	Mode       uint32
	UID, GID   uint32
	Size       int64
	ModTime    time.Time
	Link       string
	Rdev       uint64
	Xattrs     map[string]string
	Content    string
	LinkedWith string // the first name of the same file
}

// wantFacts returns what an image should look like on a disk.
func wantFacts(s memSource) map[string]facts {
	m := make(map[string]facts)
	for _, f := range s {
		if f.Type == images.HardLink {
			same := m[f.Link]
			same.LinkedWith = min(f.Path, f.Link)
			m[f.Path], m[f.Link] = same, same
			continue
		}
		v := facts{
			Type: statTypes[f.Type], Mode: f.Mode, UID: f.UID, GID: f.GID, Size: f.Size,
			ModTime: f.ModTime.UTC(), Link: f.Link, Xattrs: f.Xattrs, LinkedWith: f.Path,
		}
		if f.Type == images.Regular {
			v.Content = sumReader(f.open())
		}
		if f.Type == images.Symlink {
			v.Mode = 0o777 // the only one that Linux knows for them
		}
		if isDevice(f.Entry) {
			v.Rdev = unix.Mkdev(f.Major, f.Minor)
		}
		m[f.Path] = v
	}
	relink(m, s)
	return m
}

// relink gives all names of one file the first of these names.
func relink(m map[string]facts, s memSource) {
	first := make(map[string]string)
	of := func(f memFile) string {
		if f.Type == images.HardLink {
			return f.Link
		}
		return f.Path
	}
	for _, f := range s {
		if old, ok := first[of(f)]; !ok || f.Path < old {
			first[of(f)] = f.Path
		}
	}
	for _, f := range s {
		v := m[f.Path]
		v.LinkedWith = first[of(f)]
		m[f.Path] = v
	}
}

func sumReader(r io.Reader) string {
	h := sha256.New()
	if _, err := io.Copy(h, r); err != nil {
		return err.Error()
	}
	return fmt.Sprintf("%x", h.Sum(nil))
}

// diskFacts returns what a directory looks like.
func diskFacts(t *testing.T, dir string) map[string]facts {
	t.Helper()
	m := make(map[string]facts)
	first := make(map[uint64]string)
	err := filepath.WalkDir(dir, func(name string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		p := strings.TrimPrefix(name, dir)
		if p == "" {
			p = "/"
		}
		if p == "/lost+found" {
			return fs.SkipDir
		}
		v, ino := statFacts(t, name)
		if old, ok := first[ino]; !ok || p < old {
			first[ino] = p
		}
		v.LinkedWith = fmt.Sprint(ino)
		m[p] = v
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for p, v := range m {
		var ino uint64
		fmt.Sscan(v.LinkedWith, &ino)
		v.LinkedWith = first[ino]
		m[p] = v
	}
	return m
}

func statFacts(t *testing.T, name string) (facts, uint64) {
	t.Helper()
	var st unix.Stat_t
	if err := unix.Lstat(name, &st); err != nil {
		t.Fatal(err)
	}
	v := facts{
		Type: st.Mode & unix.S_IFMT, Mode: st.Mode & 0o7777, UID: st.Uid, GID: st.Gid,
		ModTime: time.Unix(st.Mtim.Unix()).UTC(), Xattrs: diskXattrs(t, name),
	}
	switch v.Type {
	case unix.S_IFREG:
		f, err := os.Open(name)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		v.Size, v.Content = st.Size, sumReader(f)
	case unix.S_IFLNK:
		v.Link, _ = os.Readlink(name)
	case unix.S_IFCHR, unix.S_IFBLK:
		v.Rdev = st.Rdev
	}
	return v, st.Ino
}

func diskXattrs(t *testing.T, name string) map[string]string {
	t.Helper()
	buf := make([]byte, 64<<10)
	n, err := unix.Llistxattr(name, buf)
	if err != nil || n == 0 {
		return nil
	}
	m := make(map[string]string)
	for attr := range strings.SplitSeq(strings.TrimSuffix(string(buf[:n]), "\x00"), "\x00") {
		value := make([]byte, 64<<10)
		n, err := unix.Lgetxattr(name, attr, value)
		if err != nil {
			t.Fatal(err)
		}
		m[attr] = string(value[:n])
	}
	return m
}

// sameTree fails the test if dir differs from the image.
func sameTree(t *testing.T, want memSource, dir string) {
	t.Helper()
	if diff := cmp.Diff(wantFacts(want), diskFacts(t, dir)); diff != "" {
		t.Errorf("the disk differs from the image (-image +disk):\n%s", diff)
	}
}

// mustWrite packs a source into memory.
func mustWrite(t testing.TB, src images.Source, opt Options) ([]byte, Info) {
	t.Helper()
	var buf bytes.Buffer
	info, err := Write(t.Context(), &buf, src, opt)
	if err != nil {
		t.Fatal(err)
	}
	if info.Size != int64(buf.Len()) {
		t.Fatalf("Write says the pack has %d bytes, it has %d", info.Size, buf.Len())
	}
	return buf.Bytes(), info
}

// extract fetches and extracts a pack.
func extract(t testing.TB, src Ranger, want Ref, dir string, opt ExtractOptions) (Stats, error) {
	t.Helper()
	toc, err := Fetch(t.Context(), src, want)
	if err != nil {
		return Stats{}, err
	}
	return Extract(t.Context(), src, toc, dir, opt)
}
