package agent

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

// makerArgs are the words for a filesystem's mkfs, and whether it has one:
// ext4 is made without.
func makerArgs(filesystem, id string) ([]string, bool) {
	switch filesystem {
	case "xfs":
		return []string{"-q", "-f", "-L", target.RootLabel, "-m", "uuid=" + id}, true
	case "btrfs":
		return []string{"-q", "-f", "-L", target.RootLabel, "-U", id}, true
	}
	return nil, false
}

// findMaker finds the program that makes a filesystem: the given one, or the one
// in the RAM disk. It returns "" for ext4, which this program makes itself.
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
		options := plan.Root(time.Now(), true)
		// The identifier was drawn for this install, so no old journal has it.
		options.Size, options.LazyJournal = i.layout.Root.Size, true
		err = writeExt4(ctx, device, i.layout.Root.Size, func(w sparse.Writer) error { return ext4.Format(ctx, w, options) })
	} else {
		err = runMaker(ctx, i.maker, plan.Filesystem, plan.RootUUID().String(), device)
	}
	if err != nil {
		return fmt.Errorf("make a %s filesystem on %s: %w", plan.Filesystem, device, err)
	}
	return nil
}

// makePersistent makes the filesystem of a new persistent partition.
func (i *installer) makePersistent(ctx context.Context) error {
	if i.persistent == nil {
		return nil
	}
	device, err := waitForPartition(ctx, i.disk.Name, i.layout.Persistent.Number)
	if err != nil {
		return err
	}
	err = writeExt4(ctx, device, i.layout.Persistent.Size, func(w sparse.Writer) error { return i.persistent.Write(ctx, w) })
	if err != nil {
		return fmt.Errorf("make the filesystem of the persistent partition on %s: %w", device, err)
	}
	return nil
}

// runMaker runs the image's own mkfs, so that the filesystem has just the
// features that the image's kernel and tools know.
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

// unmount waits until everything is written; where something holds the
// filesystem, it goes as soon as that lets go.
func unmount(dir string) error {
	err := unix.Unmount(dir, 0)
	if errors.Is(err, unix.EBUSY) {
		err = unix.Unmount(dir, unix.MNT_DETACH)
	}
	if err != nil {
		return fmt.Errorf("unmount %s: %w", dir, err)
	}
	return nil
}

// syncFilesystem writes out everything of the filesystem at dir, and fails
// where the device did.
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
