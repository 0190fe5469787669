package disk

import (
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"cloudlets/images/disk/md"
	"cloudlets/images/disk/slots"
)

var mirrorOptions = Options{Seed: "test", Slots: true, Mirror: true, Persistent: 96 * mib}

// TestMirrorLayout: both disks have the same partitions in the same places, members of the
// same mirrors, and are found again. Nothing that knows disks which stand alone finds them.
func TestMirrorLayout(t *testing.T) {
	for name, sector := range map[string]int64{"512": 512, "4096": 4096} {
		t.Run(name, func(t *testing.T) {
			const size, larger = 2 * gib, 2*gib + 9*mib
			first, err := NewLayout(size, sector, mirrorOptions)
			if err != nil {
				t.Fatal(err)
			}
			second, err := first.Second(larger)
			if err != nil {
				t.Fatal(err)
			}
			both, devices := [2]Layout{first, second}, [2]Device{newImage(t, size), newImage(t, larger)}
			ids := map[string]bool{first.GUID: true, second.GUID: true}
			for n, l := range both {
				table, err := l.Table()
				if err != nil {
					t.Fatal(err)
				}
				devices[n].WriteAt(table.First, 0)
				devices[n].WriteAt(table.Backup, table.BackupOffset)
				for _, p := range l.Partitions() {
					ids[p.GUID] = true
				}
			}
			if len(ids) != 2*6 {
				t.Errorf("the two disks have %d identifiers, want 12", len(ids))
			}
			for _, parts := range [][2]Partition{{first.Root, second.Root}, {first.Other, second.Other}, {first.Persistent, second.Persistent}} {
				if parts[0].Room() >= parts[0].Size || parts[0].Room() < parts[0].Size-mirrorRoom || parts[0].Offset != parts[1].Offset {
					t.Errorf("the partition %s of %d bytes has room for %d", parts[0].Name, parts[0].Size, parts[0].Room())
				}
				if err := Mirror(parts, devices, "node1:"+parts[0].Name, "test", time.Unix(1000, 0)); err != nil {
					t.Fatal(err)
				}
			}
			for n, l := range both {
				got, err := FindMirror(devices[n], l.Size, sector)
				want := l
				want.Kept, want.Arch = true, ""
				if err != nil || got != want {
					t.Errorf("disk %d is found as %+v (%v), want %+v", n, got, err, want)
				}
				if _, err := FindSlots(devices[n], l.Size, sector); !errors.Is(err, ErrNoSlots) {
					t.Errorf("disk %d counts as one that stands alone: %v", n, err)
				}
				if _, err := FindPersistent(devices[n], l.Size, sector); err == nil || Ours(devices[n], l.Size, sector) {
					t.Errorf("the persistent partition of disk %d counts as one that stands alone", n)
				}
				m, err := got.Root.Member(devices[n])
				if err != nil || m.Role() != md.Role(n) || m.Size != l.Root.Room() {
					t.Errorf("the root of disk %d is %s (%v)", n, m, err)
				}
			}
		})
	}
}

// TestReplacement: a new disk has the partitions of the one that stays, and identifiers of its
// own, also if the one that stays was once a replacement itself.
func TestReplacement(t *testing.T) {
	l, err := NewLayout(2*gib, 512, mirrorOptions)
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Second(2 * gib)
	if err != nil {
		t.Fatal(err)
	}
	ids := map[string]bool{}
	count := func(l Layout) int {
		ids[l.GUID] = true
		for _, p := range l.Partitions() {
			ids[p.GUID] = true
		}
		return 1 + len(l.Partitions())
	}
	want := count(l) + count(second)
	for n, there := range []Layout{l, second} {
		there.Kept = true
		for _, seed := range []string{"an install", "another one"} {
			larger, err := there.Replacement(3*gib, seed)
			if err != nil || larger.Size != 3*gib || larger.Kept {
				t.Fatalf("disk %d is replaced by %+v (%v)", n, larger, err)
			}
			want += count(larger)
			for k, p := range larger.Partitions() {
				was := there.Partitions()[k]
				was.GUID = p.GUID
				if p != was {
					t.Errorf("the partition %+v becomes %+v", was, p)
				}
			}
			again, err := larger.Replacement(2*gib, seed)
			if err != nil {
				t.Fatal(err)
			}
			want += count(again)
		}
		if _, err := there.Replacement(2*gib-mib, "an install"); err == nil {
			t.Errorf("disk %d is replaced by one that is too small", n)
		}
	}
	if len(ids) != want {
		t.Errorf("the disks have %d identifiers, want %d", len(ids), want)
	}
	// Disks of the usual sizes, which are no whole MiB: one of the same size takes the place.
	for _, size := range []int64{1000204886016, 500107862016, 512110190592, 2*gib + 1} {
		for _, sector := range []int64{512, 4096} {
			l, err := NewLayout(size, sector, mirrorOptions)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := l.Replacement(size, "an install"); err != nil {
				t.Errorf("a disk of %d bytes with sectors of %d cannot be replaced by one of the same size: %v", size, sector, err)
			}
		}
	}
}

