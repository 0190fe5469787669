//go:build linux

package erofs_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/erofs"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/imagetest"
	"cloudlets/images/tarball"
	"cloudlets/testdata/needs"
)

// tool runs a foreign tool, which must succeed, and returns what it said.
func tool(t testing.TB, debianPackage, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), needs.Tool(t, name, debianPackage), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

var someUUID = [16]byte{1, 2, 3, 4, 5, 6, 0x47, 8, 0x89, 10, 11, 12, 13, 14, 15, 16}

func options() erofs.Options {
	return erofs.Options{UUID: someUUID, Label: "fifteen bytes !", Time: imagetest.Time}
}

// build writes an image to a sparse file that fsck.erofs finds nothing wrong
// with.
func build(t testing.TB, src images.Source) string {
	t.Helper()
	l, err := erofs.Plan(t.Context(), src, options())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	img := write(t, l)
	if said := tool(t, "erofs-utils", "fsck.erofs", "-d3", "--extract", img); !strings.Contains(said, "No errors found") {
		t.Fatalf("fsck.erofs: %s", said)
	}
	return img
}

func write(t testing.TB, l *erofs.Layout) string {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "erofs.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	w := sparse.File(f)
	if err := errors.Join(l.Write(t.Context(), w), w.Finish()); err != nil {
		t.Fatal(err)
	}
	if w.Offset() != l.Size() {
		t.Fatalf("wrote %d bytes of a filesystem of %d", w.Offset(), l.Size())
	}
	return f.Name()
}

func TestOneOfEverything(t *testing.T) {
	src := imagetest.Everything()
	img := build(t, src)
	disktest.SameOnKernel(t, img, "erofs", src)
	said := tool(t, "erofs-utils", "dump.erofs", "-s", img)
	for _, want := range []string{"01020304-0506-4708-890a-0b0c0d0e0f10", "sb_csum mtime", "2024"} {
		if !strings.Contains(said, want) {
			t.Errorf("dump.erofs does not say %q: %s", want, said)
		}
	}
	if said := tool(t, "util-linux", "blkid", "-p", "-s", "LABEL", "-s", "TYPE", "-o", "value", img); said != "fifteen bytes !\nerofs\n" && said != "erofs\n" {
		t.Errorf("blkid: %q", said) // older ones read no label
	}
}

