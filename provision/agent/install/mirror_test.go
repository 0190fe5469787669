package install

import (
	"bytes"
	"context"
	"errors"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/disk"
	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/md"
	"cloudlets/images/disk/probe"
	"cloudlets/images/disk/slots"
	"cloudlets/images/target"
	"cloudlets/provision"
)

// TestAgreed: which state counts if power was cut while it was written to both disks.
func TestAgreed(t *testing.T) {
	a, b := slots.Accepted(slots.A), slots.Accepted(slots.B)
	onTrial, failed := a.OnTrial(), slots.State{Good: slots.A, Trial: slots.B}
	back := slots.State{Good: slots.B, Trial: slots.A, Left: 3}
	for name, test := range map[string]struct {
		states [2]slots.State
		want   slots.State
	}{
		"the same":                   {[2]slots.State{a, a}, a},
		"put on trial on the second": {[2]slots.State{a, onTrial}, a},
		"failed on the first":        {[2]slots.State{failed, onTrial}, failed},
		"accepted on the second":     {[2]slots.State{onTrial, b}, b},
		"accepted on the first":      {[2]slots.State{b, onTrial}, b},
		"accepted after a roll-back": {[2]slots.State{back, a}, a},
	} {
		if got := agreed(test.states); got != test.want {
			t.Errorf("%s: got %+v, want %+v", name, got, test.want)
		}
	}
}

func TestMirrorName(t *testing.T) {
	for host, want := range map[string]string{"node1": "node1:mirror-a", "node1.example.org": "node1:mirror-a", "": ":mirror-a",
		strings.Repeat("n", 40): strings.Repeat("n", 23) + ":mirror-a"} {
		if got := mirrorName(host, "mirror-a"); got != want || len(got) > md.MaxName {
			t.Errorf("%q: got %q, want %q", host, got, want)
		}
	}
}

// mirrorBed is a bed whose system goes to two disks.
func mirrorBed(t *testing.T) (*bed, [2]*loopDisk) {
	t.Helper()
	b := newPersistentBed(t, target.Options{Slots: true, Mirror: true, Persistent: 96 << 20})
	disks := [2]*loopDisk{newLoopDisk(t, b.dir, diskSize), newLoopDisk(t, b.dir, diskSize+8<<20)}
	b.use(t, disks[0], disks[1])
	b.job.Plan.RAMDisk = b.server.put("/mirror.img", noise(9, 1<<20))
	return b, disks
}

// have writes the tables, the superblocks and a state of the slots of an earlier install to
// some disks.
func have(t *testing.T, seed string, disks ...*loopDisk) {
	t.Helper()
	first, err := disk.NewLayout(diskSize, 512, disk.Options{Seed: seed, Slots: true, Mirror: true, Persistent: 96 << 20})
	if err != nil {
		t.Fatal(err)
	}
	second := must[disk.Layout](t)(first.Second(diskSize + 8<<20))
	layouts := [2]disk.Layout{first, second}
	for n, d := range disks {
		f := must[*os.File](t)(os.OpenFile(d.device, os.O_RDWR, 0))
		l := layouts[n]
		table := must[disk.Table](t)(l.Table())
		f.WriteAt(table.First, 0)
		f.WriteAt(table.Backup, table.BackupOffset)
		for _, p := range []disk.Partition{l.Root, l.Other, l.Persistent} {
			id := md.Identity{ID: uuid.MustParse(p.Array), Name: p.Name, Created: time.Unix(1000, 0), Devices: []uuid.UUID{{1}, {2}}}
			members := must[[]md.Member](t)(md.Mirror(id, []int64{p.Size, p.Size}))
			if err := md.Write(offsetFile{f, p.Offset}, p.Size, members[n]); err != nil {
				t.Fatal(err)
			}
		}
		err := fat.Write(t.Context(), offsetFile{f, l.ESP.Offset}, l.ESP.Size, fat.Options{}, []fat.File{fat.Bytes(slots.Path, slots.Accepted(slots.B).Block())})
		if err := errors.Join(err, f.Close()); err != nil {
			t.Fatal(err)
		}
	}
}

