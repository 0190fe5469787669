//go:build linux

package chroot

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// apart are the mount flags that forbid dangerous uses of a filesystem that we
// mount.
const apart = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// makeRoot makes the order's directory the root, mounts the kernel's
// filesystems in it, and detaches everything outside.
//
// It mounts inside the image only after the image has become the root, so a
// symbolic link in the image cannot lead out of it. Meanwhile the host's root
// is the working directory, and relative paths lead to its files.
func makeRoot(o *order) error {
	// From here on the host does not see new mounts.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("separate the mounts from those of the host: %w", err)
	}
	lay := layOver
	if o.Write {
		lay = layBare
	}
	if err := lay(o); err != nil {
		return err
	}
	host, err := pivot()
	if err != nil {
		return err
	}
	defer host.Close()
	for _, furnish := range []func(*order) error{mountRun, resolve, mountProc, mountSys, makeDev} {
		if err := furnish(o); err != nil {
			return err
		}
	}
	if err := unix.Unmount(".", unix.MNT_DETACH); err != nil {
		return fmt.Errorf("detach the host's files: %w", err)
	}
	return nil
}

// layBare turns the directory itself into a mount and enters it.
func layBare(o *order) error {
	if err := unix.Mount(o.Dir, o.Dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount the image: %w", err)
	}
	return os.Chdir(o.Dir)
}

// layOver puts a layer in memory over the directory and enters it. The
// filesystem of the layer is mounted on the image's own directory, because that
// path certainly exists. The image is named by an open descriptor, so its path
// needs no quoting in the mount options.
func layOver(o *order) error {
	image, err := unix.Open(o.Dir, unix.O_PATH|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return fmt.Errorf("open the image: %w", err)
	}
	defer unix.Close(image)
	if err := unix.Mount("cloudlet", o.Dir, "tmpfs", apart&^unix.MS_NOEXEC, "mode=0700"); err != nil {
		return fmt.Errorf("make a throw-away layer: %w", err)
	}
	if err := os.Chdir(o.Dir); err != nil {
		return err
	}
	for _, dir := range []string{"upper", "work", "root"} {
		if err := os.Mkdir(dir, 0o755); err != nil {
			return fmt.Errorf("make a throw-away layer: %w", err)
		}
	}
	if err := likeImage("upper", image); err != nil {
		return fmt.Errorf("make a throw-away layer: %w", err)
	}
	options := "upperdir=upper,workdir=work,lowerdir=/proc/self/fd/" + strconv.Itoa(image)
	if o.Users {
		options += ",userxattr" // keep overlayfs's own attributes where users may write
	}
	if err := unix.Mount("cloudlet", "root", "overlay", 0, options); err != nil {
		return fmt.Errorf("mount a throw-away layer over the image with overlayfs: %w%s; --write works without a layer", err, overlayHint(o))
	}
	return os.Chdir("root")
}

// likeImage copies the owner and mode of the image's root to the root of the
// layer, which covers it. It ignores an owner that does not exist in a user
// namespace.
func likeImage(dir string, image int) error {
	var st unix.Stat_t
	if err := unix.Fstat(image, &st); err != nil {
		return err
	}
	if err := unix.Chown(dir, int(st.Uid), int(st.Gid)); err != nil && !errors.Is(err, unix.EINVAL) {
		return err
	}
	return unix.Chmod(dir, st.Mode&0o7777)
}

// overlayHint says why overlayfs may fail.
func overlayHint(o *order) string {
	if o.Users {
		return " (in a user namespace this needs Linux 5.11)"
	}
	return ""
}

// pivot makes the working directory, which must be a mount, the new root.
// Afterwards the old root is the working directory, mounted over the new one.
func pivot() (host *os.File, err error) {
	if host, err = os.Open("/"); err != nil {
		return nil, err
	}
	if err := unix.PivotRoot(".", "."); err != nil {
		host.Close()
		return nil, fmt.Errorf("make the image the root: %w%s", err, pivotHint(err))
	}
	if err := host.Chdir(); err != nil {
		host.Close()
		return nil, err
	}
	return host, nil
}

func pivotHint(err error) string {
	if errors.Is(err, unix.EINVAL) {
		return "; this is not possible inside a chroot or a RAM disk"
	}
	return ""
}

// mountPoint makes sure that the image has a directory to mount on.
func mountPoint(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Lstat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s of the image is not a directory, so nothing can be mounted there", dir)
	}
	return nil
}

// mountRun mounts an empty /run if the image is writable, so that programs
// leave nothing in the image's own /run. If the image has no /run, there is
// nothing to protect.
func mountRun(o *order) error {
	info, err := os.Lstat("/run")
	if !o.Write || err != nil || !info.IsDir() {
		return nil
	}
	if err := unix.Mount("run", "/run", "tmpfs", unix.MS_NOSUID|unix.MS_NODEV, "mode=0755"); err != nil {
		return fmt.Errorf("mount /run: %w", err)
	}
	return nil
}

func mountProc(*order) error {
	if err := mountPoint("/proc"); err != nil {
		return err
	}
	if err := unix.Mount("proc", "/proc", "proc", apart, ""); err != nil {
		return fmt.Errorf("mount /proc: %w; a container that hides parts of /proc does not allow a new one", err)
	}
	return nil
}

// mountSys shows the host's devices read-only. A user may mount a new sysfs
// only together with a new network namespace, so such a user gets the host's
// sysfs.
func mountSys(o *order) error {
	if err := mountPoint("/sys"); err != nil {
		return err
	}
	if !o.Users {
		if err := unix.Mount("sysfs", "/sys", "sysfs", apart|unix.MS_RDONLY, ""); err != nil {
			return fmt.Errorf("mount /sys: %w", err)
		}
		return nil
	}
	if err := unix.Mount("sys", "/sys", "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount /sys: %w", err)
	}
	readOnly := &unix.MountAttr{Attr_set: unix.MOUNT_ATTR_RDONLY}
	if err := unix.MountSetattr(unix.AT_FDCWD, "/sys", unix.AT_RECURSIVE, readOnly); err != nil {
		return fmt.Errorf("make /sys read-only: %w (in a user namespace this needs Linux 5.12)", err)
	}
	return nil
}
