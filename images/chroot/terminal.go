//go:build linux

package chroot

import (
	"os"
	"os/signal"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// terminal is a terminal that a command may use for a while.
type terminal struct {
	file  *os.File
	group int // the process group that had it before
}

// holdTerminal notes which process group has the terminal. It returns nil if f
// is not a terminal or if this process does not have it.
func holdTerminal(f *os.File) *terminal {
	if f == nil {
		return nil
	}
	group, err := unix.IoctlGetInt(int(f.Fd()), unix.TIOCGPGRP)
	if err != nil || group != unix.Getpgrp() {
		return nil
	}
	return &terminal{file: f, group: group}
}

// restore takes the terminal back. This matters after a shell with job control
// was killed before it could return the terminal.
func (t *terminal) restore() {
	if t == nil {
		return
	}
	if now, err := unix.IoctlGetInt(int(t.file.Fd()), unix.TIOCGPGRP); err != nil || now == t.group {
		return
	}
	// The kernel stops a background process that tries this, unless it ignores
	// SIGTTOU.
	signal.Ignore(unix.SIGTTOU)
	defer signal.Reset(unix.SIGTTOU)
	_ = unix.IoctlSetPointerInt(int(t.file.Fd()), unix.TIOCSPGRP, t.group) // an error means that the terminal is gone
}

// terminalName returns the path of the terminal that f is, or "" if f is not a
// terminal.
func terminalName(f *os.File) string {
	if f == nil {
		return ""
	}
	if _, err := unix.IoctlGetTermios(int(f.Fd()), unix.TCGETS); err != nil {
		return ""
	}
	name, err := os.Readlink("/proc/self/fd/" + strconv.Itoa(int(f.Fd())))
	if err != nil || !strings.HasPrefix(name, "/dev/") {
		return ""
	}
	return name
}

// ownedByTerminal reports whether a signal came from a key or a size change of
// the terminal. Then the terminal sent it to all foreground processes,
// including the command, which must not get it twice.
func ownedByTerminal(s syscall.Signal) bool {
	switch s {
	case unix.SIGINT, unix.SIGQUIT, unix.SIGTSTP, unix.SIGWINCH:
	default:
		return false
	}
	tty, err := os.OpenFile("/dev/tty", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return false
	}
	defer tty.Close()
	group, err := unix.IoctlGetInt(int(tty.Fd()), unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