// overwrite puts ones over a part of the disk of have's second layout.
func (d *loopDisk) overwrite(t *testing.T, part func(disk.Layout) (offset, length int64)) {
	t.Helper()
	f := must[*os.File](t)(os.OpenFile(d.device, os.O_RDWR, 0))
	defer f.Close()
	at, length := part(must[disk.Layout](t)(disk.FindMirror(f, d.info.Size, 512)))
	if _, err := f.WriteAt(bytes.Repeat([]byte{1}, int(length)), at); err != nil {
		t.Fatal(err)
	}
}

// ran changes the superblocks of a disk to those of one whose good slot, B, has run without the
// other disk.
func (d *loopDisk) ran(t *testing.T, events uint64) {
	t.Helper()
	for _, part := range []func(disk.Layout) disk.Partition{
		func(l disk.Layout) disk.Partition { return l.Other }, func(l disk.Layout) disk.Partition { return l.Persistent },
	} {
		d.change(t, part, func(m *md.Member) {
			m.Events = events
			m.Roles[1-m.Number] = md.Faulty
		})
	}
}

// change changes the superblock of a partition.
func (d *loopDisk) change(t *testing.T, part func(disk.Layout) disk.Partition, to func(*md.Member)) {
	t.Helper()
	f := must[*os.File](t)(os.OpenFile(d.device, os.O_RDWR, 0))
	defer f.Close()
	p := part(must[disk.Layout](t)(disk.FindMirror(f, d.info.Size, 512)))
	m := must[md.Member](t)(p.Member(f))
	to(&m)
	if err := md.Write(offsetFile{f, p.Offset}, p.Size, m); err != nil {
		t.Fatal(err)
	}
}

// unfinish leaves a disk as power that is cut during the last writes to it does: it has the
// backup of its partition table.
func (d *loopDisk) unfinish(t *testing.T) {
	t.Helper()
	f := must[*os.File](t)(os.OpenFile(d.device, os.O_RDWR, 0))
	defer f.Close()
	if _, err := f.WriteAt(probe.Unfinished(), 0); err != nil {
		t.Fatal(err)
	}
}

