package disk

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"testing"

	"cloudlets/images/disk/bootloader"
)

// keptLayout is a disk with a persistent partition, and what a second write
// that keeps it makes of the disk.
func keptLayout(t testing.TB, size, sector int64) (first, second Layout) {
	t.Helper()
	first, err := NewLayout(size, sector, Options{Seed: "first", Persistent: 200*mib - 7})
	if err != nil {
		t.Fatal(err)
	}
	second, err = NewLayout(size, sector, Options{Seed: "second", Keep: &first.Persistent, ESPSize: 300 * mib})
	if err != nil {
		t.Fatal(err)
	}
	return first, second
}

func TestPersistentLayouts(t *testing.T) {
	for _, size := range []int64{gib, gib + 512*7, 5*gib + 512*1025, 64 * gib} {
		first, second := keptLayout(t, size, 512)
		for _, l := range []Layout{first, second} {
			at := int64(mib)
			for _, p := range l.Partitions() {
				if p.Offset != at || p.Size%mib != 0 || p.Size <= 0 {
					t.Errorf("%d bytes: partition %+v does not follow at %d in whole MiB", size, p, at)
				}
				at = p.end()
			}
			if at > size-l.backupSize() || at <= size-l.backupSize()-mib {
				t.Errorf("%d bytes: the last partition ends at %d", size, at)
			}
		}
		if first.Persistent != second.Persistent || first.Persistent.Size != 200*mib || first.Kept || !second.Kept {
			t.Errorf("%+v was kept as %+v", first.Persistent, second.Persistent)
		}
		if first.Root.GUID == second.Root.GUID || first.ESP.Size == second.ESP.Size {
			t.Error("the rest was not made anew")
		}
	}
	if size := SizeFor(100*mib, 512, Options{Persistent: 50 * mib}); size != SizeFor(150*mib, 512, Options{}) {
		t.Errorf("the smallest disk with a persistent partition has %d bytes", size)
	}
}

func TestPersistentLayoutsThatCannotBe(t *testing.T) {
	first, _ := keptLayout(t, gib, 512)
	for says, o := range map[string]Options{
		"use a larger disk":                   {Persistent: gib},
		"must not be negative":                {Persistent: -1},
		"1.1 GiB (1142947840 bytes)":          {Keep: &first.Persistent, ESPSize: gib},
		"use a smaller image, or do not keep": {Keep: &first.Persistent, MinRoot: gib},
		"at byte 536871424":                   {Keep: &Partition{Offset: 512*mib + 512, Size: mib}},
		"at byte 1072693248":                  {Keep: &Partition{Offset: gib - mib, Size: mib}},
		"at byte 1073741824":                  {Keep: &Partition{Offset: gib, Size: mib}},
	} {
		_, err := NewLayout(gib, 512, o)
		wantError(t, err, says)
	}
}

// TestKeptPartitionSurvives: whichever write of clearing a disk fails, and
// however much of it arrives, the partition is found and what is in it is as
// it was; and what the table then lists is all there.
func TestKeptPartitionSurvives(t *testing.T) {
	for _, sector := range []int64{512, 4096} {
		first, second := keptLayout(t, gib+4096*3, sector)
		for _, fail := range []int{0, 1, 2, 3, 8} {
			for _, torn := range []int64{0, 1, 2, 30} {
				dev := newSparse(first.Size, sector)
				if err := install(dev, first, testContents()); err != nil {
					t.Fatal(err)
				}
				data := bytes.Repeat([]byte("precious"), 1<<17)
				for _, off := range []int64{0, mib, first.Persistent.Size - int64(len(data))} {
					if _, err := dev.WriteAt(data, first.Persistent.Offset+off); err != nil {
						t.Fatal(err)
					}
				}
				dev.writes, dev.tearAt, dev.torn = nil, fail, torn
				err := NewInstaller(dev, second).Clear(t.Context())
				if (err != nil) != (fail > 0 && fail <= len(dev.writes)) {
					t.Fatalf("write %d fails: got %v", fail, err)
				}
				found, err := FindPersistent(dev, first.Size, sector)
				if err != nil || found != first.Persistent {
					t.Fatalf("sectors of %d, write %d of which %d arrive: found %+v, %v", sector, fail, torn, found, err)
				}
				for _, off := range []int64{0, mib, first.Persistent.Size - int64(len(data))} {
					if !bytes.Equal(readAt(t, dev, first.Persistent.Offset+off, int64(len(data))), data) {
						t.Fatalf("write %d fails: the persistent partition is changed", fail)
					}
				}
				wantAllThere(t, dev, first, fail)
			}
		}
	}
}

