package install

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/provision"
)

func TestInstallMakesADiskThatBoots(t *testing.T) {
	b, tree := newBed(t), tinyTree(t)
	b.job.Plan.Pack = b.server.putPack("/pack", packOf(t, tree))
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	given := b.job.Plan.Target.Entries[0].Cmdline
	result := b.install(t)

	wantTree(t, b.job.Target, tree, map[string]bool{"/etc/hostname": true, "/etc": true, "/.cloudlet": true}) // the overlay's
	wantOverlay(t, b.job.Target)
	if b.job.Plan.Target.Entries[0].Cmdline != given {
		t.Error("the install changed the caller's plan")
	}
	if result.Disk.Name != d.info.Name || result.Stats.Entries == 0 {
		t.Errorf("the result is %+v", result)
	}
	wantStages(t, b.events)
	if err := Unmount(b.job.Target); err != nil {
		t.Fatal(err)
	}
	wantSoundDisk(t, d, result)
}

func wantOverlay(t *testing.T, root string) {
	t.Helper()
	for name, want := range map[string]string{
		"/etc/hostname": "node1\n", "/etc/secret": "rendered\n", "/.cloudlet/applied_config": `{"args":{}}`,
	} {
		if got, err := os.ReadFile(root + name); err != nil || string(got) != want {
			t.Errorf("%s is %q (%v), want %q", name, got, err, want)
		}
	}
	var st unix.Stat_t
	if err := unix.Lstat(root+"/etc/secret", &st); err != nil || st.Uid != 12 || st.Gid != 34 || st.Mode&0o7777 != 0o640 {
		t.Errorf("/etc/secret: owner %d:%d, mode %o (%v)", st.Uid, st.Gid, st.Mode, err)
	}
}

func wantStages(t *testing.T, events []provision.Event) {
	t.Helper()
	var stages []string
	for _, e := range events {
		if e.Kind == provision.KindStage {
			stages = append(stages, string(e.Stage))
		}
		if e.MAC != testMAC {
			t.Errorf("an event is of %q: %+v", e.MAC, e)
		}
	}
	if got := strings.Join(stages, " "); got != "partition stream configure verify bootable" {
		t.Errorf("the stages are %s", got)
	}
	if first := events[0]; first.Kind != provision.KindLog || !strings.Contains(first.Text, "will write") {
		t.Errorf("before anything is written, the machine should say what it will do; it says %q", first.Text)
	}
}

// wantSoundDisk asks the tools of others what they think of the disk.
func wantSoundDisk(t *testing.T, d *loopDisk, result Result) {
	t.Helper()
	if out := tool(t, "gdisk", "sgdisk", "--verify", d.device); !strings.Contains(out, "No problems found") {
		t.Errorf("sgdisk says: %s", out)
	}
	if out := tool(t, "e2fsprogs", "e2fsck", "-f", "-n", d.device+"p3"); strings.Contains(out, "? no") || strings.Contains(out, "IGNORED") {
		t.Errorf("e2fsck would mend something:\n%s", out)
	}
	tool(t, "dosfstools", "fsck.vfat", "-n", d.device+"p2")
	id := tool(t, "util-linux", "blkid", "--probe", "--output", "value", "--match-tag", "UUID", d.device+"p3")
	if want := "root=UUID=" + id + " rw quiet"; result.Kernel.Cmdline != want {
		t.Errorf("the kernel's command line is %q, want %q", result.Kernel.Cmdline, want)
	}
	entry := espFile(t, d, "loader/entries/cloudlet-0-6.1.0-test.conf")
	if !bytes.Contains(entry, []byte("options root=UUID="+id+" rw quiet")) {
		t.Errorf("the boot entry is:\n%s", entry)
	}
	for name, want := range map[string][]byte{
		"EFI/BOOT/BOOTX64.EFI":           loaders()[bootloader.SystemdAMD64],
		"cloudlet/6.1.0-test/vmlinuz":    noise(1, 300<<10),
		"cloudlet/6.1.0-test/initrd.img": noise(2, 500<<10),
	} {
		if got := espFile(t, d, name); !bytes.Equal(got, want) {
			t.Errorf("%s on the ESP has %d bytes, and not the %d that it should", name, len(got), len(want))
		}
	}
}

func espFile(t *testing.T, d *loopDisk, name string) []byte {
	t.Helper()
	cmd := exec.Command(findTool(t, "mtools", "mcopy"), "-n", "-i", d.device+"p2", "::"+name, "-")
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		t.Errorf("mcopy %s: %v: %s", name, err, said.String())
	}
	return out
}

func TestInstallOverAnotherSystem(t *testing.T) {
	b := newBed(t)
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	tool(t, "gdisk", "sgdisk", "--new=1:2048:+64M", "--new=5:0:+64M", d.device)
	tool(t, "mount", "losetup", "--set-capacity", d.device)
	tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", "-L", "precious", "-E", "offset=1048576", d.device, "65536k")
	b.job.Inventory.Disks[0].Contents = d.contents(t)
	before := hashFile(t, d.file)

	b.wantFailure(t, d.info.Name, "not empty", "precious", "cloudlets install "+string(testMAC)+" --wipe", "nothing was written")
	b.job.Inventory.Disks[0].Contents = "" // as if it had been put in since
	b.wantFailure(t, "not empty", "precious")
	if hashFile(t, d.file) != before {
		t.Fatal("a disk that was refused has changed")
	}

	b.job.Plan.Wipe = true
	result := b.install(t)
	if err := Unmount(b.job.Target); err != nil {
		t.Fatal(err)
	}
	wantSoundDisk(t, d, result)
	if _, err := os.Stat(d.device + "p5"); err == nil {
		t.Error("the kernel still has a partition of the old system")
	}
}

