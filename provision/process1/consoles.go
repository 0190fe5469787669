package process1

import (
	"io"
	"log/slog"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Consoles returns a writer to every console that the kernel writes to, since a
// person may be in front of any of them. It never waits for a console that blocks,
// such as a serial port without a cable. /sys must be mounted.
func Consoles() io.Writer {
	active, err := os.ReadFile("/sys/class/tty/console/active")
	if err != nil {
		return os.Stdout
	}
	var all consoles
	for name := range strings.FieldsSeq(string(active)) {
		if c, err := openConsole("/dev/" + name); err == nil {
			all = append(all, c)
		}
	}
	if len(all) == 0 {
		return os.Stdout
	}
	return all
}

// console is a descriptor that does not block. As an [os.File] it would be one of the Go
// runtime's own, for which a write waits as long as the terminal takes nothing.
type console int

func openConsole(name string) (console, error) {
	fd, err := unix.Open(name, unix.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	return console(fd), err
}

// Write writes what the terminal takes now.
func (c console) Write(p []byte) (int, error) { return unix.Write(int(c), p) }

type consoles []io.Writer

// Write writes to each console, even if others fail.
func (c consoles) Write(p []byte) (int, error) {
	for _, w := range c {
		_, _ = w.Write(p)
	}
	return len(p), nil
}

// NewLog returns a log for a console. It leaves out the time, since the clock of a
// machine that has just been switched on may be wrong.
func NewLog(console io.Writer) *slog.Logger {
	return slog.New(slog.NewTextHandler(console, &slog.HandlerOptions{ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
		if len(groups) == 0 && a.Key == slog.TimeKey {
			return slog.Attr{}
		}
		return a
	}}))
}
