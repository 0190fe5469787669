package live

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"

	"golang.org/x/sys/unix"

	"cloudlets/images/target"
	"cloudlets/provision/process1"
)

// Where the parts of a live system are mounted. /run moves to the new root, so that
// a person finds them there.
const (
	mediumDir  = "/run/cloudlets/medium"
	rootDir    = "/run/cloudlets/root"
	changesDir = "/run/cloudlets/changes"
)

// assemble mounts the live system's root, which is a file on the medium, on [process1.NewRoot].
func assemble(medium string) error {
	if err := mount(medium, mediumDir, "iso9660", unix.MS_RDONLY|unix.MS_NOSUID|unix.MS_NODEV, ""); err != nil {
		return err
	}
	loop, err := loopOf(filepath.Join(mediumDir, target.LiveRoot))
	if err != nil {
		return err
	}
	return Mount(loop, process1.NewRoot, 0)
}

// Modules are the kernel's modules that [Mount] needs.
var Modules = []string{"erofs", "overlay"}

// Mount mounts the root filesystem on a device, an EROFS, at a directory, with a layer in
// memory for changes. The layer takes up to room bytes; with 0 it takes up to half of the
// memory.
func Mount(device, dir string, room int64) error {
	if err := mount(device, rootDir, "erofs", unix.MS_RDONLY, ""); err != nil {
		return err
	}
	options := "mode=755"
	if room > 0 {
		options += fmt.Sprintf(",size=%d", room)
	}
	if err := mount("tmpfs", changesDir, "tmpfs", 0, options); err != nil {
		return err
	}
	upper, work := filepath.Join(changesDir, "upper"), filepath.Join(changesDir, "work")
	if err := errors.Join(os.Mkdir(upper, 0o755), os.Mkdir(work, 0o755)); err != nil {
		return err
	}
	if err := likeRoot(upper); err != nil {
		return fmt.Errorf("give the layer for changes the root's rights: %w", err)
	}
	return mount("overlay", dir, "overlay", 0, "lowerdir="+rootDir+",upperdir="+upper+",workdir="+work)
}

// likeRoot gives the upper layer the owner and the mode of the image's root, since
// the root of an overlay has those of the upper layer.
func likeRoot(dir string) error {
	var st unix.Stat_t
	if err := unix.Stat(rootDir, &st); err != nil {
		return err
	}
	return errors.Join(unix.Chown(dir, int(st.Uid), int(st.Gid)), unix.Chmod(dir, st.Mode&0o7777))
}

func mount(source, dir, kind string, flags uintptr, data string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := unix.Mount(source, dir, kind, flags, data); err != nil {
		return fmt.Errorf("mount %s of %s: %w", kind, source, err)
	}
	return nil
}

// loopOf makes a read-only block device of a file.
func loopOf(file string) (string, error) {
	dev, err := attach(file)
	if err != nil {
		return "", fmt.Errorf("make a disk of %s: %w", file, err)
	}
	return dev, nil
}

func attach(file string) (string, error) {
	backing, err := os.Open(file)
	if err != nil {
		return "", err
	}
	defer backing.Close()
	control, err := os.OpenFile("/dev/loop-control", os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer control.Close()
	number, err := unix.IoctlRetInt(int(control.Fd()), unix.LOOP_CTL_GET_FREE)
	if err != nil {
		return "", err
	}
	name := "/dev/loop" + strconv.Itoa(number)
	loop, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		return "", err
	}
	defer loop.Close()
	config := unix.LoopConfig{Fd: uint32(backing.Fd())}
	config.Info.Flags = unix.LO_FLAGS_READ_ONLY
	return name, unix.IoctlLoopConfigure(int(loop.Fd()), &config)
}
