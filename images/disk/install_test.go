package disk

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/probe"
	"cloudlets/images/disk/uki"
)

func bytesPayload(b []byte) bootloader.Payload {
	return bootloader.Payload{Size: int64(len(b)), Open: func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(b)), nil }}
}

// testLoaders have the shape of boot loaders, for tests in which none runs.
func testLoaders() bootloader.Files {
	boot := bytes.Repeat([]byte{0xeb}, 512)
	binary.LittleEndian.PutUint16(boot[510:], 0xaa55)
	return bootloader.Files{
		bootloader.BootImage: boot, bootloader.CoreImage: bytes.Repeat([]byte("core"), 1000),
		bootloader.SystemdAMD64: []byte("systemd-boot"), bootloader.SystemdARM64: []byte("systemd-boot"),
	}
}

func testContents() Contents {
	return Contents{Loaders: testLoaders(), Menu: bootloader.Menu{Timeout: time.Second, Entries: []bootloader.Entry{{
		ID: "debian", Title: "It's Debian", Version: "6.1.0-18-amd64", Cmdline: `root=PARTUUID=1 x="a b" quiet`,
		Kernel: bytesPayload([]byte("kernel")), Initrd: bytesPayload([]byte("initrd")),
	}}}}
}

func testLayout(t testing.TB, sector int64, a bootloader.Arch) Layout {
	t.Helper()
	l, err := NewLayout(gib, sector, Options{Seed: "test", Arch: a})
	if err != nil {
		t.Fatal(err)
	}
	return l
}

func install(dev Device, l Layout, c Contents) error {
	ctx := context.Background()
	i := NewInstaller(dev, l)
	if err := i.Clear(ctx); err != nil {
		return err
	}
	if err := i.Prepare(ctx, c); err != nil {
		return err
	}
	return i.Commit(ctx)
}

func TestInstalledDisk(t *testing.T) {
	f := newImage(t, gib)
	l := testLayout(t, 512, bootloader.AMD64)
	if err := install(f, l, testContents()); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "sgdisk", "gdisk", "-v", f.Name()); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk finds problems:\n%s", out)
	}
	esp := filepath.Join(t.TempDir(), "esp.img")
	if err := os.WriteFile(esp, readAt(t, f, l.ESP.Offset, l.ESP.Size), 0o600); err != nil {
		t.Fatal(err)
	}
	run(t, "fsck.vfat", "dosfstools", "-n", esp)
	for path, want := range map[string]string{
		"EFI/BOOT/BOOTX64.EFI":               "systemd-boot",
		"EFI/systemd/systemd-bootx64.efi":    "systemd-boot",
		"loader/loader.conf":                 "default debian.conf\ntimeout 1\nconsole-mode keep\n",
		"cloudlet/6.1.0-18-amd64/vmlinuz":    "kernel",
		"cloudlet/6.1.0-18-amd64/initrd.img": "initrd",
		"loader/entries/debian.conf": "title It's Debian\nversion 6.1.0-18-amd64\nlinux /cloudlet/6.1.0-18-amd64/vmlinuz\n" +
			"initrd /cloudlet/6.1.0-18-amd64/initrd.img\noptions root=PARTUUID=1 x=\"a b\" quiet\n",
	} {
		if got := run(t, "mtype", "mtools", "-i", esp, "::"+path); got != want {
			t.Errorf("%s has %q, want %q", path, got, want)
		}
	}
	menu := run(t, "mtype", "mtools", "-i", esp, "::grub/grub.cfg")
	for _, want := range []string{`menuentry 'It'\''s Debian' --id 'debian'`,
		`linux /cloudlet/6.1.0-18-amd64/vmlinuz 'root=PARTUUID=1' 'x=a b' 'quiet'`, "initrd /cloudlet/6.1.0-18-amd64/initrd.img"} {
		if !strings.Contains(menu, want) {
			t.Errorf("grub.cfg has no %q:\n%s", want, menu)
		}
	}
	checkPatches(t, f)
}