// leave leaves a disk as an install does that breaks off while it makes it a part of a mirror.
func (d *loopDisk) leave(t *testing.T) {
	t.Helper()
	f := must[*os.File](t)(os.OpenFile(d.device, os.O_RDWR, 0))
	defer f.Close()
	l := must[disk.Layout](t)(disk.FindMirror(f, d.info.Size, 512))
	l.Kept = false
	if err := disk.NewPartInstaller(f, l).Undo(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestDiskThatWasAway: the other one counts, whichever comes first, and a person hears what of
// the one that was away is lost.
func TestDiskThatWasAway(t *testing.T) {
	b, disks := mirrorBed(t)
	var told provision.Proposal
	b.job.Propose = func(_ context.Context, p provision.Proposal) error {
		told = p
		return errors.New("called off")
	}
	notices := func(want bool) {
		t.Helper()
		text := "the disk " + disks[0].info.Name + " was away: what stays is copied to it from " + disks[1].info.Name
		if got := slices.Contains(told.Notices, text); got != want {
			t.Errorf("the plan's notices are %q", told.Notices)
		}
	}
	have(t, "one", disks[:]...)
	b.wantFailure(t, "called off")
	notices(false)
	disks[1].ran(t, 9)
	b.wantFailure(t, "called off")
	if notices(true); told.Lost != "what is in slot A" {
		t.Errorf("of a disk that was only away, lost is %q", told.Lost)
	}
	disks[0].ran(t, 8)
	b.wantFailure(t, "called off")
	if notices(true); told.Lost != "what is in slot A, and what the disk "+disks[0].info.Name+" wrote while it was alone" {
		t.Errorf("of a disk that ran alone, lost is %q", told.Lost)
	}
}

// TestDiskIsMadeFromScratch: an install makes a disk from scratch that lacks data or the good
// slot, or that no kernel finds, and leaves one as it is that lacks only what is written anew.
func TestDiskIsMadeFromScratch(t *testing.T) {
	other := func(l disk.Layout) disk.Partition { return l.Other } // slot B, which is good
	bad := func(l disk.Layout) disk.Partition { return l.Root }
	data := func(l disk.Layout) disk.Partition { return l.Persistent }
	alone := func(m *md.Member) {
		m.Events = 9
		m.Roles[1-m.Number] = md.Faulty
	}
	for name, test := range map[string]struct {
		there  func(*testing.T, [2]*loopDisk)
		remade int // -1 is none
		why    string
	}{
		"both are whole":          {func(t *testing.T, d [2]*loopDisk) {}, -1, ""},
		"one lacks the bad slot":  {func(t *testing.T, d [2]*loopDisk) { d[0].change(t, bad, alone) }, -1, ""},
		"one lacks data":          {func(t *testing.T, d [2]*loopDisk) { d[1].change(t, data, alone) }, 0, wasAway},
		"one lacks the good slot": {func(t *testing.T, d [2]*loopDisk) { d[0].change(t, other, alone) }, 1, wasAway},
		"each lacks something":    {func(t *testing.T, d [2]*loopDisk) { d[0].change(t, data, alone); d[1].change(t, other, alone) }, 1, wasAway},
		"one was not completed":   {func(t *testing.T, d [2]*loopDisk) { d[0].unfinish(t) }, 0, isNotFound},
		"one that came back is of an old slot": {func(t *testing.T, d [2]*loopDisk) {
			d[0].change(t, data, alone)
			d[0].change(t, other, func(m *md.Member) { m.ID[0]++ })
		}, 1, wasAway},
		"an install left one": {func(t *testing.T, d [2]*loopDisk) { d[0].leave(t) }, 0, wasLeft},
	} {
		t.Run(name, func(t *testing.T) {
			b, disks := mirrorBed(t)
			have(t, "one", disks[:]...)
			test.there(t, disks)
			i, err := newInstaller(t.Context(), b.job)
			if err != nil {
				t.Fatal(err)
			}
			defer i.closeDisks()
			want := ""
			if test.remade >= 0 {
				want = disks[test.remade].info.Name
			}
			if i.newDisk != want || i.newWhy != test.why || i.update == nil || i.update.Good != slots.B {
				t.Errorf("the disk %q is made from scratch, as it %q, and the state is %+v; want %q, %q", i.newDisk, i.newWhy, i.update, want, test.why)
			}
		})
	}
}

// TestAwaitFilled: the good slot is waited for while it is copied, and not if nothing moves or a
// disk fails.
func TestAwaitFilled(t *testing.T) {
	const size = 100
	state := md.State{Places: 2, Active: 1, Filling: 1}
	for name, test := range map[string]struct {
		at   func(n int) md.State // at the n-th look
		says []string
	}{
		"it is whole": {func(int) md.State { return md.State{Places: 2, Active: 2} }, nil},
		"it is copied for hours": {func(n int) md.State {
			s := state
			if s.Copied = int64(n / 1000); s.Copied >= size {
				s = md.State{Places: 2, Active: 2}
			}
			return s
		}, nil},
		"nothing moves": {func(int) md.State { return md.State{Places: 2, Active: 1, Filling: 1, Copied: 7} }, []string{"for 15m", "after 7 B of 100 B", "install again"}},
		"the disk fails": {func(n int) md.State {
			if n < 100 {
				return state
			}
			return md.State{Places: 2, Active: 1, Failed: []string{"sdb5"}}
		}, []string{"has lost the disk sdb"}},
	} {
		synctest.Test(t, func(t *testing.T) {
			const file = "/dev/md105"
			i := &installer{disk: provision.DiskInfo{Name: "sda"}, second: &member{disk: provision.DiskInfo{Name: "sdb"}}, arrays: map[int]string{5: file}}
			progress := 0
			i.Report = func(e provision.Event) {
				if e.Kind == provision.KindProgress {
					progress++
				}
			}
			looks := 0
			err := i.awaitFilled(t.Context(), file, size, func(string) (md.State, error) {
				looks++
				return test.at(looks), nil
			})
			if len(test.says) > 0 {
				wantError(t, err, test.says...)
			} else if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			if looks > 2 && progress == 0 {
				t.Errorf("%s: after %d looks, no progress was told", name, looks)
			}
		})
	}
	ctx, stop := context.WithCancel(t.Context())
	stop()
	i := &installer{}
	if err := i.awaitFilled(ctx, "/dev/md105", size, func(string) (md.State, error) { return state, nil }); !errors.Is(err, context.Canceled) {
		t.Errorf("when it is called off: %v", err)
	}
}

type offsetFile struct {
	f  *os.File
	at int64
}

func (o offsetFile) WriteAt(p []byte, off int64) (int, error) { return o.f.WriteAt(p, o.at+off) }

// TestMirrorIsRefused: unless both disks may be written, none is.
func TestMirrorIsRefused(t *testing.T) {
	for name, test := range map[string]struct {
		there func(*testing.T, *bed, [2]*loopDisk)
		says  []string
	}{
		"one disk is missing": {func(t *testing.T, b *bed, d [2]*loopDisk) { b.job.Inventory.Disks = b.job.Inventory.Disks[:1] }, []string{"a mirror takes two disks", "and 1 do"}},
		"there is a third": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			b.job.Inventory.Disks = append(b.job.Inventory.Disks, provision.DiskInfo{Name: "sdz", Size: diskSize})
		}, []string{"and 3 do"}},
		"something is on the second": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", "-L", "precious", d[1].device)
		}, []string{"not empty", "precious", "--wipe"}},
		"only one has the mirror, and the other is not empty": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[0])
			tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", "-L", "precious", d[1].device)
		}, []string{"has the machine's mirror", "not empty", "precious", "--wipe"}},
		"a new disk is too small": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[0])
			small := newLoopDisk(t, b.dir, diskSize-16<<20)
			b.job.Inventory.Disks[1] = small.info
		}, []string{"too small for the mirror on", "needs"}},
		"beside a new disk, the other one has only a part": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[0])
			d[0].change(t, func(l disk.Layout) disk.Partition { return l.Persistent }, func(m *md.Member) { m.Roles[m.Number] = md.Spare })
		}, []string{"has only a part of the machine's system or data", "is new"}},
		"beside a new disk, the other one was not completed": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[0])
			d[0].unfinish(t)
		}, []string{"has no whole partition table", "--wipe"}},
		"neither disk was completed": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			d[0].unfinish(t)
			d[1].unfinish(t)
		}, []string{"has no whole partition table", "--wipe"}},
		"the disk that was not completed has what is latest": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			d[1].ran(t, 9)
			d[1].unfinish(t)
		}, []string{"has no whole partition table", "from its backup"}},
		"the disk that was not completed is of another mirror": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			have(t, "another", d[1])
			d[1].unfinish(t)
		}, []string{"is of another mirror"}},
		"both disks are as installs left them that broke off": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			d[0].leave(t)
			d[1].leave(t)
		}, []string{"not empty", "a part of a mirror that an install did not complete", "--wipe"}},
		"an install left a part of another mirror": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			have(t, "another", d[1])
			d[1].leave(t)
		}, []string{"has data of another mirror"}},
		"a roll-back finds a disk that was not completed": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			d[1].unfinish(t)
			b.job.Plan.Rollback = "a"
		}, []string{"go back to the system before", "is no part of the machine's mirror"}},
		"a roll-back finds a new disk": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[0])
			b.job.Plan.Rollback = "a"
		}, []string{"go back to the system before", "is no part of the machine's mirror"}},
		"each is of another mirror": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			have(t, "another", d[0])
		}, []string{"are not of one mirror"}},
		"one disk does not know which slot is good": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			d[1].overwrite(t, func(l disk.Layout) (int64, int64) { return l.ESP.Offset, 1 << 20 })
		}, []string{"does not say which of its systems is good", "copy the partition 2 of"}},
		"one disk has lost a superblock": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			d[1].overwrite(t, func(l disk.Layout) (int64, int64) { return l.Persistent.Offset + l.Persistent.Size - 64<<10, 64 << 10 })
		}, []string{"mirror-data", "no superblock that can be read"}},
		"the image is too large": {func(t *testing.T, b *bed, d [2]*loopDisk) {
			have(t, "one", d[:]...)
			b.job.Plan.Target.RootSize = diskSize
		}, []string{"slot A has", "use a smaller image"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, disks := mirrorBed(t)
			test.there(t, b, disks)
			before := [2]string{hashFile(t, disks[0].file), hashFile(t, disks[1].file)}
			b.wantFailure(t, append(test.says, "nothing was written")...)
			if now := [2]string{hashFile(t, disks[0].file), hashFile(t, disks[1].file)}; now != before {
				t.Error("a disk that was refused has changed")
			}
		})
	}
}

