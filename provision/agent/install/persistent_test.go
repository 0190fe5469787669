package install

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/target"
	"cloudlets/provision"
)

// newPersistentBed is a bed whose plan has more than an image: a partition for
// what outlives it, and a system that grows.
func newPersistentBed(t *testing.T, o target.Options) *bed {
	t.Helper()
	b := newBed(t)
	b.job.Plan.Target, b.job.Plan.Init = tinyPlan(t, o), target.PreinitPath
	b.job.Program = filepath.Join(b.dir, "program")
	if err := os.WriteFile(b.job.Program, []byte("this program"), 0o600); err != nil {
		t.Fatal(err)
	}
	return b
}

// TestInstallWithPersistentAndGrow: what the plan has beside the image is on
// the disk, and the boot menu starts the system with it.
func TestInstallWithPersistentAndGrow(t *testing.T) {
	b := newPersistentBed(t, target.Options{Grow: true, Persistent: 96 << 20})
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	result := b.install(t)
	wantPreinit(t, b.job.Target)
	if err := Unmount(b.job.Target); err != nil {
		t.Fatal(err)
	}
	if out := tool(t, "gdisk", "sgdisk", "--verify", d.device); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk says: %s", out)
	}
	for _, part := range []string{"p3", "p4"} {
		tool(t, "e2fsprogs", "e2fsck", "-f", "-n", d.device+part)
	}
	if label := tool(t, "util-linux", "blkid", "--probe", "--output", "value", "--match-tag", "LABEL", d.device+"p4"); label != "persistent" {
		t.Errorf("the filesystem of the persistent partition is called %q", label)
	}
	if p := d.persistent(t); p.Size != 96<<20 || p.Number != 4 {
		t.Errorf("the persistent partition is %+v", p)
	}
	words := "init=" + target.PreinitPath + " " + target.GrowWord + " " + target.PersistentWord
	if !strings.HasSuffix(result.Kernel.Cmdline, " rw quiet "+words) {
		t.Errorf("the kernel's command line is %q", result.Kernel.Cmdline)
	}
	if entry := espFile(t, d, "loader/entries/cloudlet-0-6.1.0-test.conf"); !bytes.Contains(entry, []byte(words)) {
		t.Errorf("the boot entry is:\n%s", entry)
	}
}

// wantPreinit looks for the files that a system takes to start with this
// program, and whether the image's own are as they were.
func wantPreinit(t *testing.T, root string) {
	t.Helper()
	name := root + target.PreinitPath
	if got, err := os.ReadFile(name); err != nil || string(got) != "this program" {
		t.Errorf("%s is %q (%v)", target.PreinitPath, got, err)
	}
	if info, err := os.Stat(name); err != nil || info.Mode().Perm() != 0o755 {
		t.Errorf("%s: %v, %v", target.PreinitPath, info, err)
	}
	for _, dir := range []string{target.PersistentDir, "/var/new", "/dev", "/proc", "/sys", "/run"} {
		if info, err := os.Stat(root + dir); err != nil || !info.IsDir() || info.Mode().Perm() != 0o755 {
			t.Errorf("%s: %v, %v", dir, info, err)
		}
	}
	wantOverlay(t, root)
}

// persistent is the disk's persistent partition, by its partition table.
func (d *loopDisk) persistent(t *testing.T) disk.Partition {
	t.Helper()
	f := must[*os.File](t)(os.Open(d.device))
	defer f.Close()
	return must[disk.Partition](t)(disk.FindPersistent(f, d.info.Size, 512))
}

// TestInstallKeepsWhatIsPersistent over another install, and also where that
// one fails.
func TestInstallKeepsWhatIsPersistent(t *testing.T) {
	b := newPersistentBed(t, target.Options{Persistent: 96 << 20})
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	b.install(t)
	mount := filepath.Join(b.dir, "persistent")
	err := errors.Join(Unmount(b.job.Target), mountRoot(d.device+"p4", mount, "ext4"),
		os.WriteFile(filepath.Join(mount, "precious"), []byte("data"), 0o600), Unmount(mount))
	if err != nil {
		t.Fatal(err)
	}
	before := d.persistent(t)

	b.job.Plan.Target = tinyPlan(t, target.Options{KeepFound: true})
	b.job.Plan.Wipe = true
	b.job.Propose = func(_ context.Context, p provision.Proposal) error {
		if last := p.Layout[len(p.Layout)-1]; !last.Kept || last.Filesystem != "" || !strings.Contains(p.Lost, "which is kept") {
			t.Errorf("the plan does not say what is kept: %s", p)
		}
		return nil
	}
	b.job.Permit = func(context.Context, string) error { return errors.New("called off") } // all but the last write is done
	b.wantFailure(t, "called off")
	if now := d.persistent(t); now != before {
		t.Errorf("after an install that failed, the partition is %+v, and was %+v", now, before)
	}
	b.job.Permit = nil
	b.install(t)
	if now := d.persistent(t); now != before {
		t.Errorf("the partition is %+v, and was %+v", now, before)
	}
	if err := errors.Join(Unmount(b.job.Target), mountRoot(d.device+"p4", mount, "ext4")); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(filepath.Join(mount, "precious"))
	if err := errors.Join(err, Unmount(mount)); err != nil || string(got) != "data" {
		t.Errorf("the data are %q (%v)", got, err)
	}
}

// TestInstallKeepsNothing: there is no partition to keep, which is said before
// anything is written.
func TestInstallKeepsNothing(t *testing.T) {
	b := newPersistentBed(t, target.Options{KeepFound: true})
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	b.wantFailure(t, d.info.Name, "look for a persistent partition", "nothing was written")
	d.wantUnbootable(t)
}

// TestInstallForSecureBoot: the plan says how firmware gets to the kernel, and
// a kernel that it would refuse is found out before the disk boots.
func TestInstallForSecureBoot(t *testing.T) {
	b := newPersistentBed(t, target.Options{SecureBoot: bootloader.SecureBoot{Shim: true}})
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	b.wantFailure(t, "is not signed, and Secure Boot would refuse it")
	d.wantUnbootable(t)
}
