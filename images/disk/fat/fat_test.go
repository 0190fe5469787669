package fat

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math/rand"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/testdata/needs"
)

// tool finds a foreign program, or fails naming the package that has it.
func tool(t testing.TB, name, pkg string) string {
	t.Helper()
	return needs.Tool(t, name, pkg)
}

func run(t testing.TB, name, pkg string, args ...string) string {
	t.Helper()
	cmd := exec.Command(tool(t, name, pkg), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C.UTF-8", "MTOOLS_SKIP_CHECK=0")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// makeImage writes a filesystem over a file full of old data, since nothing
// need be zero beforehand.
func makeImage(t testing.TB, size int64, opts Options, files []File) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "fat.img")
	f, err := os.Create(name)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	old := bytes.Repeat([]byte("old data"), 1<<17)
	for off := int64(0); off < min(size, 8<<20); off += int64(len(old)) {
		if _, err := f.WriteAt(old, off); err != nil {
			t.Fatal(err)
		}
	}
	if err := f.Truncate(size); err != nil {
		t.Fatal(err)
	}
	if err := Write(context.Background(), f, size, opts, files); err != nil {
		t.Fatal(err)
	}
	return name
}

// fsck asserts that the image is clean, which the exit status says.
func fsck(t testing.TB, image string) string {
	t.Helper()
	return run(t, "fsck.vfat", "dosfstools", "-n", "-v", "-V", image)
}

// readBack copies everything out with mtools and returns it by path.
func readBack(t testing.TB, image string) map[string]string {
	t.Helper()
	dir := t.TempDir()
	run(t, "mcopy", "mtools", "-s", "-n", "-Q", "-i", image, "::", dir)
	got := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		rel, _ := filepath.Rel(dir, path)
		b, err := os.ReadFile(path)
		got[rel] = string(b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return got
}

func contents(files []File) map[string]string {
	want := map[string]string{}
	for _, f := range files {
		r, _ := f.Open()
		b, _ := io.ReadAll(r)
		want[f.Path] = string(b)
	}
	return want
}

func compare(t testing.TB, got, want map[string]string) {
	t.Helper()
	for path, content := range want {
		if g, ok := got[path]; !ok {
			t.Errorf("%q is missing", path)
		} else if g != content {
			t.Errorf("%q has %d bytes that differ from the %d written", path, len(g), len(content))
		}
	}
	for path := range got {
		if _, ok := want[path]; !ok {
			t.Errorf("%q is there and was not written", path)
		}
	}
}

func sampleFiles() []File {
	blob := func(seed int64, n int) []byte {
		b := make([]byte, n)
		rand.New(rand.NewSource(seed)).Read(b)
		return b
	}
	return []File{
		Bytes("EFI/BOOT/BOOTX64.EFI", blob(1, 141000)),
		Bytes("EFI/systemd/systemd-bootx64.efi", blob(2, 141000)),
		Bytes("loader/loader.conf", []byte("timeout 1\n")),
		Bytes("loader/entries/debian-6.1.0-56-cloud-amd64.conf", []byte("title Debian\n")),
		Bytes("cloudlet/6.1.0-56-cloud-amd64/vmlinuz", blob(3, 3<<20+17)),
		Bytes("cloudlet/6.1.0-56-cloud-amd64/initrd.img", blob(4, 1<<20)),
		Bytes("empty", nil),
		Bytes("a/b/c/d/e/deep.txt", []byte("deep")),
		Bytes("grüße aus 東京.txt", []byte("unicode")),
		Bytes(strings.Repeat("n", 255), []byte("long")),
		Bytes("longfilename one.text", []byte("1")),
		Bytes("longfilename two.text", []byte("2")),
		Bytes("LONGFI~1.TEX", []byte("looks like an alias")),
		Bytes(".hidden", []byte("dot")),
		Bytes("two.dots.txt", []byte("dots")),
		Bytes("13 characters", []byte("exactly one slot")),
	}
}

func TestOthersReadWhatIsWritten(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		opts Options
		kind string
	}{
		{"FAT32 of 512 MiB", 512 << 20, Options{}, "32 bit entries"},
		{"FAT32 of 128 MiB", 128 << 20, Options{}, "32 bit entries"},
		{"FAT32 of 4 KiB sectors", 300 << 20, Options{SectorSize: 4096}, "32 bit entries"},
		{"FAT16 of 16 MiB", 16 << 20, Options{}, "16 bit entries"},
		{"FAT16 of 4 KiB sectors", 64 << 20, Options{SectorSize: 4096}, "16 bit entries"},
		{"FAT16 by cluster size", 512 << 20, Options{ClusterSize: 32 << 10}, "16 bit entries"},
		{"FAT32 of larger clusters", 9 << 30, Options{}, "32 bit entries"},
		{"size that is no whole cluster", 129<<20 + 3*512, Options{}, "32 bit entries"},
	} {
		t.Run(c.name, func(t *testing.T) {
			c.opts.Label, c.opts.Serial = "ESP", 0x1234abcd
			image := makeImage(t, c.size, c.opts, sampleFiles())
			if out := fsck(t, image); !strings.Contains(out, c.kind) {
				t.Errorf("fsck.vfat finds another kind of FAT than %q:\n%s", c.kind, out)
			}
			compare(t, readBack(t, image), contents(sampleFiles()))
			out := run(t, "mdir", "mtools", "-i", image, "::")
			if !strings.Contains(out, "Volume in drive : is ESP") || !strings.Contains(out, "1234-ABCD") {
				t.Errorf("mdir shows another label or serial:\n%s", out)
			}
		})
	}
}

