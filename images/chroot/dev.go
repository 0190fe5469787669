//go:build linux

package chroot

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// device is a character device that every program may expect to exist.
type device struct {
	name         string
	major, minor uint32
}

// devices are safe: none of them is hardware of this machine
// (Documentation/admin-guide/devices.txt of Linux).
var devices = []device{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

// devLinks are the links that every program may expect to exist.
var devLinks = map[string]string{
	"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
}

// groupTTY is the group of terminals in every distribution.
const groupTTY = "5"

// makeDev makes a /dev with what programs need and without disks.
func makeDev(o *order) error {
	if err := mountPoint("/dev"); err != nil {
		return err
	}
	if err := unix.Mount("dev", "/dev", "tmpfs", unix.MS_NOSUID|unix.MS_NOEXEC, "mode=0755,size=64k"); err != nil {
		return fmt.Errorf("mount /dev: %w", err)
	}
	for _, d := range devices {
		if err := d.make(); err != nil {
			return err
		}
	}
	for name, target := range devLinks {
		if err := os.Symlink(target, "/dev/"+name); err != nil {
			return err
		}
	}
	if err := mountPTS(o); err != nil {
		return err
	}
	if err := mountPoint("/dev/shm"); err != nil {
		return err
	}
	if err := unix.Mount("shm", "/dev/shm", "tmpfs", apart, "mode=1777"); err != nil {
		return fmt.Errorf("mount /dev/shm: %w", err)
	}
	return nameTerminal(o)
}

// make makes the device. If that is not allowed, it bind-mounts the host's
// device instead.
func (d device) make() error {
	file := "/dev/" + d.name
	err := unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor)))
	if err == nil {
		return os.Chmod(file, 0o666) // undo the effect of the umask
	}
	if !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("make %s: %w", file, err)
	}
	return bindFile("dev/"+d.name, file)
}

// bindFile creates name and bind-mounts file on it.
func bindFile(file, name string) error {
	place, err := os.OpenFile(name, os.O_CREATE|os.O_EXCL|os.O_WRONLY, 0o666)
	if err != nil {
		return err
	}
	if err := place.Close(); err != nil {
		return err
	}
	if err := unix.Mount(file, name, "", unix.MS_BIND, ""); err != nil {
		return fmt.Errorf("show the host's %s as %s: %w", file, name, err)
	}
	return nil
}

// mountPTS mounts a new instance of pseudo-terminals.
func mountPTS(o *order) error {
	if err := mountPoint("/dev/pts"); err != nil {
		return err
	}
	options := "newinstance,ptmxmode=0666,mode=0620"
	if !o.Users {
		options += ",gid=" + groupTTY // a user namespace may not have this group
	}
	if err := unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mount /dev/pts: %w", err)
	}
	return nil
}

// nameTerminal shows the command's terminal as /dev/console. The terminal's own
// name exists only on the host, and programs such as tty and sudo need a name.
// If this fails, the terminal still works without a name.
func nameTerminal(o *order) error {
	name, ok := strings.CutPrefix(o.Terminal, "/")
	if !ok {
		return nil
	}
	const console = "/dev/console"
	if err := bindFile(name, console); err != nil {
		return os.Remove(console)
	}
	return nil
}