// TestExtracted has the tools of EROFS read every content that they check.
func TestExtracted(t *testing.T) {
	needs.Root(t)
	var src imagetest.Memory
	src.Dir("/")
	src.Dir("/d").Mode = 0o1770
	for _, size := range []int{0, 1, 4000, 4032, 4033, 4096, 100_000, 255 << 10, 256 << 10, 1<<20 + 1, 3 << 20} {
		src.File(fmt.Sprintf("/d/%d", size), bytes.Repeat([]byte("0123456789abcdef!"), size/17+1)[:size])
	}
	src.Symlink("/link", strings.Repeat("t", 4095))
	dir := filepath.Join(t.TempDir(), "out")
	tool(t, "erofs-utils", "fsck.erofs", "--extract="+dir, build(t, src))
	got, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	err = got.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		i := slices.IndexFunc(src, func(f imagetest.Item) bool { return f.Path == e.Path })
		if i < 0 || src[i].Type != e.Type || src[i].Link != e.Link || e.Path != "/" && e.Type != images.Symlink && src[i].Mode != e.Mode {
			t.Errorf("%s is not as it was: %+v", e.Path, e)
			return nil
		}
		if content != nil {
			want, err1 := io.ReadAll(src[i].Open())
			have, err2 := io.ReadAll(content)
			if err := errors.Join(err1, err2); err != nil || !bytes.Equal(have, want) {
				t.Errorf("%s has other bytes (%v)", e.Path, err)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRandomTrees(t *testing.T) { randomTrees(t, 0, 5) }

// randomTrees makes filesystems of random trees, of some seeds, for the kernel to read.
func randomTrees(t *testing.T, from, to uint64) {
	for seed := from; seed < to; seed++ {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			t.Parallel()
			src := imagetest.Random(rand.New(rand.NewPCG(seed, 7)))
			disktest.SameOnKernel(t, build(t, src), "erofs", src)
		})
	}
}

func TestDebianRoot(t *testing.T) {
	t.Parallel()
	found := needs.Made(t, "../../../.cache/debian-12-*.tar", "setup-image")
	src := tarball.New(found)
	disktest.SameOnKernel(t, build(t, src), "erofs", src)
}

func TestHolesStayHoles(t *testing.T) {
	t.Parallel()
	var src imagetest.Memory
	src.Dir("/")
	src.Holes("/all", 3<<20+5)
	src.Holes("/first", 5<<20, 5<<20-1)
	src.File("/small", []byte("after it"))
	disktest.SameOnKernel(t, build(t, src), "erofs", src)

	const size = 5<<30 + 3
	ones := []int64{0, 1<<32 - 1, 1<<32 + 2, 5<<30 + 2} // more chunks than are listed
	src.Holes("/over-4g", size, ones...)
	l, err := erofs.Plan(t.Context(), src, options())
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	img := write(t, l)
	if info, err := os.Stat(img); err != nil || info.Size() > 1<<20 {
		t.Errorf("the filesystem has %d bytes (%v)", info.Size(), err)
	}
	if said := tool(t, "erofs-utils", "fsck.erofs", "-d3", img); !strings.Contains(said, "No errors found") {
		t.Errorf("fsck.erofs: %s", said)
	}
	dir, _ := disktest.Mount(t, img, "erofs", unix.MS_RDONLY)
	wantOnes(t, filepath.Join(dir, "over-4g"), size, ones)
}

// wantOnes makes sure that a file has zeros, but for bytes of value one at some offsets.
// Where the kernel has holes it reads no zeros, which takes half a minute.
func wantOnes(t *testing.T, file string, size int64, ones []int64) {
	t.Helper()
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	list, err := disktest.Data(f)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := f.Stat(); err != nil || info.Size() != size {
		t.Errorf("%s has %d bytes, want %d (%v)", file, info.Size(), size, err)
	}
	read, found := int64(0), []int64(nil)
	for _, x := range list {
		b := make([]byte, min(x.Length, 16<<20))
		if _, err := f.ReadAt(b, x.Offset); err != nil {
			t.Fatal(err)
		}
		for i, v := range b {
			if v == 1 {
				found = append(found, x.Offset+int64(i))
			} else if v != 0 {
				t.Fatalf("%s has %d at %d", file, v, x.Offset+int64(i))
			}
		}
		read += x.Length
	}
	if !slices.Equal(found, ones) || read > 16<<20 {
		t.Errorf("%s has ones at %d, want %d; it has %d bytes that are no holes", file, found, ones, read)
	}
	zeros := make([]byte, 1<<20)
	for _, at := range []int64{1 << 20, 3 << 30, 1<<32 + 8<<20} { // and what is in the holes
		if at >= size {
			break
		}
		if _, err := f.ReadAt(zeros, at); err != nil || !sparse.IsZero(zeros) {
			t.Errorf("%s has no zeros at %d (%v)", file, at, err)
		}
	}
}

// TestLargeDirectory: the kernel searches names by halves, so order matters.
func TestLargeDirectory(t *testing.T) {
	t.Parallel()
	const files = 70_000
	var src imagetest.Memory
	src.Dir("/")
	src.Dir("/d")
	for i := range files {
		src.File(fmt.Sprintf("/d/%x", i*2654435761), nil)
	}
	dir, _ := disktest.Mount(t, build(t, src), "erofs", unix.MS_RDONLY)
	names, err := os.ReadDir(filepath.Join(dir, "d"))
	if err != nil || len(names) != files {
		t.Fatalf("%d names (%v)", len(names), err)
	}
	for _, f := range src[2:] {
		if _, err := os.Lstat(dir + f.Path); err != nil {
			t.Fatal(err)
		}
	}
}

func TestTheSameEachTime(t *testing.T) {
	content := func(src images.Source) []byte {
		l, err := erofs.Plan(t.Context(), src, options())
		if err != nil {
			t.Fatal(err)
		}
		var b bytes.Buffer
		if err := l.Write(t.Context(), sparse.To(&b)); err != nil {
			t.Fatal(err)
		}
		return b.Bytes()
	}
	if !bytes.Equal(content(imagetest.Everything()), content(imagetest.Everything())) {
		t.Error("two filesystems of one image differ")
	}
}

func TestChangesAreNoticed(t *testing.T) {
	index := func(m imagetest.Memory, path string) int {
		return slices.IndexFunc(m, func(f imagetest.Item) bool { return f.Path == path })
	}
	for name, c := range map[string]struct {
		change func(m imagetest.Memory) imagetest.Memory
		says   string
	}{
		"owner":      {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/su")].UID = 7; return m }, "/su: "},
		"directory":  {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/dev")].UID = 7; return m }, "/dev: "},
		"length":     {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/c/4097")].Size++; return m }, "/c/4097: "},
		"link":       {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/c/and-again")].Link = "/c/1"; return m }, "/c/and-again: "},
		"gone":       {func(m imagetest.Memory) imagetest.Memory { return m[:len(m)-1] }, "files where there were"},
		"one more":   {func(m imagetest.Memory) imagetest.Memory { m.File("/more", nil); return m }, "/more: "},
		"no content": {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/c/4096")].Open = nil; return m }, "/c/4096: the image gives no content"},
		"cut short": {func(m imagetest.Memory) imagetest.Memory {
			m[index(m, "/c/4096")].Open = func() io.Reader { return strings.NewReader("short") }
			return m
		}, "/c/4096: it is shorter"},
		"large one cut short": {func(m imagetest.Memory) imagetest.Memory {
			m[index(m, "/c/1048576")].Open = func() io.Reader { return strings.NewReader("short") }
			return m
		}, "/c/1048576: it is shorter"},
		"hole filled": {func(m imagetest.Memory) imagetest.Memory {
			m[index(m, "/c/hole-first")].Open = func() io.Reader { return imagetest.Ones(4<<20, 77, 4<<20-1) }
			return m
		}, "/c/hole-first: a hole of it has data"},
	} {
		t.Run(name, func(t *testing.T) {
			src := imagetest.Everything()
			changing := &changing{Source: src}
			o := options()
			o.Compression = erofs.None // what is compressed is not read again
			l, err := erofs.Plan(t.Context(), changing, o)
			if err != nil {
				t.Fatal(err)
			}
			defer l.Close()
			changing.Source = c.change(src)
			err = l.Write(t.Context(), sparse.To(io.Discard))
			if err == nil || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want one that says %q", err, c.says)
			}
			if !errors.Is(err, erofs.ErrChanged) && name != "no content" {
				t.Errorf("error %v is not ErrChanged", err)
			}
		})
	}
}

// changing is a source that becomes another one.
type changing struct{ images.Source }

func TestWhatCannotBeIsRefused(t *testing.T) {
	xattr := func(name, value string) func(*imagetest.Memory) {
		return func(m *imagetest.Memory) { m.File("/bad", nil).Xattrs = map[string]string{name: value} }
	}
	for name, c := range map[string]struct {
		add  func(*imagetest.Memory)
		says string
	}{
		"attribute of the system": {xattr("system.nfs4_acl", "x"), `/bad: EROFS cannot hold its extended attribute "system.nfs4_acl"`},
		"attribute of nobody":     {xattr("x", "x"), "/bad"},
		"attribute without name":  {xattr("user.", "x"), "/bad"},
		"zero in an attribute":    {xattr("user.a\x00", "x"), "/bad"},
		"list with more":          {xattr("system.posix_acl_access.", "x"), "/bad"},
		"large attribute":         {xattr("user.x", strings.Repeat("x", 65536)), "65536 bytes"},
		"many attributes": {func(m *imagetest.Memory) {
			all := map[string]string{}
			for i := range 5 {
				all[fmt.Sprintf("user.%d", i)] = strings.Repeat("x", 65000)
			}
			m.File("/bad", nil).Xattrs = all
		}, "/bad: its extended attributes have"},
		"long name":         {func(m *imagetest.Memory) { m.File("/"+strings.Repeat("n", 256), nil) }, "path"},
		"zero in a name":    {func(m *imagetest.Memory) { m.File("/a\x00b", nil) }, "path"},
		"no parent":         {func(m *imagetest.Memory) { m.File("/a/b", nil) }, "/a"},
		"dots":              {func(m *imagetest.Memory) { m.File("/..", nil) }, "path"},
		"twice":             {func(m *imagetest.Memory) { m.File("/a", nil); m.File("/a", nil) }, `"a": it is in the image twice`},
		"directory twice":   {func(m *imagetest.Memory) { m.Dir("/a"); m.Dir("/a") }, "/a"},
		"root twice":        {func(m *imagetest.Memory) { m.Dir("/") }, "root"},
		"root a file":       {func(m *imagetest.Memory) { m.File("/", nil) }, "root"},
		"link to nothing":   {func(m *imagetest.Memory) { m.Link("/a", "/b") }, "/b"},
		"link to nowhere":   {func(m *imagetest.Memory) { m.Link("/a", "/b/c") }, "/b/c"},
		"link to directory": {func(m *imagetest.Memory) { m.Dir("/b"); m.Link("/a", "/b") }, "directory"},
		"link to itself":    {func(m *imagetest.Memory) { m.Link("/a", "/a") }, "/a"},
		"device":            {func(m *imagetest.Memory) { m.Add(images.Entry{Path: "/d", Type: images.CharDevice, Major: 4096}) }, "4096"},
		"empty symlink":     {func(m *imagetest.Memory) { m.Symlink("/s", "") }, "/s"},
		"long symlink":      {func(m *imagetest.Memory) { m.Symlink("/s", strings.Repeat("s", 4096)) }, "/s"},
		"huge file":         {func(m *imagetest.Memory) { m.Add(images.Entry{Path: "/h", Type: images.Regular, Size: 17 << 40}) }, "/h"},
		"huge files": {func(m *imagetest.Memory) {
			m.Add(images.Entry{Path: "/h", Type: images.Regular, Size: 9 << 40})
			m.Add(images.Entry{Path: "/i", Type: images.Regular, Size: 9 << 40})
		}, "EROFS has at most"},
		"negative file": {func(m *imagetest.Memory) { m.Add(images.Entry{Path: "/h", Type: images.Regular, Size: -1}) }, "/h"},
		"unknown type":  {func(m *imagetest.Memory) { m.Add(images.Entry{Path: "/t", Type: 99}) }, "99"},
	} {
		t.Run(name, func(t *testing.T) {
			var m imagetest.Memory
			m.Dir("/")
			c.add(&m)
			if _, err := erofs.Plan(t.Context(), m, options()); err == nil || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want one that says %q", err, c.says)
			}
		})
	}
	o := options()
	o.Label = "sixteen bytes !!"
	if _, err := erofs.Plan(t.Context(), imagetest.Memory{}, o); err == nil || !strings.Contains(err.Error(), "label") {
		t.Errorf("error %v", err)
	}
}

func TestCancelled(t *testing.T) {
	l, err := erofs.Plan(t.Context(), imagetest.Everything(), options())
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := l.Write(ctx, sparse.To(io.Discard)); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
	if _, err := erofs.Plan(ctx, imagetest.Everything(), options()); !errors.Is(err, context.Canceled) {
		t.Errorf("error %v", err)
	}
}

// manyFiles is a source that takes no memory itself.
type manyFiles int

func (n manyFiles) Walk(_ context.Context, visit images.VisitFunc) error {
	for i := range int(n) {
		dir := fmt.Sprintf("/usr-share-doc-%d", i/100)
		if i%100 == 0 {
			if err := visit(images.Entry{Path: dir, Type: images.Directory, Mode: 0o755}, nil); err != nil {
				return err
			}
		}
		e := images.Entry{Path: fmt.Sprintf("%s/some-file-%d.gz", dir, i), Type: images.Regular, Size: 2, ModTime: time.Unix(1, 0)}
		if err := visit(e, strings.NewReader("x\n")); err != nil {
			return err
		}
	}
	return nil
}

// A plan keeps at most 200 bytes of a file, and writing little more.
func TestMemoryOfAPlan(t *testing.T) {
	const files = 200_000
	live := func() uint64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return m.HeapAlloc
	}
	before := live()
	l, err := erofs.Plan(t.Context(), manyFiles(files), options())
	if err != nil {
		t.Fatal(err)
	}
	each := float64(int64(live())-int64(before)) / files
	t.Logf("%.0f bytes a file", each)
	if each > 200 {
		t.Errorf("a plan keeps %.0f bytes of a file, want at most 200", each)
	}
	runtime.KeepAlive(l)
}

// FuzzTree makes entries of arbitrary bytes. Whatever Plan accepts, fsck.erofs
// must accept too.
func FuzzTree(f *testing.F) {
	f.Add([]byte("\x02/a\n\x01/a/b\n\x03/l\n\x04/h"), "user.x", "value", "/a/b")
	f.Add([]byte("\x05/dev\n\x07/p\n\x07/p"), "security.capability", imagetest.CapNetRaw, strings.Repeat("t", 70))
	f.Fuzz(func(t *testing.T, names []byte, attr, value, target string) {
		var m imagetest.Memory
		for line := range bytes.SplitSeq(names, []byte("\n")) {
			if len(line) < 2 {
				continue
			}
			e := images.Entry{Type: images.Type(line[0] % 9), Path: string(line[1:]), Link: target, Mode: uint32(line[0]) << 4}
			e.Major, e.Minor = uint32(line[0])<<5, uint32(line[1])<<13
			if e.Type == images.Regular {
				m.File(e.Path, []byte(value)).Xattrs = map[string]string{attr: value, "user.y": target}
				continue
			}
			m.Add(e)
		}
		if _, err := erofs.Plan(t.Context(), m, options()); err == nil {
			build(t, m)
		}
	})
}