// TestMirrorIsProposed: a person hears of both disks before anything is written, of a new
// mirror and of an update.
func TestMirrorIsProposed(t *testing.T) {
	b, disks := mirrorBed(t)
	var told provision.Proposal
	b.job.Propose = func(_ context.Context, p provision.Proposal) error {
		told = p
		return errors.New("called off")
	}
	b.wantFailure(t, "called off", "nothing was written")
	if told.Disk.Name != disks[0].info.Name || told.Second == nil || told.Second.Name != disks[1].info.Name || told.Lost != "" || len(told.Layout) != 5 {
		t.Errorf("the plan for new disks is %s", told)
	}
	have(t, "one", disks[0])
	b.wantFailure(t, "called off", "nothing was written")
	text := "the disk " + disks[1].info.Name + " is new, and takes the place of the one that was in the mirror: what stays is copied to it from " + disks[0].info.Name
	if told.Lost != "what is in slot A" || !slices.Contains(told.Notices, text) {
		t.Errorf("the plan for a disk that was replaced is %s, with the notices %q", told, told.Notices)
	}
	have(t, "one", disks[:]...)
	b.wantFailure(t, "called off")
	kept := 0
	for _, p := range told.Layout {
		if p.Kept {
			kept++
		}
	}
	if told.Lost != "what is in slot A" || kept != 4 || told.Second == nil {
		t.Errorf("the plan for an update is %s", told)
	}
	b.job.Plan.Wipe = true
	b.wantFailure(t, "called off")
	for _, d := range disks {
		if !strings.Contains(told.Lost, "on "+d.info.Name+": ") {
			t.Errorf("what is lost is %q", told.Lost)
		}
	}
}