func TestRandomTrees(t *testing.T) {
	for seed := range int64(6) {
		r := rand.New(rand.NewSource(seed))
		files := randomTree(r)
		opts := Options{SectorSize: []int64{512, 4096}[r.Intn(2)]}
		size := int64(64+r.Intn(400)) << 20
		image := makeImage(t, size, opts, files)
		fsck(t, image)
		compare(t, readBack(t, image), contents(files))
		if t.Failed() {
			t.Fatalf("seed %d: %d files on %d bytes, sectors of %d", seed, len(files), size, opts.SectorSize)
		}
	}
}

// randomTree has names that need every kind of long and short name, and
// directories of more than one cluster. It has no characters beyond the basic
// plane, which mtools cannot read.
func randomTree(r *rand.Rand) []File {
	const letters = "aAbBzZ019 ._-~+,;=[]éü東"
	runes := []rune(letters)
	name := func() string {
		out := make([]rune, 1+r.Intn(40))
		for i := range out {
			out[i] = runes[r.Intn(len(runes))]
		}
		return "n" + strings.TrimRight(string(out), ". ")
	}
	dirs := []string{""}
	for range 1 + r.Intn(8) {
		dirs = append(dirs, dirs[r.Intn(len(dirs))]+name()+"/")
	}
	used := map[string]bool{}
	for _, d := range dirs {
		for i, c := range d {
			if c == '/' {
				used[strings.ToLower(d[:i])] = true
			}
		}
	}
	var files []File
	for range r.Intn(400) {
		path := dirs[r.Intn(len(dirs))] + name()
		if key := strings.ToLower(path); !used[key] {
			used[key] = true
			b := make([]byte, r.Intn(1<<(r.Intn(15))))
			r.Read(b)
			files = append(files, Bytes(path, b))
		}
	}
	return files
}

func TestManyLikeNames(t *testing.T) {
	var files []File
	for i := range 600 {
		files = append(files, Bytes(fmt.Sprintf("dir/a long common beginning %d.conf", i), []byte{byte(i)}))
	}
	image := makeImage(t, 64<<20, Options{}, files)
	fsck(t, image)
	compare(t, readBack(t, image), contents(files))
}

func TestFAT16RootHoldsManyFiles(t *testing.T) {
	var files []File
	for i := range 700 {
		files = append(files, Bytes(fmt.Sprintf("file number %d", i), nil))
	}
	image := makeImage(t, 8<<20, Options{}, files)
	fsck(t, image)
	compare(t, readBack(t, image), contents(files))
}

func TestFullToTheLastCluster(t *testing.T) {
	const size, sector = 4 << 20, 512
	g, err := newGeometry(size, sector, 0, 0)
	if err != nil {
		t.Fatal(err)
	}
	full := []File{Bytes("full", make([]byte, g.clusters*g.cluster))}
	fsck(t, makeImage(t, size, Options{}, full))
	full = append(full, Bytes("more", []byte("x")))
	err = Check(size, Options{}, full)
	if err == nil || !strings.Contains(err.Error(), fmt.Sprint(g.clusters*g.cluster)) {
		t.Errorf("one byte more than fits: got error %v, want one that says how much fits", err)
	}
}

func TestSameInputSameBytes(t *testing.T) {
	files := sampleFiles()
	a := newMemory(32 << 20)
	b := newMemory(32 << 20)
	opts := Options{Label: "ESP", Serial: 1, Time: time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)}
	if err := Write(context.Background(), a, a.size(), opts, files); err != nil {
		t.Fatal(err)
	}
	rand.New(rand.NewSource(1)).Shuffle(len(files), func(i, j int) { files[i], files[j] = files[j], files[i] })
	if err := Write(context.Background(), b, b.size(), opts, files); err != nil {
		t.Fatal(err)
	}
	if !bytes.Equal(a.b, b.b) {
		t.Error("the same files in another order give other bytes")
	}
}

