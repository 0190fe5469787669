package process1

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
)

// NewRoot is where a RAM disk mounts the root filesystem before it becomes the root.
const NewRoot = "/newroot"

// SwitchRoot makes root the root filesystem and starts init in place of this
// process, like switch_root of util-linux. It deletes the RAM disk's files to free
// their memory. It returns only with an error.
//
// The words are told to init as if they stood on the kernel's command line.
func SwitchRoot(root, init string, words ...string) error {
	if err := CheckProgram(root, init); err != nil {
		return err
	}
	if err := ChangeRoot(root); err != nil {
		return err
	}
	return StartInit(init, words...)
}

// StartInit starts init in place of this process, whose root is the new system's. It returns
// only with an error. See [SwitchRoot] for the words.
func StartInit(init string, words ...string) error {
	env := []string{"PATH=" + Path, "TERM=linux", "HOME=/"}
	if len(words) > 0 {
		env = append(env, WordsVariable+"="+strings.Join(words, " "))
	}
	err := unix.Exec(init, []string{init}, env)
	return fmt.Errorf("start %s of the new system: %w", init, err)
}

// WordsVariable is the variable of the environment by which SwitchRoot tells words.
const WordsVariable = "CLOUDLETS_WORDS"

// Path is where the programs of a new root are found.
const Path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// ChangeRoot makes root the root filesystem of this process and of those that it starts,
// and deletes the RAM disk's files to free their memory.
func ChangeRoot(root string) error {
	for _, m := range []string{"dev", "proc", "sys", "run"} {
		target := filepath.Join(root, m)
		if err := os.MkdirAll(target, 0o755); err != nil {
			return fmt.Errorf("make a place for /%s in the new root: %w", m, err)
		}
		if err := unix.Mount("/"+m, target, "", unix.MS_MOVE, ""); err != nil {
			return fmt.Errorf("move /%s to the new root: %w", m, err)
		}
	}
	if err := asOwnBoot(root); err != nil {
		return err
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
	return os.Chdir("/")
}

// initramfsTools is a file of the systems whose own RAM disk mounts /run more
// strictly than systemd does: Debian and those that come from it.
const initramfsTools = "usr/share/initramfs-tools/init"

// asOwnBoot changes the mounts that the new system takes over as they are to what it
// finds when it boots from its own disk. Its init does not change them.
func asOwnBoot(root string) error {
	if _, err := os.Stat(filepath.Join(root, initramfsTools)); err == nil {
		flags := uintptr(unix.MS_REMOUNT | unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC)
		if err := unix.Mount("", filepath.Join(root, "run"), "", flags, "size=10%"); err != nil {
			return fmt.Errorf("mount /run as the new system does: %w", err)
		}
	}
	return nil
}

// RelativeAccessTimes gives a mounted filesystem the kernel's default for access
// times, relatime. It must have no other options of a mount.
func RelativeAccessTimes(dir string) error {
	if err := unix.Mount("", dir, "", unix.MS_REMOUNT|unix.MS_BIND|unix.MS_RELATIME, ""); err != nil {
		return fmt.Errorf("mount %s with the usual access times: %w", dir, err)
	}
	return nil
}

// CheckProgram makes sure that a file of the new root, such as its init, is a program.
// SwitchRoot could not handle that error later: if process 1 ends, the kernel panics.
func CheckProgram(root, init string) error {
	if strings.HasPrefix(init, images.Dir+"/") { // this is no part of the image, and no link leads there
		info, err := os.Lstat(filepath.Join(root, init))
		if err != nil || !info.Mode().IsRegular() || info.Mode()&0o111 == 0 {
			return errors.Join(fmt.Errorf("%s of the new system is not a program that can be executed", init), err)
		}
		return nil
	}
	tree, err := dirtree.Open(root)
	if err != nil {
		return err
	}
	name, err := images.Resolve(tree, init)
	if err != nil {
		return fmt.Errorf("find the new system's first program: %w", err)
	}
	if e, err := tree.Entry(name); err != nil || e.Type != images.Regular || e.Mode&0o111 == 0 {
		return errors.Join(fmt.Errorf("%s of the new system is not a program that can be executed", init), err)
	}
	return nil
}

// freeRAMDisk deletes the files of the RAM disk. The running program keeps its own
// pages until it is replaced. freeRAMDisk deletes nothing below a mount point, and
// nothing at all if the root is not a RAM disk.
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