// TestWholeMirrors: no disk becomes bootable that the kernel has dropped from a mirror.
func TestWholeMirrors(t *testing.T) {
	i := &installer{disk: provision.DiskInfo{Name: "sda"}, second: &member{disk: provision.DiskInfo{Name: "nvme0n1"}}, arrays: map[int]string{3: "/dev/md103", 4: "/dev/md104"}}
	whole := md.State{Level: 1, Places: 2, Active: 2}
	for name, test := range map[string]struct {
		data md.State
		says []string // nothing: it is whole
	}{
		"both":                   {whole, nil},
		"one is being filled":    {md.State{Places: 2, Active: 1, Filling: 1}, nil},
		"the first was dropped":  {md.State{Places: 2, Active: 1, Failed: []string{"sda4"}}, []string{"md104", "the disk sda"}},
		"the second was dropped": {md.State{Places: 2, Active: 1, Failed: []string{"nvme0n1p4"}}, []string{"md104", "the disk nvme0n1"}},
		"one is gone":            {md.State{Places: 2, Active: 1}, []string{"md104", "one of the disks sda and nvme0n1"}},
	} {
		err := i.wholeMirrors(func(file string) (md.State, error) {
			if file == "/dev/md104" {
				return test.data, nil
			}
			return whole, nil
		})
		if len(test.says) > 0 {
			wantError(t, err, test.says...)
		} else if err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	err := i.wholeMirrors(func(string) (md.State, error) { return md.State{}, errors.New("no such array") })
	wantError(t, err, "no such array")
}
