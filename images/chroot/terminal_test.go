//go:build linux

package chroot

import (
	"bufio"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// console is the master side of a command's terminal.
type console struct {
	t    *testing.T
	file *os.File
	out  *bufio.Reader
	seen strings.Builder
}

// openConsole makes a terminal. name is the path of the side for programs.
func openConsole(t *testing.T) (c *console, name string) {
	t.Helper()
	fd, err := unix.Open("/dev/ptmx", unix.O_RDWR|unix.O_NOCTTY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	file := os.NewFile(uintptr(fd), "/dev/ptmx")
	t.Cleanup(func() { _ = file.Close() })
	number, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0)
	}
	if err == nil {
		err = file.SetDeadline(time.Now().Add(patience))
	}
	if err != nil {
		t.Fatal(err)
	}
	return &console{t: t, file: file, out: bufio.NewReader(file)}, fmt.Sprintf("/dev/pts/%d", number)
}

// until reads until a text appears.
func (c *console) until(text string) {
	c.t.Helper()
	for !strings.Contains(c.seen.String(), text) {
		b, err := c.out.ReadByte()
		if err != nil {
			c.t.Fatalf("%q does not come: %v; what came is %q", text, err, c.seen.String())
		}
		c.seen.WriteByte(b)
	}
	c.seen.Reset()
}

func (c *console) write(text string) {
	c.t.Helper()
	if _, err := c.file.WriteString(text); err != nil {
		c.t.Fatal(err)
	}
}

// TestTerminal checks that the signal of a key arrives once, that the terminal
// has a name, and that the shell inside has job control.
func TestTerminal(t *testing.T) {
	for _, user := range []bool{false, true} {
		root := busybox(t)
		what := alone{Dir: root, Command: script(`trap 'echo interrupted' INT; tty; echo ready; until read line; do :; done; echo "got $line"; exit 6`)}
		cmd := program(t, what)
		if user {
			give(t, root, nobody)
			cmd = asUser(t, what)
		}
		c, name := openConsole(t)
		tty, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
		if err != nil {
			t.Fatal(err)
		}
		defer tty.Close()
		if err := tty.Chown(nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
		if cmd.SysProcAttr == nil {
			cmd.SysProcAttr = &unix.SysProcAttr{}
		}
		cmd.SysProcAttr.Setsid, cmd.SysProcAttr.Setctty = true, true
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		c.until("/dev/console")
		c.until("ready")
		c.write("\x03")
		c.until("interrupted")
		c.write("line\n")
		c.until("got line")
		_ = cmd.Wait() // its exit code says all
		if got := cmd.ProcessState.ExitCode(); got != 6 {
			t.Errorf("user %v: exit %d", user, got)
		}
	}
}

// TestSuspend checks that the suspend key stops both the command and the verb
// while the outer shell continues, and that "fg" continues both.
func TestSuspend(t *testing.T) {
	c, name := openConsole(t)
	tty, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer tty.Close()
	inner := program(t, alone{Dir: busybox(t), Command: script(`echo ready; read line; echo "got $line"; exit 6`)})
	shell := program(t, alone{})
	shell.Path = "/bin/bash"
	shell.Args = append([]string{"bash", "--norc", "--noprofile", "--noediting", "-i", "-c", `set -m; "$@"; echo "stopped $?"; fg >/dev/null; echo "ended $?"`, "bash"}, inner.Args...)
	shell.Stdin, shell.Stdout, shell.Stderr = tty, tty, tty
	shell.SysProcAttr = &unix.SysProcAttr{Setsid: true, Setctty: true}
	if err := shell.Start(); err != nil {
		t.Fatal(err)
	}
	c.until("ready")
	c.write("\x1a")
	c.until(fmt.Sprintf("stopped %d", 128+int(unix.SIGTSTP)))
	c.write("line\n")
	c.until("got line")
	c.until("ended 6")
	if err := shell.Wait(); err != nil {
		t.Error(err)
	}
}
