package pack

import (
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"cloudlets/testdata/needs"
)

// tool runs a foreign program and returns its output. If the program is
// missing, the test fails and names the Debian package that has it.
func tool(t testing.TB, pkg, name string, args ...string) string {
	t.Helper()
	out, err := toolCmd(t, pkg, name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

func toolCmd(t testing.TB, pkg, name string, args ...string) *exec.Cmd {
	t.Helper()
	return exec.CommandContext(t.Context(), needs.Tool(t, name, pkg), args...)
}

func needRoot(t testing.TB) {
	t.Helper()
	needs.Root(t)
}

// disk is an empty ext4 on a loop device.
type disk struct {
	dir, device string
	once        sync.Once
}

// freshDisk mounts an empty ext4 of size bytes until the test ends.
func freshDisk(t testing.TB, size int64) *disk {
	t.Helper()
	d := mountDisk(t, memory(), size)
	t.Cleanup(func() { d.remove(t) })
	return d
}

// mountDisk mounts an empty ext4 of size bytes, which is a file in the
// directory where, until remove or until the test ends.
func mountDisk(t testing.TB, where string, size int64) *disk {
	t.Helper()
	needRoot(t)
	base, err := os.MkdirTemp(where, "pack-disk-")
	if err != nil {
		t.Fatal(err)
	}
	d := &disk{dir: filepath.Join(base, "mnt")}
	t.Cleanup(func() { d.remove(t) })
	file := filepath.Join(base, "disk.img")
	if err := errors.Join(os.Mkdir(d.dir, 0o755), os.WriteFile(file, nil, 0o600), os.Truncate(file, size)); err != nil {
		t.Fatal(err)
	}
	tool(t, "e2fsprogs", "mkfs.ext4", "-q", "-F", "-m", "0", file)
	d.device = tool(t, "mount", "losetup", "--find", "--show", file)
	tool(t, "mount", "mount", "-t", "ext4", "-o", "noinit_itable", d.device, d.dir)
	return d
}

// memory returns a directory in memory, if there is one, since tests of disks
// need not wait for the machine's own disk.
func memory() string {
	if info, err := os.Stat("/dev/shm"); err == nil && info.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// remove undoes, once, whatever was set up.
func (d *disk) remove(t testing.TB) {
	d.once.Do(func() {
		if mounted(d.dir) {
			clean(t, "umount", d.dir)
		}
		if d.device != "" {
			clean(t, "losetup", "--detach", d.device)
		}
		if err := os.RemoveAll(filepath.Dir(d.dir)); err != nil {
			t.Errorf("clean up: %v", err)
		}
	})
}

func mounted(dir string) bool {
	table, err := os.ReadFile("/proc/self/mounts")
	return err == nil && strings.Contains(string(table), " "+dir+" ")
}

// clean runs a command to clean up after the test's own context has ended.
func clean(t testing.TB, name string, args ...string) {
	if out, err := exec.Command(name, args...).CombinedOutput(); err != nil {
		t.Errorf("clean up: %s %v: %v\n%s", name, args, err, out)
	}
}

// freshDir is the root of an empty ext4.
func freshDir(t testing.TB) string {
	t.Helper()
	return freshDisk(t, 256<<20).dir
}

// subDir makes a directory for one case of several.
func subDir(t testing.TB, dir string) string {
	t.Helper()
	sub, err := os.MkdirTemp(dir, "case-")
	if err == nil {
		err = os.Chmod(sub, 0o755)
	}
	if err != nil {
		t.Fatal(err)
	}
	return sub
}