// checkPatches asserts the three places that GRUB's installer fills in.
func checkPatches(t *testing.T, f *os.File) {
	t.Helper()
	boot, core := readAt(t, f, 0, 512), readAt(t, f, mib, 4096)
	if binary.LittleEndian.Uint64(boot[0x5c:]) != 2048 || boot[0x66] != 0x90 || boot[0x67] != 0x90 {
		t.Error("boot.img does not lead to sector 2048")
	}
	if binary.LittleEndian.Uint64(core[0x1f4:]) != 2049 || string(core[:4]) != "core" {
		t.Error("core.img does not go on in sector 2049")
	}
	if boot[446+4] != 0xee {
		t.Error("the boot code has overwritten the protective MBR")
	}
}

// TestLastWriteIsTheBootSector looks at the order of writes on every kind of
// disk: one sector at 0 comes last, and before it was nothing to be found.
func TestLastWriteIsTheBootSector(t *testing.T) {
	for _, c := range []struct {
		sector int64
		arch   bootloader.Arch
	}{{512, bootloader.AMD64}, {4096, bootloader.AMD64}, {512, bootloader.ARM64}, {4096, bootloader.ARM64}} {
		dev := newSparse(gib, c.sector)
		if err := install(dev, testLayout(t, c.sector, c.arch), testContents()); err != nil {
			t.Fatal(err)
		}
		last := dev.writes[len(dev.writes)-1]
		if last.off != 0 || last.length != c.sector {
			t.Errorf("%v: the last write has %d bytes at %d", c, last.length, last.off)
		}
		found, err := probe.Identify(dev, dev.size)
		if err != nil || !strings.HasPrefix(probe.Describe(found), "GPT with 3 partitions: nothing known 'bios-boot' 1 MiB, vfat 'ESP'") {
			t.Errorf("%v: found %s, %v", c, probe.Describe(found), err)
		}
	}
}

// TestEveryFailureLeavesNothingBootable breaks each write in turn, on a disk
// that is full of something else.
func TestEveryFailureLeavesNothingBootable(t *testing.T) {
	t.Parallel()
	l := testLayout(t, 512, bootloader.AMD64)
	whole := newSparse(gib, 512)
	if err := install(whole, l, testContents()); err != nil {
		t.Fatal(err)
	}
	for n := 2; n <= len(whole.writes); n++ {
		dev := newSparse(gib, 512)
		dev.fill = 0xeb // what was there before
		dev.failAt = n
		if err := install(dev, l, testContents()); !errors.Is(err, errBroken) {
			t.Fatalf("write %d fails: got error %v", n, err)
		}
		if sector := readAt(t, dev, 0, 512); !allZero(sector) {
			t.Errorf("write %d of %d fails, and there is a boot sector", n, len(whole.writes))
		}
	}
}

// TestLostWriteIsFound has a device that acknowledges a write and drops it.
// TestPartOfAMirror: a disk beside another one loses its table, and keeps what is in its
// partitions. Commit makes it bootable again, and IsFound says when a kernel finds it.
func TestPartOfAMirror(t *testing.T) {
	const gib = 2*gib + 40<<10 // the last partition goes on where the last MiB of the disk begins
	for _, sector := range []int64{512, 4096} {
		l, err := NewLayout(gib, sector, mirrorOptions)
		if err != nil {
			t.Fatal(err)
		}
		dev := newSparse(gib, sector)
		if err := install(dev, l, testContents()); err != nil {
			t.Fatal(err)
		}
		if !IsFound(dev, gib, sector) {
			t.Error("an installed disk is not found")
		}
		parts := [][2]int64{{l.ESP.Offset, mib}, {l.Persistent.Offset, mib}, {l.Persistent.end() - mib, mib}}
		var had [][]byte
		for _, part := range parts {
			dev.WriteAt(bytes.Repeat([]byte{7}, 4096), part[0]+part[1]-4096)
			had = append(had, readAt(t, dev, part[0], part[1]))
		}
		i := NewPartInstaller(dev, l)
		if err := i.Undo(t.Context()); err != nil {
			t.Fatal(err)
		}
		first := readAt(t, dev, 0, 512)
		if bios := first[510] == 0x55 && first[511] == 0xaa; bios != l.BIOS() {
			t.Errorf("sectors of %d: it has a boot sector: %v", sector, bios)
		}
		if IsFound(dev, gib, sector) || !bytes.Equal(readAt(t, dev, 0, mib), probe.UnfinishedPart(l.BIOS())) {
			t.Error("it is not as a disk beside another one should be")
		}
		if _, err := readTable(dev, gib, sector); err == nil {
			t.Error("there is a table still")
		}
		for n, part := range parts {
			if !bytes.Equal(readAt(t, dev, part[0], part[1]), had[n]) {
				t.Errorf("what was at %d has changed", part[0])
			}
		}
		if err := errors.Join(i.Prepare(t.Context(), testContents()), i.Commit(t.Context())); err != nil || !IsFound(dev, gib, sector) {
			t.Errorf("it does not become bootable again: %v", err)
		}
		// The first copy is lost, or what announces it.
		for _, at := range []int64{0, sector} {
			before := readAt(t, dev, at, sector)
			dev.WriteAt(make([]byte, sector), at)
			if _, err := readTable(dev, gib, sector); err != nil || IsFound(dev, gib, sector) {
				t.Errorf("without the sector at %d: %v, found %v", at, err, IsFound(dev, gib, sector))
			}
			dev.WriteAt(before, at)
		}
	}
}

