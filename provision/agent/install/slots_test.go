package install

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk"
	"cloudlets/images/disk/slots"
	"cloudlets/images/target"
	"cloudlets/provision"
	"cloudlets/provision/trial"
)

// slotsBed is a bed with a disk that gets two slots and a persistent partition.
func slotsBed(t *testing.T) (*bed, *loopDisk) {
	t.Helper()
	b := newPersistentBed(t, target.Options{Slots: true, Persistent: 96 << 20})
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	return b, d
}

// state is that of the disk's slots, and its layout.
func (d *loopDisk) state(t *testing.T) (slots.State, disk.Layout) {
	t.Helper()
	f := must[*os.File](t)(os.Open(d.device))
	defer f.Close()
	l := must[disk.Layout](t)(disk.FindSlots(f, d.info.Size, 512))
	return must[slots.State](t)(slots.Read(f, l.ESP.Offset)), l
}

// TestUpdate writes the slot beside the good one, fetches what that has not, and leaves
// all else as it is.
func TestUpdate(t *testing.T) {
	b, d := slotsBed(t)
	first := b.install(t)
	state, layout := d.state(t)
	if state != slots.Accepted(slots.A) || first.Report.Slot != "a" || first.Beside {
		t.Errorf("after the first install the state is %+v, and the result %+v", state, first)
	}
	wantPreinit(t, b.job.Target)
	precious, old := filepath.Join(b.dir, "persistent"), filepath.Join(b.job.Target, "etc/of-the-old-system")
	if err := errors.Join(os.WriteFile(old, nil, 0o600), Unmount(b.job.Target), mountRoot(d.device+"p4", precious, "ext4"),
		os.WriteFile(filepath.Join(precious, "precious"), []byte("data"), 0o600), Unmount(precious)); err != nil {
		t.Fatal(err)
	}
	b.job.Inventory.Disks[0].Contents = d.contents(t)

	tree := tinyTree(t)
	write(t, tree, "/etc/new", []byte("of the next version\n"), 0o644)
	next := packOf(t, tree)
	b.job.Plan.Pack = b.server.putPack("/next", next)
	b.job.Plan.Target = tinyPlan(t, target.Options{Slots: true, Persistent: 96 << 20})
	b.job.Plan.ImageManifest = []byte(`{"persistent": ["/srv"]}`) // that of the first has none
	var told provision.Proposal
	b.job.Propose = func(_ context.Context, p provision.Proposal) error {
		told = p
		return nil
	}
	b.job.Permit = func(context.Context, string) error { return errors.New("called off") }
	b.wantFailure(t, "called off")
	if told.Lost != "what is in slot B" || !strings.Contains(told.String(), "what is in slot B; /srv will be persistent: ") {
		t.Errorf("the update is told as %s", told)
	}
	if now, _ := d.state(t); now != state {
		t.Errorf("an update that failed leaves %+v", now)
	}
	b.job.Permit = nil
	second := b.install(t)
	now, after := d.state(t)
	if want := state.OnTrial(); now != want || second.Report.Slot != "b" || !second.Beside {
		t.Errorf("after the update the state is %+v, want %+v; the result is %+v", now, want, second)
	}
	if after != layout {
		t.Errorf("the layout is %+v, and was %+v", after, layout)
	}
	if most := next.info.Size - second.Stats.Copied; second.Stats.Copied == 0 || most > 2<<20 {
		t.Errorf("%d of %d bytes were copied", second.Stats.Copied, next.info.Size)
	}
	wantTree(t, b.job.Target, tree, map[string]bool{"/etc/hostname": true, "/etc": true, "/.cloudlet": true, "/": true, "/srv": true, "/etc/secret": true,
		"/boot/vmlinuz-6.1.0-test": true, "/boot/initrd.img-6.1.0-test": true}) // these have a second name
	for i, name := range []string{"vmlinuz-6.1.0-test", "initrd.img-6.1.0-test"} {
		there, err := os.Stat(filepath.Join(b.job.Target, "boot", name))
		second, err2 := os.Stat(filepath.Join(b.job.Target, fmt.Sprintf(".cloudlet/slot/%d-%s", i, name)))
		if err != nil || err2 != nil || !os.SameFile(there, second) {
			t.Errorf("the boot loader's %s is another file (%v, %v)", name, err, err2)
		}
	}
	if err := errors.Join(Unmount(b.job.Target), mountRoot(d.device+"p3", b.job.Target, "ext4"), mountRoot(d.device+"p4", precious, "ext4")); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(old); err != nil {
		t.Errorf("the old system is not as it was: %v", err)
	}
	got, err := os.ReadFile(filepath.Join(precious, "precious"))
	if err := errors.Join(err, Unmount(precious), Unmount(b.job.Target)); err != nil || string(got) != "data" {
		t.Errorf("the data are %q (%v)", got, err)
	}
	for _, part := range []string{"p3", "p4", "p5"} {
		tool(t, "e2fsprogs", "e2fsck", "-f", "-n", d.device+part)
	}
}