// wantAllThere makes sure that a table lists nothing that was begun to be
// erased.
func wantAllThere(t *testing.T, dev *sparseDevice, first Layout, fail int) {
	t.Helper()
	table, err := readTable(dev, dev.size, dev.sector)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range partitionsOf(table, dev.sector) {
		if p.Name == "esp" && !bytes.Contains(readAt(t, dev, p.Offset, 512), []byte("FAT32")) {
			t.Fatalf("write %d fails: the table lists an ESP that was erased", fail)
		}
		if p.Name != persistentName && first.BIOS() && fail > 2 {
			t.Fatalf("write %d fails, and %s is still listed", fail, p.Name)
		}
	}
}

// TestKeptPartitionSurvivesWithOneCopy: as it does on a disk that has only one
// copy of its table, since it became larger or a copy was damaged.
func TestKeptPartitionSurvivesWithOneCopy(t *testing.T) {
	const size = gib
	for name, c := range map[string]struct {
		larger int64
		damage int64 // where
	}{"larger": {gib, -1}, "backup": {0, size - 512}, "first": {0, 512 + 40}} {
		t.Run(name, func(t *testing.T) {
			for fail := 1; fail <= 2; fail++ {
				for _, torn := range []int64{0, 1, 2, 30} {
					first, err := NewLayout(size, 512, Options{Seed: "first", Persistent: 200 * mib})
					if err != nil {
						t.Fatal(err)
					}
					dev := newSparse(size+c.larger, 512)
					if err := install(dev, first, testContents()); err != nil {
						t.Fatal(err)
					}
					if c.damage >= 0 {
						if _, err := dev.put([]byte{0xff}, c.damage); err != nil {
							t.Fatal(err)
						}
					}
					second, err := NewLayout(dev.size, 512, Options{Seed: "second", Keep: &first.Persistent})
					if err != nil {
						t.Fatal(err)
					}
					dev.writes, dev.tearAt, dev.torn = nil, fail, torn
					if err := NewInstaller(dev, second).Clear(t.Context()); err == nil {
						t.Fatal("a write that fails is no error")
					}
					if found, err := FindPersistent(dev, dev.size, 512); err != nil || found != first.Persistent {
						t.Errorf("write %d, of which %d sectors arrive: found %+v, %v", fail, torn, found, err)
					}
				}
			}
		})
	}
}

// TestGrownByOthers: a partition that another tool let grow to the last sector
// before the table's copy is kept.
func TestGrownByOthers(t *testing.T) {
	first, _ := keptLayout(t, gib, 512)
	f := newImage(t, 2*gib)
	if err := install(f, first, testContents()); err != nil {
		t.Fatal(err)
	}
	run(t, "sgdisk", "gdisk", "-e", f.Name())
	run(t, "sgdisk", "gdisk", "-d", "4", "-n", fmt.Sprintf("4:%d:0", first.Persistent.Offset/512), "-c", "4:persistent", f.Name())
	p, err := FindPersistent(f, 2*gib, 512)
	if err != nil || p.end() != 2*gib-33*512 {
		t.Fatalf("found %+v, %v", p, err)
	}
	l, err := NewLayout(2*gib, 512, Options{Seed: "second", Keep: &p})
	if err != nil || l.Persistent.Size != p.Size {
		t.Fatalf("kept %+v, %v", l.Persistent, err)
	}
	if err := install(f, l, testContents()); err != nil {
		t.Fatal(err)
	}
	if out := run(t, "sgdisk", "gdisk", "-v", f.Name()); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk: %s", out)
	}
}

// TestSecondInstallKeeps: the whole way, seen by other tools.
func TestSecondInstallKeeps(t *testing.T) {
	first, second := keptLayout(t, gib, 512)
	f := newImage(t, gib)
	if err := install(f, first, testContents()); err != nil {
		t.Fatal(err)
	}
	f.WriteAt([]byte("precious"), first.Persistent.Offset)
	if err := install(f, second, testContents()); err != nil {
		t.Fatal(err)
	}
	out := run(t, "sgdisk", "gdisk", "-v", "-p", f.Name())
	for _, want := range []string{"No problems found", "8300  persistent", "EF02  bios-boot", strings.ToUpper(second.GUID)} {
		if !strings.Contains(out, want) {
			t.Errorf("sgdisk does not show %q:\n%s", want, out)
		}
	}
	if got := readAt(t, f, first.Persistent.Offset, 8); string(got) != "precious" {
		t.Errorf("the persistent partition begins with %q", got)
	}
}