// TestMirrorWithABadSector: a disk is found, though a superblock on it cannot be read or is
// damaged. That partition has no array, and the others have theirs.
func TestMirrorWithABadSector(t *testing.T) {
	l, err := NewLayout(2*gib, 512, mirrorOptions)
	if err != nil {
		t.Fatal(err)
	}
	second, err := l.Second(2 * gib)
	if err != nil {
		t.Fatal(err)
	}
	devices := [2]Device{newImage(t, l.Size), newImage(t, l.Size)}
	table, err := l.Table()
	if err != nil {
		t.Fatal(err)
	}
	devices[0].WriteAt(table.First, 0)
	devices[0].WriteAt(table.Backup, table.BackupOffset)
	for _, parts := range [][2]Partition{{l.Root, second.Root}, {l.Other, second.Other}, {l.Persistent, second.Persistent}} {
		if err := Mirror(parts, devices, "node1:"+parts[0].Name, "test", time.Unix(1000, 0)); err != nil {
			t.Fatal(err)
		}
	}
	want := l
	want.Kept, want.Arch, want.Other.Array = true, "", ""
	m, err := l.Other.Member(devices[0])
	if err != nil {
		t.Fatal(err)
	}
	superblock := l.Other.Offset + m.Capacity
	if got, err := FindMirror(badSector{devices[0], superblock}, l.Size, 512); err != nil || got != want {
		t.Errorf("with a bad sector, the disk is found as %+v (%v), want %+v", got, err, want)
	}
	devices[0].WriteAt([]byte("damaged"), superblock+40)
	if got, err := FindMirror(devices[0], l.Size, 512); err != nil || got != want {
		t.Errorf("with a damaged superblock, the disk is found as %+v (%v), want %+v", got, err, want)
	}
}

// badSector is a disk of which the sector at byte at cannot be read.
type badSector struct {
	io.ReaderAt
	at int64
}

func (b badSector) ReadAt(p []byte, off int64) (int, error) {
	if off <= b.at && b.at < off+int64(len(p)) {
		return 0, errors.New("input/output error")
	}
	return b.ReaderAt.ReadAt(p, off)
}

// TestUpdatesMakeNewMirrors: a slot that is written is of another mirror then, on both disks
// the same.
func TestUpdatesMakeNewMirrors(t *testing.T) {
	first, err := NewLayout(2*gib, 512, mirrorOptions)
	if err != nil {
		t.Fatal(err)
	}
	second, err := first.Second(2 * gib)
	if err != nil {
		t.Fatal(err)
	}
	a, b := first.In(slots.B).NewArray("next"), second.In(slots.B).NewArray("next")
	if a.Root.Array != b.Root.Array || a.Root.Array == first.Other.Array || a.Other.Array != first.Root.Array || a.Root.Number != slotBNumber {
		t.Errorf("the disks are %+v and %+v", a, b)
	}
}

func TestMirrorsThatCannotBeLaidOut(t *testing.T) {
	for want, test := range map[string]struct {
		size   int64
		change func(*Options)
	}{
		"two slots":         {2 * gib, func(o *Options) { o.Slots = false }},
		"keeps no part":     {2 * gib, func(o *Options) { o.Keep = &Partition{Number: 4, Offset: gib, Size: 96 * mib} }},
		"bytes) are needed": {SizeFor(200*mib, 512, mirrorOptions) - 1, func(o *Options) { o.MinRoot = 200 * mib }},
	} {
		o := mirrorOptions
		test.change(&o)
		if _, err := NewLayout(test.size, 512, o); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v, want %q", err, want)
		}
	}
	o := mirrorOptions
	o.MinRoot = 200 * mib
	l, err := NewLayout(SizeFor(200*mib, 512, mirrorOptions), 512, o)
	if err != nil || l.Root.Room() < 200*mib || l.Other.Room() < 200*mib {
		t.Errorf("the smallest disk has %+v (%v)", l, err)
	}
	if _, err := l.Second(l.Size - 1); err == nil {
		t.Error("a disk that is too small becomes the second one")
	}
	parts, devices := [2]Partition{l.Root, l.Other}, [2]Device{newImage(t, l.Size), newImage(t, l.Size)}
	if err := Mirror(parts, devices, "x", "test", time.Unix(1000, 0)); err == nil {
		t.Error("partitions of two mirrors become one")
	}
}