// TestInOrder: writing from the beginning to the end gives the same bytes.
func TestInOrder(t *testing.T) {
	for _, size := range []int{32 << 20, 300 << 20} {
		opts := Options{Label: "ESP", Serial: 1}
		want, got := newMemory(size), &ascending{memory: newMemory(size)}
		if err := Write(t.Context(), want, want.size(), opts, sampleFiles()); err != nil {
			t.Fatal(err)
		}
		if err := WriteInOrder(t.Context(), got, got.size(), opts, sampleFiles()); err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(got.b, want.b) {
			t.Errorf("%d bytes: what is written in order is something else", size)
		}
	}
}

// ascending is a device that cannot go back.
type ascending struct {
	*memory
	at int64
}

func (a *ascending) WriteAt(p []byte, off int64) (int, error) {
	if off < a.at {
		return 0, fmt.Errorf("write at %d after everything up to %d was written", off, a.at)
	}
	a.at = off + int64(len(p))
	return a.memory.WriteAt(p, off)
}

func TestTimesAreKept(t *testing.T) {
	opts := Options{Time: time.Date(2031, 7, 9, 13, 14, 16, 0, time.UTC)}
	image := makeImage(t, 16<<20, opts, []File{Bytes("F", nil)})
	if out := run(t, "mdir", "mtools", "-i", image, "::"); !strings.Contains(out, "2031-07-09  13:14") {
		t.Errorf("mdir shows another time:\n%s", out)
	}
}

func TestRefusals(t *testing.T) {
	none := func() (io.ReadCloser, error) { return nil, errors.New("not opened") }
	for _, c := range []struct {
		name  string
		size  int64
		opts  Options
		files []File
		want  string
	}{
		{"colon", 16 << 20, Options{}, []File{Bytes("a/b:c", nil)}, `"a/b:c": FAT does not allow ':' in a name`},
		{"control", 16 << 20, Options{}, []File{Bytes("a\nb", nil)}, `FAT does not allow '\n' in a name`},
		{"trailing dot", 16 << 20, Options{}, []File{Bytes("a./b", nil)}, "drops a dot or a space at the end"},
		{"trailing space", 16 << 20, Options{}, []File{Bytes("a ", nil)}, "drops a dot or a space at the end"},
		{"leading space", 16 << 20, Options{}, []File{Bytes(" a", nil)}, "space at the beginning"},
		{"not UTF-8", 16 << 20, Options{}, []File{Bytes("a\xff", nil)}, "relative path"},
		{"256 characters", 16 << 20, Options{}, []File{Bytes(strings.Repeat("x", 256), nil)}, "longer than FAT's 255"},
		{"128 pairs", 16 << 20, Options{}, []File{Bytes(strings.Repeat("𝄞", 128), nil)}, "longer than FAT's 255"},
		{"case", 16 << 20, Options{}, []File{Bytes("x/Readme", nil), Bytes("x/README", nil)}, "in case"},
		{"case of directories", 16 << 20, Options{}, []File{Bytes("EFI/a", nil), Bytes("efi/b", nil)}, "in case"},
		{"twice", 16 << 20, Options{}, []File{Bytes("a", nil), Bytes("a", nil)}, `"a"`},
		{"file and directory", 16 << 20, Options{}, []File{Bytes("a", nil), Bytes("a/b", nil)}, `a directory`},
		{"absolute", 16 << 20, Options{}, []File{Bytes("/a", nil)}, "relative path"},
		{"dot dot", 16 << 20, Options{}, []File{Bytes("../a", nil)}, "relative path"},
		{"empty", 16 << 20, Options{}, []File{Bytes("", nil)}, "relative path"},
		{"4 GiB file", 16 << 30, Options{}, []File{{Path: "a", Size: 4 << 30, Open: none}}, "4294967295"},
		{"negative", 16 << 20, Options{}, []File{{Path: "a", Size: -1, Open: none}}, "-1 bytes"},
		{"no opener", 16 << 20, Options{}, []File{{Path: "a", Size: 1}}, "no content to open"},
		{"too much", 16 << 20, Options{}, []File{{Path: "a", Size: 64 << 20, Open: none}}, "give it a larger partition"},
		{"small", 1 << 20, Options{}, nil, "too few"},
		{"zero", 0, Options{}, nil, "too few"},
		{"huge", 1 << 50, Options{}, nil, "more than FAT can count"},
		{"sector", 16 << 20, Options{SectorSize: 520}, nil, "512, 1024, 2048 or 4096"},
		{"cluster", 16 << 20, Options{ClusterSize: 3000}, nil, "power of two"},
		{"cluster too large", 16 << 20, Options{ClusterSize: 32 << 10}, nil, "another cluster size"},
		{"label", 16 << 20, Options{Label: "esp"}, nil, "use capital letters"},
		{"label length", 16 << 20, Options{Label: "TWELVELETTER"}, nil, "longer than 11"},
	} {
		t.Run(c.name, func(t *testing.T) {
			m := newMemory(0)
			err := Write(context.Background(), m, c.size, c.opts, c.files)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that says %q", err, c.want)
			}
			if m.writes != 0 {
				t.Errorf("%d writes before the refusal", m.writes)
			}
		})
	}
}

