//go:build linux

package ext4_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/disk/disktest"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/imagetest"
	"cloudlets/images/tarball"
	"cloudlets/testdata/needs"
)

func TestOneOfEverything(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]ext4.Options{
		"smallest":   {},
		"with room":  {Free: 100 << 20, Time: imagetest.Time, Label: "sixteen bytes !!", ReservedPercent: 5},
		"3 GiB":      {Size: 3 << 30},
		"no journal": {JournalSize: -1, MaxGrow: 1},
		"stale":      {Size: 1 << 30, Stale: true},
	} {
		t.Run(name, func(t *testing.T) {
			src := imagetest.Everything()
			disktest.SameOnKernel(t, build(t, src, opts), "ext4", src)
		})
	}
}

func TestHolesStayHoles(t *testing.T) {
	t.Parallel()
	src := imagetest.Everything()
	src.Holes("/c/over-4g", 4<<30+3, 0, 1<<32-1, 1<<32+2)
	img := build(t, src, ext4.Options{})
	dir, _ := disktest.Mount(t, img, "ext4", unix.MS_RDONLY)
	wantOnesAt(t, dir+"/c/over-4g", 0, 1<<32-1, 1<<32+2)
	for name, most := range map[string]int64{"all-hole": 0, "hole-first": 64 << 10, "over-4g": 3 * 64 << 10} {
		var st unix.Stat_t
		if err := unix.Stat(filepath.Join(dir, "c", name), &st); err != nil {
			t.Fatal(err)
		}
		if st.Blocks*512 > most {
			t.Errorf("%s takes %d bytes, want at most %d", name, st.Blocks*512, most)
		}
	}
}

// wantOnesAt wants ones at some places of a file and zeros beside them.
func wantOnesAt(t *testing.T, name string, places ...int64) {
	t.Helper()
	f, err := os.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for _, at := range places {
		b := make([]byte, 100)
		n, err := f.ReadAt(b, at)
		if n == 0 || b[0] != 1 || err == nil && bytes.Contains(b[4:], []byte{1}) {
			t.Errorf("%s at %d: %v (%v), want a single 1", name, at, b[:n], err)
		}
	}
}

func TestTimesThatCannotBeToldAreClamped(t *testing.T) {
	t.Parallel()
	var m imagetest.Memory
	m.Dir("/")
	for _, year := range []int{1, 1800, 2311, 9999} {
		m.File(fmt.Sprintf("/%d", year), nil).ModTime = time.Date(year, 1, 1, 0, 0, 0, 1, time.UTC)
	}
	dir, _ := disktest.Mount(t, build(t, m, ext4.Options{}), "ext4", unix.MS_RDONLY)
	for name, want := range map[string]int{"1": 1901, "1800": 1901, "2311": 2310, "9999": 2310} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.ModTime().UTC().Year() != want {
			t.Errorf("the file of the year %s is of %v (%v), want the year %d", name, info.ModTime(), err, want)
		}
	}
}

func TestForeignToolsSeeAttributes(t *testing.T) {
	t.Parallel()
	dir, _ := disktest.Mount(t, build(t, imagetest.Everything(), ext4.Options{}), "ext4", unix.MS_RDONLY)
	if out := tool(t, "getfacl", "-n", "--absolute-names", dir+"/x/acl"); !strings.Contains(out, "user:65534:r--") || !strings.Contains(out, "group:4000000000:rw-") {
		t.Errorf("getfacl says:\n%s", out)
	}
	if out := tool(t, "getcap", dir+"/x/ping"); !strings.Contains(out, "cap_net_raw=ep") {
		t.Errorf("getcap says: %s", out)
	}
}

// debianRoot is a real root filesystem as a tarball; `make setup-image` makes it.
func debianRoot(t testing.TB) string {
	t.Helper()
	found := needs.Made(t, "../../../.cache/debian-12-*.tar", "setup-image")
	return found
}

func TestDebianRoot(t *testing.T) {
	t.Parallel()
	src := tarball.New(debianRoot(t))
	disktest.SameOnKernel(t, build(t, src, ext4.Options{Free: 64 << 20}), "ext4", src)
}

