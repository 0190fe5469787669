package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"github.com/diskfs/go-diskfs/partition/gpt"

	"cloudlets/images/bytesize"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/probe"
)

func TestOtherToolsAcceptTheTable(t *testing.T) {
	for _, size := range []int64{512 * mib, 2 * gib, 64*gib + 512*7, 3 << 40} {
		t.Run(bytesize.Binary(size), func(t *testing.T) {
			l, err := NewLayout(size, 512, Options{Seed: "test"})
			if err != nil {
				t.Fatal(err)
			}
			f := newImage(t, size)
			table, err := l.Table()
			if err != nil {
				t.Fatal(err)
			}
			f.WriteAt(table.First, 0)
			f.WriteAt(table.Backup, table.BackupOffset)
			out := run(t, "sgdisk", "gdisk", "-v", "-p", f.Name())
			if !strings.Contains(out, "No problems found") || strings.Contains(strings.ToLower(out), "caution") {
				t.Errorf("sgdisk finds problems:\n%s", out)
			}
			for _, want := range []string{"EF02  bios-boot", "EF00  esp", "8304  root", strings.ToUpper(l.GUID)} {
				if !strings.Contains(out, want) {
					t.Errorf("sgdisk does not show %q:\n%s", want, out)
				}
			}
			pmbr := binary.LittleEndian.Uint32(table.First[446+12:])
			if want := uint32(min(size/512-1, 1<<32-1)); pmbr != want {
				t.Errorf("the protective MBR covers %d sectors, want %d", pmbr, want)
			}
		})
	}
}

func TestTableOf4KiBSectors(t *testing.T) {
	l, err := NewLayout(4*gib, 4096, Options{Arch: bootloader.ARM64, Seed: "test"})
	if err != nil {
		t.Fatal(err)
	}
	table, err := l.Table()
	if err != nil {
		t.Fatal(err)
	}
	if string(table.First[4096:4104]) != "EFI PART" || string(table.Backup[128*128:128*128+8]) != "EFI PART" {
		t.Fatal("the headers are not in the second and the last sector")
	}
	if table.BackupOffset+int64(len(table.Backup)) != l.Size {
		t.Errorf("the backup ends at %d of %d", table.BackupOffset+int64(len(table.Backup)), l.Size)
	}
	found, err := probe.Identify(bytes.NewReader(table.First), mib)
	if err != nil || len(found) != 4 || found[3].Label != "root" || found[3].Offset != l.Root.Offset {
		t.Errorf("what is found in it: %v, %v", found, err)
	}
	if l.Root.Type != string(gpt.LinuxRootArm64) {
		t.Errorf("the root's type is %s", l.Root.Type)
	}
}

func TestLayoutProperties(t *testing.T) {
	for _, sector := range []int64{512, 4096} {
		for size := int64(1) << 20; size < 1<<45; size = size*5/4 + sector*3 {
			l, err := NewLayout(size, sector, Options{Seed: "s"})
			if err != nil {
				if size >= gib {
					t.Errorf("%d bytes: %v", size, err)
				}
				wantError(t, err, fmt.Sprintf("it has %s (%d bytes)", bytesize.Binary(size), size))
				continue
			}
			at := int64(mib)
			for _, p := range l.Partitions() {
				if p.Offset != at || p.Offset%mib != 0 || p.Size%mib != 0 || p.Size <= 0 {
					t.Errorf("%d bytes: partition %+v does not follow at %d in whole MiB", size, p, at)
				}
				at = p.end()
			}
			if at > size-l.backupSize() {
				t.Errorf("%d bytes: the root ends at %d, in the backup table", size, at)
			}
		}
	}
}

func TestESPSizes(t *testing.T) {
	for _, c := range []struct{ size, sector, asked, want int64 }{
		{1 * gib, 512, 0, 128 * mib},
		{4 * gib, 512, 0, 256 * mib},
		{8 * gib, 512, 0, 512 * mib},
		{4 << 40, 512, 0, 512 * mib},
		{1 * gib, 4096, 0, 260 * mib},
		{8 * gib, 512, gib + 1, gib + mib},
		{8 * gib, 512, 1, 128 * mib},
	} {
		l, err := NewLayout(c.size, c.sector, Options{ESPSize: c.asked})
		if err != nil || l.ESP.Size != c.want {
			t.Errorf("%+v: the ESP has %d bytes, error %v", c, l.ESP.Size, err)
		}
	}
}

func TestGUIDs(t *testing.T) {
	layout := func(o Options) Layout {
		l, err := NewLayout(gib, 512, o)
		if err != nil {
			t.Fatal(err)
		}
		return l
	}
	a, again, b := layout(Options{Seed: "a"}), layout(Options{Seed: "a"}), layout(Options{Seed: "b"})
	if a != again {
		t.Error("the same seed gives another layout")
	}
	seen := map[string]bool{}
	for _, l := range []Layout{a, b, layout(Options{}), layout(Options{})} {
		for _, id := range []string{l.GUID, l.BIOSBoot.GUID, l.ESP.GUID, l.Root.GUID} {
			if seen[id] {
				t.Errorf("the GUID %s is there twice", id)
			}
			seen[id] = true
		}
	}
	given := layout(Options{Seed: "a", GUIDs: GUIDs{Root: "0FC63DAF-8483-4772-8E79-3D69D8477DE4"}})
	if given.Root.GUID != "0fc63daf-8483-4772-8e79-3d69d8477de4" || given.GUID != a.GUID {
		t.Errorf("a given GUID became %s", given.Root.GUID)
	}
}

func TestLayoutRefusals(t *testing.T) {
	for _, c := range []struct {
		size, sector int64
		opts         Options
		want         string
	}{
		{100 * mib, 512, Options{}, "195 MiB (204472320 bytes)"},
		{gib, 512, Options{MinRoot: 2 * gib}, "2.1 GiB"},
		{0, 512, Options{}, "it has 0 B"},
		{-1, 512, Options{}, "are needed"},
		{gib, 520, Options{}, "520"},
		{gib, 512, Options{Arch: "riscv64"}, `architecture "riscv64": use amd64 or arm64`},
		{gib, 512, Options{ESPSize: -1}, "must not be negative"},
		{gib, 512, Options{GUIDs: GUIDs{Disk: "x"}}, `"x"`},
	} {
		_, err := NewLayout(c.size, c.sector, c.opts)
		wantError(t, err, c.want)
	}
}
