// Package disktest has the kernel look at disks and filesystems that tests
// made: as loop devices, and mounted.
package disktest

import (
	"context"
	"errors"
	"os/exec"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/dirtree"
	"cloudlets/images/imagetest"
	"cloudlets/testdata/needs"
)

func losetup(t testing.TB, args ...string) string {
	t.Helper()
	out, err := exec.CommandContext(context.Background(), "losetup", args...).CombinedOutput() // it runs in clean-ups, too
	if err != nil {
		t.Fatalf("losetup %s: %v: %s (Debian package mount)", strings.Join(args, " "), err, out)
	}
	return string(out)
}

// Attach makes a loop device of an image, until the test ends.
func Attach(t testing.TB, img string) string {
	t.Helper()
	needs.Root(t)
	needs.Tool(t, "losetup", "mount")
	dev := strings.TrimSpace(losetup(t, "--find", "--show", img))
	t.Cleanup(func() { losetup(t, "--detach", dev) })
	return dev
}

// A process that another test is just starting has inherited what this one has open, until
// it runs its own program. So an unmount is tried so often, with such a pause.
const (
	unmountTries = 200
	unmountPause = 20 * time.Millisecond
)

func unmountSoon(dir string) (err error) {
	for range unmountTries {
		if err = unix.Unmount(dir, 0); !errors.Is(err, unix.EBUSY) {
			return err
		}
		time.Sleep(unmountPause)
	}
	return err
}

// Mount lets the kernel mount an image, until the test ends or the returned
// function is called.
func Mount(t testing.TB, img, kind string, flags uintptr) (dir string, unmount func()) {
	t.Helper()
	dir = t.TempDir()
	dev := Attach(t, img)
	if err := unix.Mount(dev, dir, kind, flags, ""); err != nil {
		t.Fatalf("mount %s: %v", img, err)
	}
	mounted := true
	unmount = func() {
		if !mounted {
			return
		}
		mounted = false
		if err := unmountSoon(dir); err != nil {
			t.Errorf("unmount %s: %v", dir, err)
			unix.Unmount(dir, unix.MNT_DETACH)
		}
	}
	t.Cleanup(unmount)
	return dir, unmount
}

// SameOnKernel has the kernel mount a filesystem of a kind, "ext4", and
// compares every file with the source.
func SameOnKernel(t testing.TB, img, kind string, want images.Source) {
	t.Helper()
	dir, unmount := Mount(t, img, kind, unix.MS_RDONLY)
	defer unmount()
	got, err := dirtree.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	imagetest.Same(t, got, want)
}