func TestSuperblockSaysWhatWasAsked(t *testing.T) {
	t.Parallel()
	img := build(t, imagetest.Everything(), ext4.Options{UUID: someUUID, Label: "root", Free: 1 << 30, ReservedPercent: 5, Time: imagetest.Time})
	out := tool(t, "dumpe2fs", "-h", img)
	for _, line := range []string{
		"Filesystem volume name:   root",
		"Filesystem UUID:          01020304-0506-4708-890a-0b0c0d0e0f10",
		"Filesystem features:      has_journal ext_attr resize_inode dir_index filetype extent 64bit flex_bg sparse_super large_file huge_file dir_nlink extra_isize metadata_csum",
		"Default mount options:    user_xattr acl",
		"Filesystem state:         clean",
		"Filesystem created:       Thu Feb 29 12:34:56 2024",
		"Journal inode:            8",
		"Default directory hash:   half_md4",
		"Total journal size:       32M",
		"Inode size:	          256",
		"Required extra isize:     32",
	} {
		if !strings.Contains(out, line+"\n") {
			t.Errorf("dumpe2fs does not say %q:\n%s", line, out)
		}
	}
}

func TestSmallestIsFullAndFreeIsFree(t *testing.T) {
	t.Parallel()
	for _, free := range []int64{0, 1, 10 << 20, 3 << 30} {
		l, err := ext4.Plan(t.Context(), imagetest.Everything(), ext4.Options{Free: free})
		if err != nil {
			t.Fatal(err)
		}
		if got := l.Free(); got < free || got > free+64*4096 {
			t.Errorf("with %d bytes asked for, %d are free", free, got)
		}
	}
}

func TestSameInputSameBytes(t *testing.T) {
	t.Parallel()
	sum := func(opts ext4.Options, change func(imagetest.Memory)) []byte {
		src := imagetest.Everything()
		change(src)
		l, err := ext4.Plan(t.Context(), src, opts)
		if err != nil {
			t.Fatal(err)
		}
		b, err := os.ReadFile(write(t, l))
		if err != nil {
			t.Fatal(err)
		}
		return b
	}
	nothing := func(imagetest.Memory) {}
	one := sum(ext4.Options{}, nothing)
	if !bytes.Equal(one, sum(ext4.Options{}, nothing)) {
		t.Error("two filesystems of the same image differ")
	}
	if bytes.Equal(one[1024+0x68:1024+0x78], sum(ext4.Options{}, func(m imagetest.Memory) { m[3].UID++ })[1024+0x68:1024+0x78]) {
		t.Error("another image got the same UUID")
	}
	if bytes.Equal(one, sum(ext4.Options{HashSeed: someUUID}, nothing)) {
		t.Error("another hash seed changed nothing")
	}
}

