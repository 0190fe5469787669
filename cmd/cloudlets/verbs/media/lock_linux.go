package media

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// lockDisk keeps virtual machines from a disk in a file, as long as that is open, or says
// what has it. QEMU has locks on the images of its disks, and loop devices are found in
// /sys.
func lockDisk(file *os.File) error {
	lock := unix.Flock_t{Type: unix.F_WRLCK}
	err := unix.FcntlFlock(file.Fd(), unix.F_OFD_SETLK, &lock)
	if errors.Is(err, unix.EAGAIN) || errors.Is(err, unix.EACCES) {
		return fmt.Errorf("update %s: a program has it locked, such as a virtual machine that runs from it: end that first; a running system updates itself with `cloudlets update`", file.Name())
	}
	// A filesystem without locks has none of others either.
	name, err := filepath.Abs(file.Name())
	if err == nil {
		name, err = filepath.EvalSymlinks(name)
	}
	if err != nil {
		return fmt.Errorf("update %s: %w", file.Name(), err)
	}
	loops, err := thisHost().Loops()
	if shown := loops[name]; len(shown) > 0 {
		return fmt.Errorf("update %s: /dev/%s shows it: update that, or detach it first, with `losetup --detach /dev/%[2]s`", file.Name(), shown[0])
	}
	return err
}
