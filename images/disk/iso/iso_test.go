package iso_test

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/grub"
	"cloudlets/images/disk/iso"
	"cloudlets/images/disk/sparse"
	"cloudlets/testdata/needs"
)

var someID = uuid.MustParse("0f8fad5b-d9cb-469f-a165-70867728950e")

func check(t testing.TB, errs ...error) {
	t.Helper()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
}

// run has a foreign tool look at something.
func run(t *testing.T, debianPackage, name string, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(t.Context(), needs.Tool(t, name, debianPackage), args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

func text(name, content string) iso.File {
	return iso.File{Name: name, Size: int64(len(content)), Write: func(_ context.Context, w sparse.Writer) error {
		_, err := io.WriteString(w, content)
		return err
	}}
}

// esp is a small EFI system partition.
func esp() iso.File {
	const size = 40 << 20 // more than El Torito has a number for
	return iso.File{Name: "EFI.IMG", Size: size, Write: func(ctx context.Context, w sparse.Writer) error {
		var b bytes.Buffer
		at := &atBuffer{}
		err := fat.WriteInOrder(ctx, at, size, fat.Options{Label: "ESP"}, []fat.File{fat.Bytes("EFI/BOOT/BOOTX64.EFI", []byte("loader"))})
		b.Write(at.b)
		return errors.Join(err, writeAll(w, b.Bytes()))
	}}
}

type atBuffer struct{ b []byte }

func (a *atBuffer) WriteAt(p []byte, off int64) (int, error) {
	if need := int(off) + len(p) - len(a.b); need > 0 {
		a.b = append(a.b, make([]byte, need)...)
	}
	return copy(a.b[off:], p), nil
}

func writeAll(w io.Writer, p []byte) error {
	_, err := w.Write(p)
	return err
}

func options() iso.Options {
	return iso.Options{
		ID: someID, Label: "CLOUDLET", Time: time.Unix(1.7e9, 0), ESP: "EFI.IMG", Root: "ROOT.IMG",
		GRUB: &grub.Core{Files: os.DirFS("/usr/lib/grub/i386-pc"), Prefix: "/grub", Modules: []string{"biosdisk", "iso9660"}},
	}
}

// made writes an image to a file.
func made(t *testing.T, o iso.Options, files ...iso.File) (*iso.Image, string) {
	t.Helper()
	m, err := iso.New(files, o)
	check(t, err)
	name := filepath.Join(t.TempDir(), "x.iso")
	f, err := os.Create(name)
	check(t, err)
	defer f.Close()
	out := sparse.File(f)
	check(t, m.Write(t.Context(), out), out.Finish())
	return m, name
}

// TestImage has the tools that know best look at an image.
func TestImage(t *testing.T) {
	needs.Root(t)
	m, file := made(t, options(), text("ROOT.IMG", strings.Repeat("root", 999)), esp())
	info, err := os.Stat(file)
	check(t, err)
	if info.Size() != m.Size() {
		t.Errorf("it has %d bytes, and said %d", info.Size(), m.Size())
	}
	said := run(t, "xorriso", "xorriso", "-indev", file, "-report_el_torito", "plain", "-report_system_area", "plain", "-lsl", "/", "--")
	for _, want := range []string{"El Torito boot img", "BIOS", "UEFI", "grub2-mbr", "protective-msdos", "GPT", "'ROOT.IMG'", "'EFI.IMG'"} {
		if !strings.Contains(said, want) {
			t.Errorf("xorriso does not find %s: %s", want, said)
		}
	}
	if said := run(t, "gdisk", "sgdisk", "-v", file); !strings.Contains(said, "No problems found") {
		t.Errorf("sgdisk: %s", said)
	}
	dir := t.TempDir()
	run(t, "xorriso", "xorriso", "-osirrox", "on", "-indev", file, "-extract", "/", filepath.Join(dir, "all"))
	root, err := os.ReadFile(filepath.Join(dir, "all", "ROOT.IMG"))
	if err != nil || string(root) != strings.Repeat("root", 999) {
		t.Errorf("ROOT.IMG has %d bytes (%v)", len(root), err)
	}
	run(t, "dosfstools", "fsck.vfat", "-n", filepath.Join(dir, "all", "EFI.IMG"))
	f, err := os.Open(file)
	check(t, err)
	defer f.Close()
	if id, err := iso.ReadID(f); err != nil || id != someID {
		t.Errorf("its identifier is %s (%v)", id, err)
	}
	_, again := made(t, options(), esp(), text("ROOT.IMG", strings.Repeat("root", 999)))
	if sum(t, file) != sum(t, again) {
		t.Error("two images of the same files differ")
	}
}

func sum(t *testing.T, file string) [32]byte {
	t.Helper()
	b, err := os.ReadFile(file)
	check(t, err)
	return sha256.Sum256(b)
}

// largeFile is more than one extent can have: four gigabytes, with something across their
// end and at its own.
func largeFile() iso.File {
	const size = 4<<30 + 1<<20 + 5
	return iso.File{Name: "ROOT.IMG", Size: size, Write: func(_ context.Context, w sparse.Writer) error {
		return errors.Join(w.Skip(4<<30-4096), writeAll(w, bytes.Repeat([]byte("across "), 1170)), w.Skip(1<<20-4094), writeAll(w, []byte("end")))
	}}
}

// TestLargeFile: what is beyond 4 GiB has more than one extent, and is read
// as one file, here where its extents meet and at its end. TestLongLargeFile reads all.
func TestLargeFile(t *testing.T) {
	large := largeFile()
	_, file := made(t, options(), large, esp())
	if said := run(t, "xorriso", "xorriso", "-indev", file, "-find", "/ROOT.IMG", "-exec", "report_lba", "--"); strings.Count(said, "File data lba:") != 2 {
		t.Errorf("xorriso finds not two extents: %s", said)
	}
	want, err := os.Create(filepath.Join(t.TempDir(), "want"))
	check(t, err)
	defer want.Close()
	out := sparse.File(want)
	check(t, large.Write(t.Context(), out), out.Finish(), want.Truncate(large.Size)) // what was not written is zero
	for _, x := range []sparse.Extent{{Length: 64 << 10}, {Offset: 4<<30 - 64<<10, Length: large.Size - 4<<30 + 64<<10}} {
		cut := filepath.Join(t.TempDir(), "cut")
		run(t, "xorriso", "xorriso", "-osirrox", "on", "-indev", file, "-extract_cut", "/ROOT.IMG", fmt.Sprint(x.Offset), fmt.Sprint(x.Length), cut)
		got, err := os.ReadFile(cut)
		check(t, err)
		b := make([]byte, x.Length)
		_, err = want.ReadAt(b, x.Offset)
		check(t, err)
		if !bytes.Equal(got, b) {
			t.Errorf("xorriso reads %d other bytes at %d", len(got), x.Offset)
		}
	}
}

func TestUEFIOnly(t *testing.T) {
	o := options()
	o.GRUB, o.Root = nil, ""
	_, file := made(t, o, esp())
	said := run(t, "xorriso", "xorriso", "-indev", file, "-report_el_torito", "plain")
	if strings.Contains(said, "BIOS") || !strings.Contains(said, "UEFI") {
		t.Errorf("xorriso: %s", said)
	}
}

func TestWhatCannotBeIsRefused(t *testing.T) {
	for says, c := range map[string]struct {
		files  []iso.File
		change func(*iso.Options)
	}{
		`"root.img" is not a valid file name`: {files: []iso.File{text("root.img", ""), esp()}},
		`two files are called ROOT.IMG`:       {files: []iso.File{text("ROOT.IMG", ""), text("ROOT.IMG", ""), esp()}},
		`no file "EFI.IMG"`:                   {files: []iso.File{text("ROOT.IMG", "")}},
		`no file "ROOT.IMG"`:                  {files: []iso.File{esp()}},
		`the label "small"`:                   {files: []iso.File{text("ROOT.IMG", ""), esp()}, change: func(o *iso.Options) { o.Label = "small" }},
		`429496524800`:                        {files: []iso.File{{Name: "ROOT.IMG", Size: 1 << 40}, esp()}},
		`kernel.img is missing`:               {files: []iso.File{text("ROOT.IMG", ""), esp()}, change: func(o *iso.Options) { o.GRUB.Files = os.DirFS(t.TempDir()) }},
	} {
		o := options()
		if c.change != nil {
			c.change(&o)
		}
		if _, err := iso.New(c.files, o); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("got %v, want one that says %q", err, says)
		}
	}
}

func TestWrongLengthsAndEnds(t *testing.T) {
	long := text("ROOT.IMG", "root")
	long.Size = 3
	m, err := iso.New([]iso.File{long, esp()}, options())
	check(t, err)
	if err := m.Write(t.Context(), sparse.To(io.Discard)); err == nil || !strings.Contains(err.Error(), "write ROOT.IMG: it has 4 bytes") {
		t.Errorf("got %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := m.Write(ctx, sparse.To(io.Discard)); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func FuzzReadID(f *testing.F) {
	f.Add([]byte("\x01CD001"), "0F8FAD5BD9CB469FA16570867728950E")
	f.Fuzz(func(t *testing.T, header []byte, set string) {
		b := bytes.Repeat([]byte{0}, 17*2048)
		copy(b[16*2048+190:], set)
		copy(b[16*2048:], header)
		if id, err := iso.ReadID(bytes.NewReader(b)); err != nil && id != uuid.Nil {
			t.Errorf("%s, %v", id, err)
		}
		if _, err := iso.ReadID(bytes.NewReader(header)); err == nil {
			t.Error("half a descriptor has an identifier")
		}
	})
}
