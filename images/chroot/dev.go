//go:build linux

package chroot

import (
	"errors"
	"fmt"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// device is a character device that every program may expect.
type device struct {
	name         string
	major, minor uint32
}

// devices are harmless: none of them is hardware of this machine
// (Documentation/admin-guide/devices.txt of Linux).
var devices = []device{
	{"null", 1, 3}, {"zero", 1, 5}, {"full", 1, 7}, {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0},
}

// devLinks are the links that every program may expect.
var devLinks = map[string]string{
	"ptmx": "pts/ptmx", "fd": "/proc/self/fd", "stdin": "fd/0", "stdout": "fd/1", "stderr": "fd/2",
}

// groupTTY is the group that terminals belong to, everywhere.
const groupTTY = "5"

// makeDev makes a /dev that has what programs need and no disks.
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

// make makes the device, or where that is not allowed takes the host's.
func (d device) make() error {
	file := "/dev/" + d.name
	err := unix.Mknod(file, unix.S_IFCHR|0o666, int(unix.Mkdev(d.major, d.minor)))
	if err == nil {
		return os.Chmod(file, 0o666) // whatever the umask
	}
	if !errors.Is(err, unix.EPERM) {
		return fmt.Errorf("make %s: %w", file, err)
	}
	return bindFile("dev/"+d.name, file)
}

// bindFile shows a file under another name, which is made.
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

// mountPTS gives the image pseudo-terminals of its own.
func mountPTS(o *order) error {
	if err := mountPoint("/dev/pts"); err != nil {
		return err
	}
	options := "newinstance,ptmxmode=0666,mode=0620"
	if !o.Users {
		options += ",gid=" + groupTTY // which may be nobody's in a user namespace
	}
	if err := unix.Mount("devpts", "/dev/pts", "devpts", unix.MS_NOSUID|unix.MS_NOEXEC, options); err != nil {
		return fmt.Errorf("mount /dev/pts: %w", err)
	}
	return nil
}

// nameTerminal shows the command's terminal as /dev/console: its own name is
// one of the host's, and programs such as tty and sudo look for a name. A
// terminal that cannot be shown serves all the same.
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
