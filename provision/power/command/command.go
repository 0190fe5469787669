//go:build linux

// Package command switches a machine by a program of the user's own, for whatever
// speaks no protocol that we know: a switched power strip, a hypervisor, a relay.
package command

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os/exec"
	"strings"
	"syscall"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"cloudlets/provision/power"
)

// The names of all environment variables that a program gets.
const (
	actionVariable   = "CLOUDLETS_ACTION"
	macVariable      = "CLOUDLETS_MAC"
	hostnameVariable = "CLOUDLETS_HOSTNAME"
)

// StateAction is the action for which a program prints "on" or "off".
const StateAction = "state"

const (
	// maxOutput bounds what is kept of a program's output and of its errors, each,
	// in bytes. The rest is read and dropped.
	maxOutput = 4096
	// drainTime is how long the output is read after the program's end, if something
	// that it started holds it open.
	drainTime = time.Second
)

// Controller runs a program for each action.
type Controller struct {
	// Command is the program's absolute path, and its arguments. No shell reads them.
	Command []string
	// MAC and Hostname are the machine's.
	MAC, Hostname string
}

var _ power.Controller = (*Controller)(nil)

// State implements [power.Controller]. A program that prints neither "on" nor "off"
// cannot tell.
func (c *Controller) State(ctx context.Context) (power.State, error) {
	out, err := c.run(ctx, StateAction)
	if err != nil {
		return power.Unknown, err
	}
	return power.ParseState(out), nil
}

// Do implements [power.Controller].
func (c *Controller) Do(ctx context.Context, action power.Action) error {
	_, err := c.run(ctx, string(action))
	return err
}

// run runs the program until it ends or ctx does. Whatever it started and left in its
// process group ends with it.
func (c *Controller) run(ctx context.Context, action string) (string, error) {
	cmd := newCommand(ctx, c.Command, action, c.MAC, c.Hostname)
	var out, problems bounded
	cmd.Stdout, cmd.Stderr = &out, &problems
	cmd.WaitDelay = drainTime
	err := cmd.Start()
	if err == nil {
		// The group is killed before Wait frees its number, which may be another's then.
		awaitEnd(cmd.Process.Pid)
		_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		err = cmd.Wait()
	}
	if errors.Is(err, exec.ErrWaitDelay) {
		err = nil // the program ended well, and left something behind
	}
	if ctx.Err() != nil {
		return "", fmt.Errorf("run %s for the power action %q: it took too long and was ended: %w", c.Command[0], action, ctx.Err())
	}
	if err != nil {
		return "", fmt.Errorf("run %s for the power action %q: %w%s", c.Command[0], action, err, problems.said())
	}
	return out.String(), nil
}

// newCommand is a program with our variables alone, and a process group of its own that
// ends with ctx.
func newCommand(ctx context.Context, words []string, action, mac, hostname string) *exec.Cmd {
	cmd := exec.CommandContext(ctx, words[0], words[1:]...)
	cmd.Dir = "/"
	cmd.Env = []string{actionVariable + "=" + action, macVariable + "=" + mac, hostnameVariable + "=" + hostname}
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL) }
	return cmd
}

// awaitEnd returns when a child has ended, and leaves it to be waited for.
func awaitEnd(pid int) {
	for {
		if err := unix.Waitid(unix.P_PID, pid, nil, unix.WEXITED|unix.WNOWAIT, nil); err != unix.EINTR {
			return
		}
	}
}

// bounded keeps the beginning of what is written.
type bounded struct{ bytes.Buffer }

// Write implements [io.Writer]. It never fails.
func (b *bounded) Write(p []byte) (int, error) {
	b.Buffer.Write(p[:min(len(p), maxOutput-b.Len())])
	return len(p), nil
}

// said is ": " and the last line that is not empty, or "".
func (b *bounded) said() string {
	lines := strings.FieldsFunc(b.String(), func(r rune) bool { return r == '\n' || r == '\r' })
	for i := len(lines) - 1; i >= 0; i-- {
		if line := strings.TrimSpace(strings.Map(printable, lines[i])); line != "" {
			return ": " + line
		}
	}
	return ""
}

func printable(r rune) rune {
	if unicode.IsPrint(r) {
		return r
	}
	return ' '
}