func TestStreamIsTheFile(t *testing.T) {
	t.Parallel()
	l, err := ext4.Plan(t.Context(), imagetest.Everything(), ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	want, err := os.ReadFile(write(t, l))
	if err != nil {
		t.Fatal(err)
	}
	var got bytes.Buffer
	if err := l.Write(t.Context(), sparse.To(&got)); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(got.Bytes(), want) {
		t.Error("the stream differs from the file")
	}
}

func TestLargeDirectories(t *testing.T) {
	t.Parallel()
	var m imagetest.Memory
	m.Dir("/")
	m.Dir("/many")
	for i := range 70_000 {
		m.File(fmt.Sprintf("/many/%d", i), nil)
	}
	m.Dir("/long") // names so long that the index needs inner nodes
	for i := range 9_000 {
		m.File(fmt.Sprintf("/long/%s%06d", strings.Repeat("\xfe", 249), i), nil)
	}
	img := build(t, m, ext4.Options{Free: 64 << 20})
	if out := tool(t, "debugfs", "-R", "htree_dump /long", img); !strings.Contains(out, "Indirect levels: 1") {
		t.Errorf("debugfs sees no inner nodes:\n%.500s", out)
	}
	dir, unmount := disktest.Mount(t, img, "ext4", 0)
	for _, f := range m { // the kernel finds each by its hash
		if info, err := os.Lstat(dir + f.Path); err != nil || info.Name() != filepath.Base(dir+f.Path) {
			t.Fatalf("look up %s: %v", f.Path, err)
		}
	}
	if list, err := os.ReadDir(dir + "/many"); err != nil || len(list) != 70_000 {
		t.Errorf("the directory lists %d files (%v)", len(list), err)
	}
	for i := range 1000 {
		if err := os.WriteFile(fmt.Sprintf("%s/many/new%d", dir, i), nil, 0o600); err != nil {
			t.Fatal(err)
		}
		if err := os.Remove(fmt.Sprintf("%s/many/%d", dir, 60*i)); err != nil {
			t.Fatal(err)
		}
	}
	unmount()
	fsck(t, img)
}

func TestManySubdirectories(t *testing.T) {
	t.Parallel()
	var m imagetest.Memory
	m.Dir("/")
	for i := range 65_010 {
		m.Dir(fmt.Sprintf("/%d", i))
	}
	img := build(t, m, ext4.Options{})
	dir, _ := disktest.Mount(t, img, "ext4", unix.MS_RDONLY)
	var st unix.Stat_t
	if err := unix.Stat(dir, &st); err != nil || st.Nlink != 1 {
		t.Errorf("the root has %d links (%v), want 1: more than can be counted", st.Nlink, err)
	}
}

func TestDeepExtentTree(t *testing.T) {
	t.Parallel()
	var m imagetest.Memory
	m.Dir("/")
	var ones []int64
	for i := range int64(2000) { // more than the inode's 4 blocks of 340
		ones = append(ones, i*128<<10+i)
	}
	m.Holes("/comb", 300<<20, ones...)
	m.File("/after", []byte("after"))
	img := build(t, m, ext4.Options{})
	if out := tool(t, "debugfs", "-R", "extents /comb", img); !strings.Contains(out, " 2/ 2 ") {
		t.Errorf("the tree is not two levels deep:\n%.500s", out)
	}
	disktest.SameOnKernel(t, img, "ext4", m)
}

func TestRandomTrees(t *testing.T) {
	t.Parallel()
	for seed := range uint64(6) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) {
			src, opts := randomTree(seed)
			disktest.SameOnKernel(t, build(t, src, opts), "ext4", src)
		})
	}
}