func TestLostWriteIsFound(t *testing.T) {
	t.Parallel()
	l := testLayout(t, 512, bootloader.AMD64)
	cleared, whole := newSparse(gib, 512), newSparse(gib, 512)
	if err := NewInstaller(cleared, l).Clear(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := install(whole, l, testContents()); err != nil {
		t.Fatal(err)
	}
	// The first write of Prepare zeroes a sector that is written again.
	for n := len(cleared.writes) + 2; n <= len(whole.writes); n++ {
		dev := newSparse(gib, 512)
		dev.fill = 1 // what was there before
		dev.lieAt = n
		wantError(t, install(dev, l, testContents()), "verify disk")
		if sector := readAt(t, dev, 0, 512); !allZero(sector) {
			t.Errorf("write %d is lost, and there is a boot sector", n)
		}
	}
}

func TestNoTableBeforeCommit(t *testing.T) {
	f := newImage(t, gib)
	i := NewInstaller(f, testLayout(t, 512, bootloader.AMD64))
	if err := i.Clear(context.Background()); err != nil {
		t.Fatal(err)
	}
	if err := i.Prepare(context.Background(), testContents()); err != nil {
		t.Fatal(err)
	}
	found, err := probe.Identify(f, gib)
	if err != nil || len(found) != 0 {
		t.Errorf("before Commit the disk shows %s, %v", probe.Describe(found), err)
	}
	if !bytes.Equal(readAt(t, f, 0, mib), probe.Unfinished()) || !allZero(readAt(t, f, gib-mib, mib)) {
		t.Error("before Commit there is something where partition tables are")
	}
}

func TestClearDestroysWhatWasThere(t *testing.T) {
	f := newImage(t, gib)
	l := testLayout(t, 512, bootloader.AMD64)
	if err := install(f, l, testContents()); err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Partitions() {
		f.WriteAt([]byte("_BHRfS_M"), p.Offset+64*kib+0x40)
		f.WriteAt([]byte{0xfc, 0x4e, 0x2b, 0xa9, 1}, p.end()-8*kib)
	}
	if err := NewInstaller(f, l).Clear(context.Background()); err != nil {
		t.Fatal(err)
	}
	for _, p := range l.Partitions() {
		found, err := probe.Identify(io.NewSectionReader(f, p.Offset, p.Size), p.Size)
		if err != nil || len(found) > 0 && found[0].Kind != probe.Unrecognised { // its files are not erased, but nothing leads to them
			t.Errorf("%s still shows %s, %v", p.Name, probe.Describe(found), err)
		}
	}
	if found, err := probe.Identify(f, gib); err != nil || len(found) != 0 {
		t.Errorf("the disk still shows %s, %v", probe.Describe(found), err)
	}
}

func TestPrepareRefusesBeforeItWrites(t *testing.T) {
	with := func(change func(*Contents)) Contents {
		c := testContents()
		change(&c)
		return c
	}
	entry := func(change func(*bootloader.Entry)) Contents {
		return with(func(c *Contents) { change(&c.Menu.Entries[0]) })
	}
	for _, c := range []struct {
		name     string
		contents Contents
		want     string
	}{
		{"no core", with(func(c *Contents) { delete(c.Loaders, bootloader.CoreImage) }), "core.img is missing"},
		{"no boot", with(func(c *Contents) { delete(c.Loaders, bootloader.BootImage) }), "boot.img is missing"},
		{"no EFI", with(func(c *Contents) { delete(c.Loaders, bootloader.SystemdAMD64) }), "systemd-bootx64.efi is missing"},
		{"bad boot", with(func(c *Contents) { c.Loaders[bootloader.BootImage] = []byte("x") }), "boot.img is not a boot sector of 512 bytes"},
		{"long core", with(func(c *Contents) { c.Loaders[bootloader.CoreImage] = make([]byte, 2*mib) }), "fewer modules"},
		{"no entries", with(func(c *Contents) { c.Menu.Entries = nil }), "name at least one kernel"},
		{"twice", with(func(c *Contents) { c.Menu.Entries = append(c.Menu.Entries, c.Menu.Entries[0]) }), "two menu entries"},
		{"other kernel", with(func(c *Contents) {
			e := c.Menu.Entries[0]
			e.ID, e.Kernel = "other", bytesPayload([]byte("another"))
			c.Menu.Entries = append(c.Menu.Entries, e)
		}), "different kernels"},
		{"ID", entry(func(e *bootloader.Entry) { e.ID = "a/b" }), "a/b"},
		{"version", entry(func(e *bootloader.Entry) { e.Version = ".." }), "\"..\""},
		{"title", entry(func(e *bootloader.Entry) { e.Title = "a\nb" }), "control characters"},
		{"line break", entry(func(e *bootloader.Entry) { e.Cmdline = "a\nb" }), "control characters"},
		{"backslash", entry(func(e *bootloader.Entry) { e.Cmdline = `a\b` }), "use double quotes"},
		{"quote", entry(func(e *bootloader.Entry) { e.Cmdline = `a="b` }), "double quote"},
		{"long", entry(func(e *bootloader.Entry) { e.Cmdline = strings.Repeat("x", 2048) }), "2047"},
		{"no kernel", entry(func(e *bootloader.Entry) { e.Kernel = bootloader.Payload{} }), "there is no kernel"},
		{"large", entry(func(e *bootloader.Entry) { e.Kernel.Size = 300 * mib }), "give it a larger partition"},
	} {
		t.Run(c.name, func(t *testing.T) {
			dev := newSparse(gib, 512)
			i := NewInstaller(dev, testLayout(t, 512, bootloader.AMD64))
			wantError(t, i.Prepare(context.Background(), c.contents), c.want)
			if len(dev.writes) != 0 {
				t.Errorf("%d writes before the refusal", len(dev.writes))
			}
			wantError(t, i.Commit(context.Background()), "call Prepare first")
		})
	}
}

// TestUnsignedKernelIsRefused before anything is written.
func TestUnsignedKernelIsRefused(t *testing.T) {
	c := testContents()
	c.SecureBoot.Shim = true
	f := newImage(t, gib)
	err := install(f, testLayout(t, 512, bootloader.AMD64), c)
	if err == nil || !strings.Contains(err.Error(), "is not signed, and Secure Boot would refuse it") {
		t.Fatal(err)
	}
	loader, err := bootloader.Assets{}.LoadNamed(context.Background(), bootloader.ShimAMD64)
	if err != nil {
		t.Fatal(err)
	}
	signed := bootloader.Payload(uki.Bytes(loader[bootloader.ShimAMD64]))
	for i := range c.Menu.Entries {
		c.Menu.Entries[i].Kernel = signed
	}
	if err := c.SecureBoot.Check(c.Menu); err != nil {
		t.Errorf("a signed program as the kernel: %v", err)
	}
}
