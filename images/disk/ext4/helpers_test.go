package ext4_test

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/maphash"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
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
	path, err := exec.LookPath(name)
	if err != nil {
		path, err = exec.LookPath(filepath.Join("/usr/sbin", name))
	}
	if err != nil {
		t.Fatalf("this test needs %s: install the Debian package %s", name, packages[name])
	}
	cmd := exec.CommandContext(context.Background(), path, args...)
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

// attach makes a loop device of an image, until the test ends.
func attach(t testing.TB, img string) string {
	t.Helper()
	dev := strings.TrimSpace(tool(t, "losetup", "--find", "--show", img))
	t.Cleanup(func() { tool(t, "losetup", "--detach", dev) })
	return dev
}

// mount lets the kernel mount an image, until the test ends or the returned
// function is called.
func mount(t testing.TB, img string, flags uintptr) (dir string, unmount func()) {
	t.Helper()
	dir = t.TempDir()
	dev := attach(t, img)
	if err := unix.Mount(dev, dir, "ext4", flags, ""); err != nil {
		t.Fatalf("mount %s: %v", img, err)
	}
	mounted := true
	unmount = func() {
		if !mounted {
			return
		}
		mounted = false
		if err := unix.Unmount(dir, 0); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	t.Cleanup(unmount)
	return dir, unmount
}

// sameOnKernel mounts an image and compares every file with the source.
func sameOnKernel(t testing.TB, img string, want images.Source) {
	t.Helper()
	dir, unmount := mount(t, img, unix.MS_RDONLY)
	defer unmount()
	got, err := images.NewDirSource(dir)
	if err != nil {
		t.Fatal(err)
	}
	same(t, got, want)
}

// same compares two sources, file by file.
func same(t testing.TB, got, want images.Source) {
	t.Helper()
	seed := maphash.MakeSeed()
	g, w := snapshot(t, got, seed), snapshot(t, want, seed)
	if _, ok := w["/lost+found"]; !ok {
		delete(g, "/lost+found")
	}
	wrong := 0
	for _, path := range slices.Sorted(maps.Keys(w)) {
		if g[path] != w[path] && wrong < 10 {
			t.Errorf("%.80q:\ngot  %s\nwant %s", path, g[path], w[path])
			wrong++
		}
		delete(g, path)
	}
	for path := range g {
		t.Errorf("%.80q is there, and should not", path)
	}
}

// snapshot describes every file of a source in a line. Names of one file are
// described alike, whichever the walk came to first.
func snapshot(t testing.TB, src images.Source, seed maphash.Seed) map[string]string {
	t.Helper()
	lines, names := map[string]string{}, map[string][]string{}
	first, buf := map[string]string{}, make([]byte, 1<<20)
	err := src.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		if e.Type == images.HardLink {
			first[e.Path] = first[e.Link]
			names[first[e.Link]] = append(names[first[e.Link]], e.Path)
			return nil
		}
		if e.Type == images.FIFO {
			e.Size = 0
		}
		first[e.Path] = e.Path
		names[e.Path] = []string{e.Path}
		line := fmt.Sprintf("type %d mode %o owner %d:%d size %d time %d.%09d link %.60q device %d:%d xattrs %.300q",
			e.Type, e.Mode, e.UID, e.GID, e.Size, e.ModTime.Unix(), e.ModTime.Nanosecond(), e.Link, e.Major, e.Minor, fmt.Sprint(e.Xattrs))
		if content != nil {
			var h maphash.Hash
			h.SetSeed(seed)
			if _, err := io.CopyBuffer(&h, struct{ io.Reader }{content}, buf); err != nil {
				return err
			}
			line += fmt.Sprintf(" content %x", h.Sum64())
		}
		lines[e.Path] = line
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for path, group := range names {
		slices.Sort(group)
		line := fmt.Sprintf("%s names %.200q", lines[path], group)
		for _, name := range group {
			lines[name] = line
		}
	}
	return lines
}

// memory is a source made of what a test says.
type memory []memoryFile

type memoryFile struct {
	images.Entry
	open func() io.Reader
}

func (m memory) Walk(ctx context.Context, visit images.VisitFunc) error {
	for _, f := range m {
		if err := ctx.Err(); err != nil {
			return err
		}
		var r io.Reader
		if f.open != nil {
			r = f.open()
		}
		if err := visit(f.Entry, r); err != nil {
			return err
		}
	}
	return nil
}

var someTime = time.Date(2024, 2, 29, 12, 34, 56, 789012345, time.UTC)

func (m *memory) add(e images.Entry) *images.Entry {
	if e.ModTime.IsZero() {
		e.ModTime = someTime
	}
	*m = append(*m, memoryFile{Entry: e})
	return &(*m)[len(*m)-1].Entry
}

func (m *memory) dir(path string) *images.Entry {
	return m.add(images.Entry{Path: path, Type: images.Directory, Mode: 0o755})
}

func (m *memory) file(path string, content []byte) *images.Entry {
	e := m.add(images.Entry{Path: path, Type: images.Regular, Mode: 0o644, Size: int64(len(content))})
	(*m)[len(*m)-1].open = func() io.Reader { return bytes.NewReader(content) }
	return e
}

// holes is a file of which only some bytes are not zero.
func (m *memory) holes(path string, size int64, ones ...int64) *images.Entry {
	e := m.add(images.Entry{Path: path, Type: images.Regular, Mode: 0o600, Size: size})
	(*m)[len(*m)-1].open = func() io.Reader { return &holeReader{size: size, ones: ones} }
	return e
}

// holeReader reads zeros, and ones at some ascending places.
type holeReader struct {
	at, size int64
	ones     []int64
}

func (h *holeReader) Read(p []byte) (int, error) {
	if h.at == h.size {
		return 0, io.EOF
	}
	p = p[:min(int64(len(p)), h.size-h.at)]
	clear(p)
	i, _ := slices.BinarySearch(h.ones, h.at)
	for ; i < len(h.ones) && h.ones[i] < h.at+int64(len(p)); i++ {
		p[h.ones[i]-h.at] = 1
	}
	h.at += int64(len(p))
	return len(p), nil
}

func (m *memory) link(path, target string) {
	m.add(images.Entry{Path: path, Type: images.HardLink, Link: target})
}

func (m *memory) symlink(path, target string) *images.Entry {
	return m.add(images.Entry{Path: path, Type: images.Symlink, Link: target, Mode: 0o777})
}

// acl is an access control list as the kernel shows it: tag, permissions, id.
func acl(entries ...[3]uint32) string {
	b := binary.LittleEndian.AppendUint32(nil, 2)
	for _, e := range entries {
		b = binary.LittleEndian.AppendUint16(b, uint16(e[0]))
		b = binary.LittleEndian.AppendUint16(b, uint16(e[1]))
		b = binary.LittleEndian.AppendUint32(b, e[2])
	}
	return string(b)
}

const noID = 1<<32 - 1

// capNetRaw is cap_net_raw=ep, as setcap writes it.
const capNetRaw = "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"

// everything is a tree with one of each kind.
func everything() memory {
	var m memory
	root := m.dir("/")
	root.Mode, root.UID, root.GID = 0o1751, 3, 4
	addTypes(&m)
	addContents(&m)
	addNames(&m)
	addXattrs(&m)
	return m
}

func addTypes(m *memory) {
	m.dir("/dev")
	for _, d := range []struct {
		name         string
		kind         images.Type
		major, minor uint32
	}{
		{"null", images.CharDevice, 1, 3}, {"sda", images.BlockDevice, 8, 0}, {"old", images.CharDevice, 255, 255},
		{"new", images.BlockDevice, 259, 1<<20 - 1}, {"minor", images.CharDevice, 5, 256}, {"major", images.CharDevice, 4095, 1},
	} {
		m.add(images.Entry{Path: "/dev/" + d.name, Type: d.kind, Mode: 0o660, GID: 6, Major: d.major, Minor: d.minor})
	}
	m.add(images.Entry{Path: "/dev/pipe", Type: images.FIFO, Mode: 0o622, Size: 7}) // a length means nothing here
	m.link("/dev/null2", "/dev/null")
	m.file("/su", []byte("#!")).Mode = 0o6755
	m.dir("/tmp").Mode = 0o1777
	for _, n := range []int{1, 59, 60, 61, 4095} {
		m.symlink(fmt.Sprintf("/link%d", n), strings.Repeat("x", n))
	}
	m.link("/symlink-again", "/link60")
	owned := m.file("/owned", nil)
	owned.UID, owned.GID = 4_000_000_000, 70_000
	for _, year := range []int{1905, 1969, 1970, 2038, 2039, 2110, 2309} {
		m.file(fmt.Sprintf("/year%d", year), nil).ModTime = time.Date(year, 12, 31, 23, 59, 59, 999999999, time.UTC)
	}
}

func addContents(m *memory) {
	m.dir("/c")
	for _, n := range []int{0, 1, 4095, 4096, 4097, 1 << 20, 3<<20 + 17} {
		m.file(fmt.Sprintf("/c/%d", n), bytes.Repeat([]byte("0123456789abcde"), n/15+1)[:n])
	}
	m.link("/c/again", "/c/4097")
	m.link("/c/and-again", "/c/again")
	m.holes("/c/all-hole", 3<<20+5)
	m.holes("/c/hole-first", 4<<20, 4<<20-1)
	m.holes("/c/hole-last", 4<<20+4097, 0)
}

func addNames(m *memory) {
	m.dir("/n")
	for _, name := range []string{strings.Repeat("n", 255), strings.Repeat("\xff", 254), "new\nline", "\x80\xfe", " ", "-rf", "ünï", "..."} {
		m.file("/n/"+name, []byte(name))
	}
	path := "/n"
	for i := range 40 {
		path += fmt.Sprintf("/deep%d", i)
		m.dir(path)
	}
	m.symlink(path+"/up", "../..")
}

func addXattrs(m *memory) {
	m.dir("/x").Xattrs = map[string]string{
		"system.posix_acl_default": acl([3]uint32{1, 7, noID}, [3]uint32{2, 5, 1000}, [3]uint32{4, 5, noID}, [3]uint32{0x10, 7, noID}, [3]uint32{0x20, 0, noID}),
	}
	m.file("/x/ping", []byte("ELF")).Xattrs = map[string]string{"security.capability": capNetRaw}
	m.file("/x/acl", nil).Xattrs = map[string]string{
		"system.posix_acl_access": acl([3]uint32{1, 6, noID}, [3]uint32{2, 4, 65534}, [3]uint32{4, 4, noID}, [3]uint32{8, 6, 4_000_000_000}, [3]uint32{0x10, 6, noID}, [3]uint32{0x20, 4, noID}),
	}
	(*m)[len(*m)-1].Mode = 0o664
	m.file("/x/large", []byte("l")).Xattrs = map[string]string{"user.large": strings.Repeat("v", 3999)}
	many := map[string]string{"user.empty": "", "trusted.t": "\x00\x01", "security.selinux": "system_u:object_r:etc_t:s0\x00"}
	for i := range 40 {
		many[fmt.Sprintf("user.%d", i)] = strings.Repeat("w", i)
	}
	m.file("/x/many", nil).Xattrs = many
	m.symlink("/x/link", "large").Xattrs = map[string]string{"trusted.on-a-link": "yes"}
	m.add(images.Entry{Path: "/x/fifo", Type: images.FIFO, Mode: 0o600}).Xattrs = map[string]string{"trusted.fifo": strings.Repeat("f", 200)}
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