// TestFailureLeavesNoFilesystem breaks every write in turn, and the content.
func TestFailureLeavesNoFilesystem(t *testing.T) {
	whole := newMemory(8 << 20)
	files := []File{Bytes("dir/file", bytes.Repeat([]byte("x"), 3<<20))}
	if err := Write(context.Background(), whole, whole.size(), Options{}, files); err != nil {
		t.Fatal(err)
	}
	for i := range whole.writes {
		m := newMemory(8 << 20)
		copy(m.b, whole.b) // an older filesystem is there
		m.failAt = i + 1
		err := Write(context.Background(), m, m.size(), Options{}, files)
		if !errors.Is(err, errBroken) {
			t.Fatalf("write %d fails: got error %v", i, err)
		}
		if i > 0 && m.b[510] == 0x55 {
			t.Errorf("write %d fails, and there is a boot sector", i)
		}
	}
}

func TestContentOfAnotherLength(t *testing.T) {
	for _, c := range []struct {
		name string
		size int64
		want string
	}{{"shorter", 12, "missing"}, {"longer", 10, "longer"}} {
		t.Run(c.name, func(t *testing.T) {
			f := Bytes("a", []byte("eleven here"))
			f.Size = c.size
			m := newMemory(8 << 20)
			err := Write(context.Background(), m, m.size(), Options{}, []File{f})
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got error %v, want one that says %q", err, c.want)
			}
			if errors.Is(err, io.EOF) {
				t.Error("the error looks like an ordinary end of file")
			}
			if m.b[510] != 0 {
				t.Error("there is a boot sector")
			}
		})
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(context.Background())
	m := newMemory(8 << 20)
	f := File{Path: "a", Size: 1, Open: func() (io.ReadCloser, error) {
		cancel()
		return io.NopCloser(strings.NewReader("x")), nil
	}}
	if err := Write(ctx, m, m.size(), Options{}, []File{f}); !errors.Is(err, context.Canceled) {
		t.Errorf("got error %v", err)
	}
	if m.b[510] != 0 {
		t.Error("there is a boot sector")
	}
}

func TestFreeClustersAreNotWritten(t *testing.T) {
	m := &counter{}
	if err := Write(context.Background(), m, 4<<30, Options{}, []File{Bytes("a", []byte("b"))}); err != nil {
		t.Fatal(err)
	}
	if m.bytes > 10<<20 {
		t.Errorf("%d bytes written for one small file on 4 GiB", m.bytes)
	}
}

// FuzzName: whatever name is taken can be laid out, and its alias is a valid
// short name that no other file has.
func FuzzName(f *testing.F) {
	f.Add("BOOTX64.EFI", "bootx64.efi2")
	f.Add("longfilename", "LONGFI~1")
	f.Add("ſ", "S")
	f.Fuzz(func(t *testing.T, a, b string) {
		root, err := buildTree([]File{Bytes(a, nil), Bytes(b, nil)})
		if err != nil {
			return
		}
		seen := map[string]bool{}
		var walk func(n *node)
		walk = func(n *node) {
			for _, c := range n.children {
				if _, ok := exactShort(c.short.String()); !ok {
					t.Errorf("%q got the short name %q", c.name, c.short)
				}
				key := fmt.Sprintf("%p %s", n, c.short)
				if seen[key] {
					t.Errorf("the short name %q is there twice", c.short)
				}
				seen[key] = true
				walk(c)
			}
		}
		walk(root)
	})
}

var errBroken = errors.New("broken device")

// memory is a device that can fail at its n-th write.
type memory struct {
	b      []byte
	writes int
	failAt int
}

func newMemory(size int) *memory { return &memory{b: make([]byte, size)} }
func (m *memory) size() int64    { return int64(len(m.b)) }

func (m *memory) WriteAt(p []byte, off int64) (int, error) {
	m.writes++
	if m.writes == m.failAt {
		return 0, errBroken
	}
	if off%512 != 0 || len(p)%512 != 0 {
		return 0, fmt.Errorf("write of %d bytes at %d is not in whole sectors", len(p), off)
	}
	return copy(m.b[off:], p), nil
}

type counter struct{ bytes int64 }

func (c *counter) WriteAt(p []byte, _ int64) (int, error) {
	c.bytes += int64(len(p))
	return len(p), nil
}