// TestGrow: a disk that became larger is used to its end; what starts it by
// BIOS and whose partitions they are stays; and it is done once.
func TestGrow(t *testing.T) {
	for _, o := range []Options{{Seed: "test"}, {Seed: "test", Persistent: 100 * mib}} {
		l, err := NewLayout(gib, 512, o)
		if err != nil {
			t.Fatal(err)
		}
		f := newImage(t, gib)
		if err := install(f, l, testContents()); err != nil {
			t.Fatal(err)
		}
		code := readAt(t, f, 0, bootCodeSize)
		if p, grown, err := Grow(f, gib, 512); err != nil || grown || p != l.Partitions()[len(l.Partitions())-1] {
			t.Errorf("a disk that is as large as ever: %+v, %v, %v", p, grown, err)
		}
		const larger = 3*gib + 512*9
		if err := f.Truncate(larger); err != nil {
			t.Fatal(err)
		}
		p, grown, err := Grow(f, larger, 512)
		if err != nil || !grown || p.end() != 3*gib-mib {
			t.Errorf("it grew to %+v, %v, %v", p, grown, err)
		}
		if _, grown, err := Grow(f, larger, 512); err != nil || grown {
			t.Errorf("it grew again (%v)", err)
		}
		out := run(t, "sgdisk", "gdisk", "-v", "-p", f.Name())
		for _, want := range []string{"No problems found", strings.ToUpper(l.GUID), "EF00  esp"} {
			if !strings.Contains(out, want) {
				t.Errorf("sgdisk does not show %q:\n%s", want, out)
			}
		}
		if !bytes.Equal(readAt(t, f, 0, bootCodeSize), code) {
			t.Error("the boot code is another")
		}
		if got := binary.LittleEndian.Uint32(readAt(t, f, 446+12, 4)); int64(got) != larger/512-1 {
			t.Errorf("the protective MBR covers %d sectors", got)
		}
	}
}

// TestGrowBrokenOff: whichever write fails, however much of it arrives, a
// table is there.
func TestGrowBrokenOff(t *testing.T) {
	l := testLayout(t, 512, bootloader.AMD64)
	for fail := 1; fail <= 3; fail++ {
		for _, torn := range []int64{0, 1, 20} {
			dev := newSparse(2*gib, 512)
			if err := install(dev, l, testContents()); err != nil {
				t.Fatal(err)
			}
			dev.writes, dev.tearAt, dev.torn = nil, fail, torn
			if _, _, err := Grow(dev, 2*gib, 512); err == nil {
				t.Fatal("a write that fails is no error")
			}
			dev.tearAt = 0
			p, _, err := Grow(dev, 2*gib, 512)
			if err != nil || p.end() != 2*gib-mib || p.GUID != l.Root.GUID {
				t.Errorf("after write %d, of which %d sectors arrived: %+v, %v", fail, torn, p, err)
			}
		}
	}
}

func TestWhatHasNoPersistentPartition(t *testing.T) {
	l := testLayout(t, 512, bootloader.AMD64)
	dev := newSparse(gib, 512)
	_, err := FindPersistent(dev, gib, 512)
	wantError(t, err, "no GUID partition table")
	if _, _, err := Grow(dev, gib, 512); err == nil {
		t.Error("a blank disk grew")
	}
	if err := install(dev, l, testContents()); err != nil {
		t.Fatal(err)
	}
	_, err = FindPersistent(dev, gib, 512)
	wantError(t, err, `the disk has no persistent partition`)
	_, err = FindPersistent(dev, mib, 512)
	wantError(t, err, "no GUID partition table")
	_, err = FindPersistent(dev, gib, 520)
	wantError(t, err, "no GUID partition table")
}

// FuzzReadTable: whatever a table says, nothing beyond reason is read of it.
func FuzzReadTable(f *testing.F) {
	for _, sector := range []int64{512, 4096} {
		l, err := NewLayout(gib, sector, Options{Seed: "fuzz", Persistent: mib})
		if err != nil {
			f.Fatal(err)
		}
		t, err := l.Table()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(t.First[:sector*3], t.Backup, sector == 512)
	}
	f.Fuzz(func(t *testing.T, first, backup []byte, small bool) {
		size, sector := int64(4*mib), int64(4096)
		if small {
			sector = 512
		}
		b := make([]byte, size)
		copy(b[size-min(size, int64(len(backup))):], backup)
		copy(b, first)
		p, err := FindPersistent(bytes.NewReader(b), size, sector)
		if err == nil && (p.Offset < 0 || p.Size <= 0 || p.end() > size) {
			t.Errorf("%+v", p)
		}
	})
}
