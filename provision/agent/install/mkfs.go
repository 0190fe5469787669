package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/ramdisk"
	"cloudlets/images/target"
)

// makerArgs returns the arguments for the mkfs of a filesystem, apart from the
// device. It returns false if the filesystem is not made by a mkfs: ext4 is
// made without one, and others are unknown.
func makerArgs(filesystem, id string) ([]string, bool) {
	switch filesystem {
	case "xfs":
		return []string{"-q", "-f", "-L", target.RootLabel, "-m", "uuid=" + id}, true
	case "btrfs":
		return []string{"-q", "-f", "-L", target.RootLabel, "-U", id}, true
	}
	return nil, false
}

// findMaker returns the program that makes a filesystem. This is maker, or the
// RAM disk's mkfs if maker is "". For ext4, which this program makes itself,
// findMaker returns "".
func findMaker(filesystem, maker string) (string, error) {
	if filesystem == "ext4" {
		return "", nil
	}
	if _, known := makerArgs(filesystem, ""); !known {
		return "", fmt.Errorf("make a %s filesystem: only ext4, xfs and btrfs are known", filesystem)
	}
	if maker == "" {
		maker = ramdisk.MakerPath(filesystem)
	}
	if _, err := os.Stat(maker); err != nil {
		return "", fmt.Errorf("make a %s filesystem: the RAM disk has no mkfs for it, install it in the image: %w", filesystem, err)
	}
	return maker, nil
}

// makeFilesystem makes the root filesystem on its partition.
func (i *installer) makeFilesystem(ctx context.Context, device string) error {
	plan := i.plan.Target
	var err error
	if plan.Filesystem == "ext4" {
		options := plan.Root(i.layout, time.Now(), true)
		// The UUID is made from the plan's random identifier, which is new for
		// this install, so no old journal has it.
		options.Size, options.LazyJournal = i.layout.Root.Room(), true
		err = writeExt4(ctx, device, i.layout.Root.Room(), func(w sparse.Writer) error { return ext4.Format(ctx, w, options) })
	} else {
		err = runMaker(ctx, i.maker, plan.Filesystem, plan.RootUUID(i.layout).String(), device)
	}
	if err != nil {
		return fmt.Errorf("make a %s filesystem on %s: %w", plan.Filesystem, device, err)
	}
	return nil
}

// makePersistent makes the filesystem of a new persistent partition, if the
// disk gets one.
func (i *installer) makePersistent(ctx context.Context) error {
	if i.persistent == nil {
		return nil
	}
	device, err := i.volume(ctx, i.layout.Persistent)
	if err != nil {
		return err
	}
	err = writeExt4(ctx, device, i.layout.Persistent.Room(), func(w sparse.Writer) error { return i.persistent.Write(ctx, w) })
	if err != nil {
		return fmt.Errorf("make the filesystem of the persistent partition on %s: %w", device, err)
	}
	return nil
}

// runMaker runs the image's own mkfs, so that the filesystem only has features
// that the image's kernel and tools know.
func runMaker(ctx context.Context, maker, filesystem, id, device string) error {
	args, _ := makerArgs(filesystem, id)
	cmd := exec.CommandContext(ctx, maker, append(args, device)...)
	cmd.Env = []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C"}
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return fmt.Errorf("%s: %w: %s", maker, err, strings.TrimSpace(said.String()))
	}
	return nil
}

func mountRoot(device, dir, filesystem string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	err := unix.Mount(device, dir, filesystem, unix.MS_NOATIME, "")
	switch {
	case errors.Is(err, unix.ENODEV):
		return fmt.Errorf("mount %s on %s: %w: the image's kernel has no driver for %s", device, dir, err, filesystem)
	case err != nil:
		return fmt.Errorf("mount %s (%s) on %s: %w", device, filesystem, dir, err)
	}
	return nil
}

// Where something still uses a filesystem, it is tried so often to unmount it, with such a
// pause.
const (
	unmountTries = 50
	unmountPause = 20 * time.Millisecond
)

// Unmount unmounts a filesystem, such as that of a [Job]'s Target, after everything is written. What a program that is just
// being started has inherited is closed in a moment. If something uses the filesystem longer
// than that, Unmount detaches it, and the kernel unmounts it when the last use ends.
func Unmount(dir string) error {
	err := unix.Unmount(dir, 0)
	for n := 1; n < unmountTries && errors.Is(err, unix.EBUSY); n++ {
		time.Sleep(unmountPause)
		err = unix.Unmount(dir, 0)
	}
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(dir, unix.MNT_DETACH)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// syncFilesystem writes everything of the filesystem at dir to its device. It
// returns an error if the device failed to write.
func syncFilesystem(dir string) error {
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := unix.Syncfs(int(f.Fd())); err != nil {
		return fmt.Errorf("sync %s: %w", dir, err)
	}
	return nil
}
