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

// apart is what a filesystem of our own may not do.
const apart = unix.MS_NOSUID | unix.MS_NODEV | unix.MS_NOEXEC

// makeRoot makes the order's directory the root, with the filesystems of the
// kernel in it, and lets go of all that is outside.
//
// What is mounted in the image is mounted only when the image is the root, so
// that no link in it leads anywhere else; the host is the working directory
// meanwhile, and its files have relative paths.
func makeRoot(o *order) error {
	// Nothing that is mounted from here on is seen outside.
	if err := unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""); err != nil {
		return fmt.Errorf("part from the mounts of the host: %w", err)
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
		return fmt.Errorf("let go of the host's files: %w", err)
	}
	return nil
}

// layBare makes the directory itself a mount, and goes there.
func layBare(o *order) error {
	if err := unix.Mount(o.Dir, o.Dir, "", unix.MS_BIND|unix.MS_REC, ""); err != nil {
		return fmt.Errorf("mount the image: %w", err)
	}
	return os.Chdir(o.Dir)
}

// layOver lays a layer in memory over the directory, and goes there. The
// layer's filesystem covers the image's own place, which is there for sure,
// and the image is named by an open file, so that no path needs quoting.
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
		options += ",userxattr" // what overlayfs notes down goes where users may write
	}
	if err := unix.Mount("cloudlet", "root", "overlay", 0, options); err != nil {
		return fmt.Errorf("lay a throw-away layer over the image with overlayfs: %w%s; --write does without", err, overlayHint(o))
	}
	return os.Chdir("root")
}

// likeImage gives the layer's root the owner and mode of the image's, which
// it hides. An owner that there is not in a user namespace is left out.
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

// overlayHint says what overlayfs may lack.
func overlayHint(o *order) string {
	if o.Users {
		return " (in a user namespace that takes Linux 5.11)"
	}
	return ""
}

// pivot makes the working directory, a mount, the root. The host's root is
// the working directory then, and on top of the new one.
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
		return "; inside of a chroot or a RAM disk that cannot be done"
	}
	return ""
}

// mountPoint makes sure that there is a directory of the image to mount on.
func mountPoint(dir string) error {
	err := os.Mkdir(dir, 0o755)
	if err == nil || !errors.Is(err, fs.ErrExist) {
		return err
	}
	if info, err := os.Lstat(dir); err != nil {
		return err
	} else if !info.IsDir() {
		return fmt.Errorf("%s is no directory of the image, and so no place to mount", dir)
	}
	return nil
}

// mountRun keeps what programs leave in /run out of an image that is written
// to. Without /run there is nothing to keep out.
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
		return fmt.Errorf("mount /proc: %w; a container that hides parts of /proc allows no other", err)
	}
	return nil
}

// mountSys shows the host's devices, to be read. A user has no right to a
// sysfs of their own without a network of their own, and gets the host's.
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
		return fmt.Errorf("make /sys read-only: %w (in a user namespace that takes Linux 5.12)", err)
	}
	return nil
}
