package process1

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
)

// SwitchRoot makes root the root filesystem and becomes init: what util-linux
// calls switch_root. It returns only with an error. The RAM disk's files go, so that their memory is free.
func SwitchRoot(root, init string) error {
	if err := checkInit(root, init); err != nil {
		return err
	}
	for _, m := range []string{"dev", "proc", "sys", "run"} {
		target := filepath.Join(root, m)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("make a place for /%s in the new root: %w", m, err)
		}
		if err := unix.Mount("/"+m, target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move /%s to the new root: %w", m, err)
		}
	}
	if err := os.Chdir(root); err != nil {
		return err
	}
	freeRAMDisk(root)
	if err := unix.Mount(".", "/", "", unix.MS_MOVE, ""); err != nil {
		return fmt.Errorf("make %s the root: %w", root, err)
	}
	if err := unix.Chroot("."); err != nil {
		return fmt.Errorf("change root to the new system: %w", err)
	}
	if err := os.Chdir("/"); err != nil {
		return err
	}
	err := unix.Exec(init, []string{init}, []string{"PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=linux", "HOME=/"})
	return fmt.Errorf("start %s of the new system: %w", init, err)
}

// checkInit makes sure, while there is a way back, that the new system begins
// with a program: the kernel panics when process 1 ends.
func checkInit(root, init string) error {
	tree, err := dirtree.Open(root)
	if err != nil {
		return err
	}
	name, err := images.Resolve(tree, init)
	if err != nil {
		return fmt.Errorf("find the new system's first program: %w", err)
	}
	if e, err := tree.Entry(name); err != nil || e.Type != images.Regular || e.Mode&0o111 == 0 {
		return errors.Join(fmt.Errorf("%s of the new system is no program", init), err)
	}
	return nil
}

// freeRAMDisk removes what the RAM disk holds. The running program keeps its
// own pages until it is replaced. Only what lies on the RAM disk's own
// filesystem is touched: nothing below a mount point, and nothing at all where
// the root is no RAM disk.
func freeRAMDisk(root string) {
	var ram unix.Stat_t
	var kind unix.Statfs_t
	if os.Getpid() != 1 || unix.Lstat("/", &ram) != nil || unix.Statfs("/", &kind) != nil {
		return
	}
	if kind.Type != unix.RAMFS_MAGIC && kind.Type != unix.TMPFS_MAGIC {
		return
	}
	removeOn("/", ram.Dev, root)
}

func removeOn(dir string, dev uint64, keep string) {
	names, err := os.ReadDir(dir)
	if err != nil {
		return
	}
	for _, entry := range names {
		name := filepath.Join(dir, entry.Name())
		var st unix.Stat_t
		if unix.Lstat(name, &st) != nil || st.Dev != dev || name == keep {
			continue
		}
		if entry.IsDir() {
			removeOn(name, dev, keep)
		}
		_ = os.Remove(name)
	}
}
