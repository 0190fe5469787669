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

// terminal is a terminal that is lent to a command.
type terminal struct {
	file  *os.File
	group int // that had it before
}

// holdTerminal remembers who has the terminal; nil is no terminal, or one
// that this process has not.
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

// restore takes the terminal back from a shell with job control that was
// ended before it could return it.
func (t *terminal) restore() {
	if t == nil {
		return
	}
	if now, err := unix.IoctlGetInt(int(t.file.Fd()), unix.TIOCGPGRP); err != nil || now == t.group {
		return
	}
	// Who is in the background is stopped for trying, but for this.
	signal.Ignore(unix.SIGTTOU)
	defer signal.Reset(unix.SIGTTOU)
	_ = unix.IoctlSetPointerInt(int(t.file.Fd()), unix.TIOCSPGRP, t.group) // a terminal that has gone needs no return
}

// terminalName is the path of the terminal that a file is; "" if it is none.
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

// ownedByTerminal says whether a signal that came was one for a key or a new
// size of the terminal. It went to all processes in front then, the command
// among them, which must not get it twice.
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
