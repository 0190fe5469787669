package process1

import (
	"io"
	"os"
	"strings"

	"golang.org/x/sys/unix"
)

// Consoles is every console that the kernel writes to: a person may be in
// front of any of them. One that blocks, a serial port without its cable, is
// passed over. /sys must be mounted.
func Consoles() io.Writer {
	active, err := os.ReadFile("/sys/class/tty/console/active")
	if err != nil {
		return os.Stdout
	}
	var all consoles
	for name := range strings.FieldsSeq(string(active)) {
		if f, err := os.OpenFile("/dev/"+name, os.O_WRONLY|unix.O_NOCTTY|unix.O_NONBLOCK, 0); err == nil {
			all = append(all, f)
		}
	}
	if len(all) == 0 {
		return os.Stdout
	}
	return all
}

type consoles []io.Writer

// Write writes to each, whatever becomes of the others.
func (c consoles) Write(p []byte) (int, error) {
	for _, w := range c {
		_, _ = w.Write(p)
	}
	return len(p), nil
}