// stale is a file full of what was there before.
func stale(t *testing.T, size int64) *os.File {
	t.Helper()
	f, err := os.Create(filepath.Join(t.TempDir(), "stale.img"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	if _, err := io.CopyN(f, &pattern{}, size); err != nil {
		t.Fatal(err)
	}
	return f
}

type pattern struct{}

func (pattern) Read(p []byte) (int, error) {
	for i := range p {
		p[i] = byte(0xa5 ^ i)
	}
	return len(p), nil
}

func TestOverOldBytes(t *testing.T) {
	t.Parallel()
	const size = 64 << 20
	f := stale(t, size)
	src := imagetest.Everything()
	l, err := ext4.Plan(t.Context(), src, ext4.Options{Size: size, Stale: true})
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Write(t.Context(), sparse.At(f, 0)); err != nil {
		t.Fatal(err)
	}
	fsck(t, f.Name())
	disktest.SameOnKernel(t, f.Name(), "ext4", src)
	if out := tool(t, "dumpe2fs", f.Name()); strings.Contains(out, "ITABLE_ZEROED") {
		t.Error("inode tables with old bytes are said to be zero")
	}
	writeALot(t, f.Name())
}

// writeALot mounts a filesystem for writing and fills it with files.
func writeALot(t *testing.T, img string) {
	t.Helper()
	dir, unmount := disktest.Mount(t, img, "ext4", 0)
	for i := range 400 {
		d := fmt.Sprintf("%s/new%d", dir, i/20)
		if err := os.MkdirAll(d, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(fmt.Sprintf("%s/%d", d, i), bytes.Repeat([]byte{byte(i)}, 50_000), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	unmount()
	fsck(t, img)
}

func TestKernelWrites(t *testing.T) {
	t.Parallel()
	writeALot(t, build(t, imagetest.Everything(), ext4.Options{Free: 64 << 20}))
}

func TestResize(t *testing.T) {
	t.Parallel()
	src := imagetest.Everything()
	img := build(t, src, ext4.Options{})
	if err := os.Truncate(img, 3<<30); err != nil {
		t.Fatal(err)
	}
	tool(t, "resize2fs", img)
	fsck(t, img)
	disktest.SameOnKernel(t, img, "ext4", src)
	tool(t, "e2fsck", "-fp", img)
	tool(t, "resize2fs", "-M", img)
	fsck(t, img)
	disktest.SameOnKernel(t, img, "ext4", src)
}

func TestFormatAnySize(t *testing.T) {
	t.Parallel()
	const block, group = 4096, 128 << 20
	for _, size := range []int64{
		1 << 20, 7 << 20, 8 << 20, group - block, group, group + block, group + 63*block, 2*group + 2000*block,
		1<<30 + 12345, 16*group + 100*block, 17*group - block, 300 << 30,
	} {
		for _, old := range []bool{false, true} {
			t.Run(fmt.Sprintf("%d stale %v", size, old), func(t *testing.T) {
				format(t, size, ext4.Options{Stale: old, LazyJournal: old})
			})
		}
	}
}

// Large groups of groups begin at 1 TiB, spread descriptors at 4 TiB.
func TestFormatTerabytes(t *testing.T) {
	t.Parallel()
	format(t, 1<<40, ext4.Options{Stale: true})
	format(t, 4<<40, ext4.Options{InodeRatio: 1 << 20})
}

// format makes an empty filesystem in a sparse file.
func format(t *testing.T, size int64, opts ext4.Options) {
	t.Helper()
	opts.Size, opts.UUID = size, someUUID
	f, err := os.Create(filepath.Join(t.TempDir(), "ext4.img"))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := ext4.Format(t.Context(), sparse.At(f, 0), opts); err != nil {
		t.Fatal(err)
	}
	fsck(t, f.Name())
}

// counter counts what is written.
type counter struct{ written, calls, length int64 }

func (c *counter) Write(p []byte) (int, error) {
	c.calls++
	c.written += int64(len(p))
	c.length += int64(len(p))
	return len(p), nil
}

func (c *counter) Skip(n int64) error { c.length += n; return nil }

func TestFormatWritesLittle(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1e12, 16e12, 20 << 40} {
		var c counter
		if err := ext4.Format(t.Context(), &c, ext4.Options{Size: size, UUID: someUUID, Stale: true}); err != nil {
			t.Fatal(err)
		}
		if c.written > size/50_000+256<<20 || c.calls > size/1e9+1000 {
			t.Errorf("%d bytes: wrote %d bytes in %d calls", size, c.written, c.calls)
		}
		if c.length > size || c.length < size-256<<20 {
			t.Errorf("%d bytes: the filesystem ends at %d", size, c.length)
		}
	}
}

func TestSizesThatAreTooSmall(t *testing.T) {
	t.Parallel()
	for _, size := range []int64{1, 100 << 10, 256 << 10, 4 << 20} {
		_, err := ext4.Plan(t.Context(), imagetest.Everything(), ext4.Options{Size: size})
		wantError(t, err, ext4.ErrTooSmall, fmt.Sprint(size))
	}
	var m imagetest.Memory
	for i := range 33_000 {
		m.File(fmt.Sprintf("/%d", i), nil)
	}
	_, err := ext4.Plan(t.Context(), append(imagetest.Memory{{Entry: images.Entry{Path: "/", Type: images.Directory}}}, m...), ext4.Options{Size: 100 << 20})
	wantError(t, err, ext4.ErrTooSmall, "inodes")
}

func TestManyEmptyFiles(t *testing.T) {
	t.Parallel()
	var m imagetest.Memory
	m.Dir("/")
	for i := range 40_000 { // more than one group can have
		m.Add(images.Entry{Path: fmt.Sprintf("/%d", i), Type: images.FIFO, Mode: 0o600})
	}
	build(t, m, ext4.Options{JournalSize: -1})
}

func TestChangesAreNoticed(t *testing.T) {
	t.Parallel()
	index := func(m imagetest.Memory, path string) int {
		return slices.IndexFunc(m, func(f imagetest.Item) bool { return f.Path == path })
	}
	for name, tt := range map[string]struct {
		change func(imagetest.Memory) imagetest.Memory
		word   string
	}{
		"owner":     {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/su")].UID = 7; return m }, "/su"},
		"length":    {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/c/4097")].Size++; return m }, "/c/4097"},
		"attribute": {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/x/ping")].Xattrs = nil; return m }, "/x/ping"},
		"link":      {func(m imagetest.Memory) imagetest.Memory { m[index(m, "/c/and-again")].Link = "/c/1"; return m }, "/c/and-again"},
		"gone":      {func(m imagetest.Memory) imagetest.Memory { return m[:len(m)-1] }, "files"},
		"one more":  {func(m imagetest.Memory) imagetest.Memory { m.File("/more", nil); return m }, "/more"},
		"truncated": {func(m imagetest.Memory) imagetest.Memory {
			m[index(m, "/c/4096")].Open = func() io.Reader { return strings.NewReader("short") }
			return m
		}, "/c/4096"},
		"hole filled": {func(m imagetest.Memory) imagetest.Memory {
			m[index(m, "/c/all-hole")].Open = func() io.Reader { return imagetest.Ones(4<<20, 5) }
			return m
		}, "/c/all-hole"},
	} {
		t.Run(name, func(t *testing.T) {
			src := imagetest.Everything()
			l, err := ext4.Plan(t.Context(), &src, ext4.Options{})
			if err != nil {
				t.Fatal(err)
			}
			src = tt.change(src)
			wantError(t, l.Write(t.Context(), &counter{}), ext4.ErrChanged, tt.word)
		})
	}
}

func TestWhatExt4CannotHold(t *testing.T) {
	t.Parallel()
	xattr := func(name, value string) func(*imagetest.Memory) {
		return func(m *imagetest.Memory) { m.File("/bad", nil).Xattrs = map[string]string{name: value} }
	}
	for name, tt := range map[string]struct {
		add  func(*imagetest.Memory)
		word string
	}{
		"attributes too long": {xattr("user.x", strings.Repeat("x", 5000)), "/bad"},
		"unknown attribute":   {xattr("btrfs.compression", "zstd"), "btrfs.compression"},
		"nameless attribute":  {xattr("user.", "x"), "user."},
		"ACL cut off":         {xattr("system.posix_acl_access", "\x02\x00\x00\x00\x01"), "malformed"},
		"ACL of no version":   {xattr("system.posix_acl_access", "\x03\x00\x00\x00"), "version 3"},
		"ACL of no kind":      {xattr("system.posix_acl_default", imagetest.ACL([3]uint32{64, 7, 0})), "0x40"},
		"long name":           {func(m *imagetest.Memory) { m.File("/"+strings.Repeat("n", 256), nil) }, "path"},
		"zero in a name":      {func(m *imagetest.Memory) { m.File("/a\x00b", nil) }, "path"},
		"zero in a target":    {func(m *imagetest.Memory) { m.Symlink("/s", "a\x00b") }, "/s"},
		"no parent":           {func(m *imagetest.Memory) { m.File("/a/b", nil) }, "/a"},
		"relative":            {func(m *imagetest.Memory) { m.File("bad", nil) }, "path"},
		"two slashes":         {func(m *imagetest.Memory) { m.File("//", nil) }, "path"},
		"dots":                {func(m *imagetest.Memory) { m.File("/..", nil) }, "path"},
		"twice":               {func(m *imagetest.Memory) { m.File("/a", nil); m.File("/a", nil) }, `"a"`},
		"directory twice":     {func(m *imagetest.Memory) { m.Dir("/a"); m.Dir("/a") }, "/a"},
		"root twice":          {func(m *imagetest.Memory) { m.Dir("/") }, "root"},
		"link to nothing":     {func(m *imagetest.Memory) { m.Link("/a", "/b") }, "/b"},
		"link to nowhere":     {func(m *imagetest.Memory) { m.Link("/a", "/b/c") }, "/b/c"},
		"link to directory":   {func(m *imagetest.Memory) { m.Dir("/b"); m.Link("/a", "/b") }, "directory"},
		"link to itself":      {func(m *imagetest.Memory) { m.Link("/a", "/a") }, "/a"},
		"device":              {func(m *imagetest.Memory) { m.Add(images.Entry{Path: "/d", Type: images.CharDevice, Major: 4096}) }, "4096"},
		"empty symlink":       {func(m *imagetest.Memory) { m.Symlink("/s", "") }, "/s"},
		"long symlink":        {func(m *imagetest.Memory) { m.Symlink("/s", strings.Repeat("s", 4096)) }, "/s"},
		"huge file":           {func(m *imagetest.Memory) { m.Holes("/h", 16<<40) }, "/h"},
		"negative file":       {func(m *imagetest.Memory) { m.Holes("/h", -1) }, "/h"},
		"unknown type":        {func(m *imagetest.Memory) { m.Add(images.Entry{Path: "/t", Type: 99}) }, "99"},
		"lost+found a file":   {func(m *imagetest.Memory) { m.File("/lost+found", nil) }, "lost+found"},
		"65,001 names": {func(m *imagetest.Memory) {
			m.File("/a", nil)
			for i := range 65_000 {
				m.Link(fmt.Sprintf("/%d", i), "/a")
			}
		}, "65000"},
	} {
		t.Run(name, func(t *testing.T) {
			var m imagetest.Memory
			m.Dir("/")
			tt.add(&m)
			_, err := ext4.Plan(t.Context(), m, ext4.Options{})
			wantError(t, err, nil, tt.word)
		})
	}
}

func TestOptionsThatAreWrong(t *testing.T) {
	t.Parallel()
	for name, opts := range map[string]ext4.Options{
		"label":    {Label: "seventeen letters"},
		"reserved": {ReservedPercent: 51},
		"free":     {Free: -1},
		"ratio":    {InodeRatio: 100},
		"journal":  {JournalSize: 4096},
		"size":     {Size: 1 << 60},
	} {
		if _, err := ext4.Plan(t.Context(), imagetest.Everything(), opts); err == nil {
			t.Errorf("%s: %+v was accepted", name, opts)
		}
	}
	if err := ext4.Format(t.Context(), &counter{}, ext4.Options{Size: 1 << 30}); err == nil {
		t.Error("an empty filesystem without a UUID was accepted: all of them would be the same")
	}
}

func TestLostAndFoundOfTheImage(t *testing.T) {
	t.Parallel()
	var m imagetest.Memory
	m.Dir("/")
	m.Dir("/lost+found").Mode = 0o711
	m.File("/lost+found/#12", []byte("kept"))
	disktest.SameOnKernel(t, build(t, m, ext4.Options{}), "ext4", m)
}

func TestCancelled(t *testing.T) {
	t.Parallel()
	ctx, cancel := context.WithCancel(t.Context())
	l, err := ext4.Plan(ctx, imagetest.Everything(), ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	cancel()
	wantError(t, l.Write(ctx, &counter{}), context.Canceled)
	_, err = ext4.Plan(ctx, imagetest.Everything(), ext4.Options{})
	wantError(t, err, context.Canceled)
}

// full fails after some bytes, as a full disk does.
type full struct {
	counter
	limit int64
}

func (f *full) Write(p []byte) (int, error) {
	if f.counter.Write(p); f.written > f.limit {
		return 0, unix.ENOSPC
	}
	return len(p), nil
}

func TestDiskFull(t *testing.T) {
	t.Parallel()
	l, err := ext4.Plan(t.Context(), imagetest.Everything(), ext4.Options{})
	if err != nil {
		t.Fatal(err)
	}
	for _, limit := range []int64{0, 1 << 20, 3 << 20} {
		wantError(t, l.Write(t.Context(), &full{limit: limit}), unix.ENOSPC)
	}
}