// hashFile is the digest of a sparse file's data and of where it lies.
func hashFile(t *testing.T, name string) string {
	t.Helper()
	f := must[*os.File](t)(os.Open(name))
	defer f.Close()
	sum := sha256.New()
	for end := int64(0); ; {
		from, err := unix.Seek(int(f.Fd()), end, unix.SEEK_DATA)
		if err == unix.ENXIO {
			return hex.EncodeToString(sum.Sum(nil))
		}
		if end, err = unix.Seek(int(f.Fd()), from, unix.SEEK_HOLE); err != nil {
			t.Fatal(err)
		}
		fmt.Fprintln(sum, from, end)
		if _, err := io.Copy(sum, io.NewSectionReader(f, from, end-from)); err != nil {
			t.Fatal(err)
		}
	}
}

func TestInstallRefusesADiskInUse(t *testing.T) {
	b := newBed(t)
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	b.job.Plan.Wipe = true
	tool(t, "gdisk", "sgdisk", "--new=1:2048:0", d.device)
	device := must[*os.File](t)(openDisk(d.device))
	err := addPartition(device, disk.Partition{Number: 1, Offset: 1 << 20, Size: 64 << 20})
	if err := device.Close(); err != nil {
		t.Fatal(err)
	}
	if err != nil && err != unix.EBUSY { // the kernel may have found it by itself
		t.Fatal(err)
	}
	tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", d.device+"p1")
	mount := filepath.Join(b.dir, "used")
	if err := mountRoot(d.device+"p1", mount, "ext4"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := Unmount(mount); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
	before := hashFile(t, d.file)
	b.wantFailure(t, d.info.Name, "in use", "nothing was written")
	if hashFile(t, d.file) != before {
		t.Error("a disk that was refused has changed")
	}
}

func TestInstallSelectsOneDiskOnly(t *testing.T) {
	b := newBed(t)
	one, two := newLoopDisk(t, b.dir, diskSize), newLoopDisk(t, b.dir, diskSize)
	b.use(t, one, two)
	b.wantFailure(t, one.info.Name, two.info.Name, "several disks match")
	b.job.Plan.Disk.Serial = "S3RIAL"
	b.wantFailure(t, one.info.Name, two.info.Name, "no disk matches", "S3RIAL")
	one.wantUnbootable(t)
	two.wantUnbootable(t)
}

func TestInstallRefusesADiskThatTookTheNameOfAnother(t *testing.T) {
	b := newBed(t)
	d := newLoopDisk(t, b.dir, diskSize)
	b.use(t, d)
	b.job.Inventory.Disks[0].Serial = "THE-OTHER"
	b.wantFailure(t, d.info.Name, "another disk", "THE-OTHER", "nothing was written")
	b.job.Inventory.Disks[0].Serial = ""
	b.job.Inventory.Disks[0].Size *= 2
	b.wantFailure(t, d.info.Name, "another disk", "1.6 GB", "805.3 MB", "nothing was written")
	d.wantUnbootable(t)
}

func TestInstallRefusesWhatIsNoDisk(t *testing.T) {
	b := newBed(t)
	for _, name := range []string{"no-such-disk", "null", "shm"} {
		b.job.Inventory.Disks = []provision.DiskInfo{{Name: name, Size: diskSize}}
		b.wantFailure(t, "open the disk "+name, "nothing was written")
	}
	if _, err := os.Stat("/dev/no-such-disk"); err == nil {
		t.Error("a mistyped disk was made as a file")
	}
}

func TestInstallOnADiskTooSmall(t *testing.T) {
	b := newBed(t)
	d := newLoopDisk(t, b.dir, 200<<20)
	b.use(t, d)
	b.wantFailure(t, d.info.Name, "200 MiB", "259 MiB", "are needed", "nothing was written")
	d.wantUnbootable(t)
}

func TestInstallFetchesWhatItNeedsBeforeItWrites(t *testing.T) {
	for name, spoil := range map[string]func(*bed) string{
		"no pack":    func(b *bed) string { b.job.Plan.Pack.Path = "/gone"; return "404" },
		"no overlay": func(b *bed) string { b.job.Plan.Session = "another's"; return "403" },
		"no mkfs": func(b *bed) string {
			b.job.Plan.Target.Filesystem, b.job.Maker = "xfs", "/nonexistent/mkfs"
			return "no mkfs"
		},
		"odd filesystem": func(b *bed) string {
			b.job.Plan.Target.Filesystem = "ntfs"
			return "only ext4, xfs and btrfs"
		},
		"wrong boot loader": func(b *bed) string {
			b.server.put("/"+bootloader.CoreImage, []byte("another"))
			return "its digest is " + digestOf([]byte("another"))
		},
		"another pack": func(b *bed) string {
			b.server.put("/pack", b.server.get("/overlay"))
			return "image tiny"
		},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			d := newLoopDisk(t, b.dir, diskSize)
			b.use(t, d)
			b.job.Plan.Wipe = true
			tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", "-L", "precious", d.device)
			before := hashFile(t, d.file)
			b.wantFailure(t, spoil(b), "nothing was written")
			if hashFile(t, d.file) != before {
				t.Error("the disk has changed")
			}
		})
	}
}
