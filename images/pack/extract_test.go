//go:build linux

package pack

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/rootfs"
)

func TestEverythingSurvivesTheTrip(t *testing.T) {
	needRoot(t)
	src := everything()
	data, info := mustWrite(t, src, Options{})
	dir := freshDisk(t, 512<<20).dir // smaller than the sparse file
	stats, err := extract(t, Local{bytes.NewReader(data)}, info.Ref, dir, ExtractOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if stats.Entries != len(src) || stats.Bytes != info.Bytes {
		t.Errorf("stats %+v, want %d entries of %d bytes", stats, len(src), info.Bytes)
	}
	sameTree(t, src, dir)
	for _, name := range []string{"/var-sparse", "/lib/holes"} {
		var st unix.Stat_t
		if err := unix.Stat(dir+name, &st); err != nil {
			t.Fatal(err)
		}
		if used := st.Blocks * 512; used > 8*rootfs.BlockSize {
			t.Errorf("%s takes %d bytes of disk: its holes were written", name, used)
		}
	}
	toc, err := Fetch(t.Context(), Local{bytes.NewReader(data)}, info.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(t.Context(), toc, dir, VerifyOptions{}); err != nil {
		t.Errorf("Verify of an intact disk: %v", err)
	}
}

func TestRandomTreesSurviveTheTrip(t *testing.T) {
	needRoot(t)
	disk := freshDir(t)
	for seed := range uint64(8) {
		src := randomTree(seed)
		data, info := mustWrite(t, src, Options{Workers: 1 + int(seed%3)})
		dir := subDir(t, disk)
		if _, err := extract(t, Local{bytes.NewReader(data)}, info.Ref, dir, ExtractOptions{Workers: 1 + int(seed%4)}); err != nil {
			t.Fatalf("seed %d: %v", seed, err)
		}
		sameTree(t, src, dir)
		if t.Failed() {
			t.Fatalf("seed %d", seed)
		}
	}
}

func TestPathsLongerThanPathMax(t *testing.T) {
	needRoot(t)
	src := memSource{dirFile("/")}
	p := ""
	for range 30 {
		p += "/" + strings.Repeat("d", 200)
		src = append(src, dirFile(p))
	}
	src = append(src, regFile(p+"/deep", []byte("content")), linkFile(p+"/deeper", p+"/deep"))
	data, info := mustWrite(t, src, Options{})
	dir := freshDir(t)
	if _, err := extract(t, Local{bytes.NewReader(data)}, info.Ref, dir, ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	toc, err := Fetch(t.Context(), Local{bytes.NewReader(data)}, info.Ref)
	if err != nil {
		t.Fatal(err)
	}
	if err := Verify(t.Context(), toc, dir, VerifyOptions{}); err != nil {
		t.Error(err)
	}
}

func TestProgressEndsAtTheSize(t *testing.T) {
	needRoot(t)
	data, info := mustWrite(t, plainTree(), Options{})
	var last int64
	_, err := extract(t, Local{bytes.NewReader(data)}, info.Ref, freshDir(t), ExtractOptions{Progress: func(done, total int64) {
		if done < last || total != info.Size {
			t.Errorf("progress went from %d to %d of %d", last, done, total)
		}
		last = done
	}})
	if err != nil {
		t.Fatal(err)
	}
	if last != info.Size {
		t.Errorf("progress ended at %d of %d bytes", last, info.Size)
	}
}

func TestFullDiskIsAnErrorThatNamesFileAndDevice(t *testing.T) {
	d := freshDisk(t, 16<<20)
	src := memSource{dirFile("/"), dirFile("/usr"), regFile("/usr/fills", noise(1, 20<<20))}
	data, info := mustWrite(t, src, Options{})
	_, err := extract(t, Local{bytes.NewReader(data)}, info.Ref, d.dir, ExtractOptions{})
	if !errors.Is(err, unix.ENOSPC) {
		t.Fatalf("extract to a full disk: %v", err)
	}
	for _, want := range []string{"/usr/fills", d.device, "larger disk"} {
		if !strings.Contains(err.Error(), want) {
			t.Errorf("error does not say %q: %v", want, err)
		}
	}
}

func TestNothingIsOverwritten(t *testing.T) {
	needRoot(t)
	disk := freshDir(t)
	outside := subDir(t, disk)
	victim := filepath.Join(outside, "passwd")
	if err := os.WriteFile(victim, []byte("mine"), 0o600); err != nil {
		t.Fatal(err)
	}
	data, info := mustWrite(t, memSource{dirFile("/"), dirFile("/etc"), regFile("/etc/passwd", []byte("theirs"))}, Options{})
	for name, prepare := range map[string]func(dir string) error{
		"directory is a link out": func(dir string) error { return os.Symlink(outside, dir+"/etc") },
		"file is a link out": func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/etc", 0o755), os.Symlink(victim, dir+"/etc/passwd"))
		},
		"file is there": func(dir string) error {
			return errors.Join(os.Mkdir(dir+"/etc", 0o755), os.WriteFile(dir+"/etc/passwd", nil, 0o600))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := subDir(t, disk)
			if err := prepare(dir); err != nil {
				t.Fatal(err)
			}
			_, err := extract(t, Local{bytes.NewReader(data)}, info.Ref, dir, ExtractOptions{})
			if !errors.Is(err, fs.ErrExist) || !strings.Contains(err.Error(), "/etc") {
				t.Errorf("want an error that names what is in the way, got %v", err)
			}
			if got, _ := os.ReadFile(victim); string(got) != "mine" {
				t.Errorf("a file outside was written: %q", got)
			}
		})
	}
}

func TestReplacePutsAnOverlayOnTop(t *testing.T) {
	needRoot(t)
	base := plainTree()
	data, info := mustWrite(t, base, Options{})
	overlay := memSource{
		dirFile("/"),
		dirFile("/bin"),
		regFile("/bin/ping6", []byte("no longer the same file as ping")),
		dirFile("/etc").with(func(e *images.Entry) { e.Xattrs = map[string]string{"user.dir": "yes"} }),
		regFile("/etc/hosts", []byte("10.0.0.1 me\n")),
		regFile("/etc/mtab", []byte("was a link")),
		regFile("/etc/new", []byte("new")),
	}
	top, topInfo := mustWrite(t, overlay, Options{})
	dir := freshDir(t)
	if _, err := extract(t, Local{bytes.NewReader(data)}, info.Ref, dir, ExtractOptions{}); err != nil {
		t.Fatal(err)
	}
	if _, err := extract(t, Local{bytes.NewReader(top)}, topInfo.Ref, dir, ExtractOptions{Replace: true}); err != nil {
		t.Fatal(err)
	}
	want := overlay
	for _, f := range base {
		if !slices.ContainsFunc(overlay, func(o memFile) bool { return o.Path == f.Path }) {
			want = append(want, f)
		}
	}
	sameTree(t, want, dir)
}

func TestVerifyFindsEveryKindOfDifference(t *testing.T) {
	needRoot(t)
	data, info := mustWrite(t, plainTree(), Options{})
	toc, err := Fetch(t.Context(), Local{bytes.NewReader(data)}, info.Ref)
	if err != nil {
		t.Fatal(err)
	}
	disk := freshDir(t)
	poke := func(name string, off int64) func(string) error {
		return func(dir string) error {
			f, err := os.OpenFile(dir+name, os.O_WRONLY, 0)
			if err != nil {
				return err
			}
			_, err = f.WriteAt([]byte{0x55}, off)
			return errors.Join(err, f.Close())
		}
	}
	for name, test := range map[string]struct {
		path   string
		damage func(dir string) error
	}{
		"byte in a small file":  {"/bin/su", poke("/bin/su", 2)},
		"byte in a later chunk": {"/lib/big", poke("/lib/big", 3*FrameSize+4096)},
		"longer":                {"/etc/hosts", poke("/etc/hosts", 100)},
		"shorter":               {"/lib/two", func(dir string) error { return os.Truncate(dir+"/lib/two", FrameSize) }},
		"gone":                  {"/etc/empty", func(dir string) error { return os.Remove(dir + "/etc/empty") }},
		"mode":                  {"/bin/wall", func(dir string) error { return os.Chmod(dir+"/bin/wall", 0o755) }},
		"owner":                 {"/etc/old", func(dir string) error { return os.Lchown(dir+"/etc/old", 1, 1) }},
		"link": {"/etc/mtab", func(dir string) error {
			return errors.Join(os.Remove(dir+"/etc/mtab"), os.Symlink("elsewhere", dir+"/etc/mtab"), os.Lchown(dir+"/etc/mtab", 7, 8))
		}},
		"type": {"/dev/initctl", func(dir string) error {
			return errors.Join(os.Remove(dir+"/dev/initctl"), os.WriteFile(dir+"/dev/initctl", nil, 0o620), os.Lchown(dir+"/dev/initctl", 0, 5))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			dir := subDir(t, disk)
			var sums Sums
			if _, err := Extract(t.Context(), Local{bytes.NewReader(data)}, toc, dir, ExtractOptions{Sums: &sums}); err != nil {
				t.Fatal(err)
			}
			if err := test.damage(dir); err != nil {
				t.Fatal(err)
			}
			for _, by := range []*Sums{nil, &sums} {
				err := Verify(t.Context(), toc, dir, VerifyOptions{Sums: by})
				if err == nil || !strings.Contains(err.Error(), test.path+" on ") {
					t.Errorf("Verify with sums %t should name %s: %v", by != nil, test.path, err)
				}
			}
			skip := func(p string) bool { return p == test.path || strings.HasPrefix(p, "/bin/ping") }
			if err := Verify(t.Context(), toc, dir, VerifyOptions{Skip: skip}); err != nil {
				t.Errorf("Verify should have skipped %s: %v", test.path, err)
			}
		})
	}
}

func TestTreeOfAPack(t *testing.T) {
	src := plainTree()
	data, info := mustWrite(t, src, Options{})
	p, err := Open(bytes.NewReader(data), int64(len(data)))
	if err != nil {
		t.Fatal(err)
	}
	if p.Digest() != info.Digest || p.Size() != info.Size || p.Info() != info {
		t.Errorf("Open gives %+v, Write gave %+v", p.Info(), info)
	}
	for _, f := range src {
		e, err := p.Entry(f.Path)
		if err != nil {
			t.Fatal(err)
		}
		if e.Type != f.Type || e.Mode != f.Mode || e.Size != f.Size || !e.ModTime.Equal(f.ModTime) || e.Link != f.Link {
			t.Errorf("Entry(%q) = %+v, want %+v", f.Path, e, f.Entry)
		}
		if f.Type == images.Regular && readAll(t, p, f.Path) != string(f.content) {
			t.Errorf("%s has other content in the pack", f.Path)
		}
	}
	if got := readAll(t, p, "/bin/ping6"); got != "capable" {
		t.Errorf("hard link reads %q", got)
	}
	if _, err := p.Entry("/nope"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("Entry of an absent path: %v", err)
	}
	if _, err := p.Open("/etc"); err == nil {
		t.Error("a directory can be opened as a file")
	}
	list, err := p.ReadDir("/bin")
	var names []string
	for _, e := range list {
		names = append(names, e.Path)
	}
	if got := strings.Join(names, " "); err != nil || got != "/bin/ping /bin/ping6 /bin/su /bin/wall" {
		t.Errorf("ReadDir(/bin) = %s, %v", got, err)
	}
}

func readAll(t *testing.T, tree images.Tree, name string) string {
	t.Helper()
	r, err := tree.Open(name)
	if err != nil {
		t.Fatal(err)
	}
	defer r.Close()
	var b bytes.Buffer
	if _, err := b.ReadFrom(r); err != nil {
		t.Fatal(err)
	}
	return b.String()
}
