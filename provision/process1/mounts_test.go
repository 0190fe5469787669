package process1

import (
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/testdata/needs"
)

// inMounts calls f on a thread that has the mounts for itself.
func inMounts(t *testing.T, f func() error) {
	t.Helper()
	needs.Root(t)
	done := make(chan error, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with its mounts
		done <- func() error {
			if err := errors.Join(unix.Unshare(unix.CLONE_NEWNS), unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, "")); err != nil {
				return err
			}
			return f()
		}()
	}()
	if err := <-done; err != nil {
		t.Fatal(err)
	}
}

// TestRunIsMountedAsByTheSystemItself: what Debian's own RAM disk mounts is nosuid,
// nodev, noexec, of mode 0755, with a tenth of the memory; systemd by itself allows
// programs, and a fifth.
func TestRunIsMountedAsByTheSystemItself(t *testing.T) {
	const strict = unix.ST_NOSUID | unix.ST_NODEV
	for name, c := range map[string]struct {
		file  string
		flags int64
		part  uint64 // of the memory
	}{
		"Debian": {initramfsTools, strict | unix.ST_NOEXEC, 10},
		"others": {"etc/os-release", strict, 5},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			write(t, root, c.file, nil, 0o644)
			if err := os.Mkdir(filepath.Join(root, "run"), 0o755); err != nil {
				t.Fatal(err)
			}
			var fs unix.Statfs_t
			var dir unix.Stat_t
			var memory unix.Sysinfo_t
			inMounts(t, func() error {
				run := filepath.Join(root, "run")
				return errors.Join(earlyMounts[3].mount(root), asOwnBoot(root), unix.Statfs(run, &fs), unix.Stat(run, &dir), unix.Sysinfo(&memory))
			})
			if got := fs.Flags & (strict | unix.ST_NOEXEC); got != c.flags {
				t.Errorf("/run has the flags %#x, want %#x", got, c.flags)
			}
			if dir.Mode&0o7777 != 0o755 {
				t.Errorf("/run has the mode %o", dir.Mode&0o7777)
			}
			// Sysinfo's memory may be less than what the kernel takes the part of.
			size, whole := fs.Blocks*uint64(fs.Bsize), memory.Totalram*uint64(memory.Unit)
			if size < whole/c.part/10*9 || size > whole/c.part/10*11 {
				t.Errorf("/run has %d bytes, and the memory %d", size, whole)
			}
		})
	}
}

func TestRootHasTheUsualAccessTimes(t *testing.T) {
	dir := t.TempDir()
	var fs unix.Statfs_t
	inMounts(t, func() error {
		return errors.Join(unix.Mount("tmpfs", dir, "tmpfs", unix.MS_NOATIME, ""), RelativeAccessTimes(dir), unix.Statfs(dir, &fs))
	})
	if fs.Flags&unix.ST_NOATIME != 0 || fs.Flags&unix.ST_RELATIME == 0 {
		t.Errorf("the root has the flags %#x", fs.Flags)
	}
}