// TestRollback puts the other slot on trial, and writes nothing else.
func TestRollback(t *testing.T) {
	b, d := slotsBed(t)
	b.install(t)
	if err := Unmount(b.job.Target); err != nil {
		t.Fatal(err)
	}
	b.job.Plan.Rollback = "b"
	b.wantFailure(t, "go back to the system in slot B", "nothing was written")
	b.job.Plan.Rollback = ""
	b.install(t)
	if err := Unmount(b.job.Target); err != nil {
		t.Fatal(err)
	}
	_, layout := d.state(t)
	b.job.Plan.Rollback = "a"
	result := b.install(t)
	if now, after := d.state(t); now != slots.Accepted(slots.A) || after != layout || !result.Rollback || result.Report.Slot != "a" {
		t.Errorf("after going back to the good slot the state is %+v, and the result %+v", now, result)
	}
	b.job.Plan.Rollback = "b"
	b.install(t)
	if now, _ := d.state(t); now != slots.Accepted(slots.A).OnTrial() {
		t.Errorf("after going back to slot B the state is %+v", now)
	}
}

// An update in place leaves the partitions that the kernel knows, as the system runs from one
// of them, and writes nothing where that is not the good one, or more than a slot would
// change.
func TestUpdateInPlace(t *testing.T) {
	b, d := slotsBed(t)
	b.install(t)
	state, _ := d.state(t)
	if err := errors.Join(Unmount(b.job.Target), mountRoot(d.device+"p3", filepath.Join(b.dir, "running"), "ext4")); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = Unmount(filepath.Join(b.dir, "running")) })
	b.job.Inventory.Disks[0].Contents = d.contents(t)
	b.wantFailure(t, "it is in use")

	running := &trial.Disk{File: d.device, Slot: slots.B}
	b.job.Running = running
	b.wantFailure(t, "this system is in slot B, and slot A has the good one")
	running.Slot, running.File = slots.A, "/dev/none"
	b.wantFailure(t, "this system was started from /dev/none")
	running.File, running.Mirror = d.device, "/dev/none"
	b.wantFailure(t, "a mirror")
	running.Mirror, b.job.Plan.Wipe = "", true
	b.wantFailure(t, "armed with --wipe")
	b.job.Plan.Wipe = false
	other := filepath.Join(b.dir, "other")
	tool(t, "e2fsprogs", "mke2fs", "-q", d.device+"p5")
	if err := mountRoot(d.device+"p5", other, "ext4"); err != nil {
		t.Fatal(err)
	}
	b.wantFailure(t, "slot B is in use, unmount it")
	if err := Unmount(other); err != nil {
		t.Fatal(err)
	}
	b.job.Permit = func(context.Context, string) error { return errors.New("called off") }
	b.wantFailure(t, "called off")
	if now, _ := d.state(t); now != state {
		t.Errorf("what was refused leaves %+v", now)
	}
	b.job.Permit = nil
	result := b.install(t)
	now, _ := d.state(t)
	if now != state.OnTrial() || result.Report.Slot != "b" || !result.Beside {
		t.Errorf("after the update the state is %+v, and the result %+v", now, result)
	}
	if err := result.Undo(); err != nil {
		t.Fatal(err)
	}
	if now, _ := d.state(t); now != state {
		t.Errorf("an update that is undone leaves %+v", now)
	}
	if !mounted(filepath.Join(b.dir, "running")) {
		t.Error("the running system was unmounted")
	}
}
