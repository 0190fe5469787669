//go:build unix

package worktree

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"time"

	"cloudlets/images/vcs"
	"cloudlets/images/vcs/commands"

	"golang.org/x/sys/unix"
)

// private runs a program so that only its user can read what it makes. It uses
// a shell, because the umask belongs to a whole process and this package must
// not change it for its own process.
var private = []string{"sh", "-c", `umask 077 && exec "$@"`, "sh"}

// grace is how long the tool may take to end after it was told to. Processes
// that it started may hold the output open for the same time after its end.
const grace = 30 * time.Second

// execute runs the tool for the user and returns its exit code.
func (s *session) execute(ctx context.Context, args []string, env ...string) (int, error) {
	cmd := s.command(ctx, args, env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = s.Stdin, s.Stdout, s.Stderr
	defer func() { s.held = nil }()
	return s.wait(cmd)
}

// command returns the tool with its options and the user's arguments. It has no
// input and no output yet.
func (s *session) command(ctx context.Context, args []string, env ...string) *exec.Cmd {
	words := append(private[1:len(private):len(private)], s.program)
	words = append(words, s.options()...)
	words = append(words, args...)
	cmd := exec.CommandContext(ctx, private[0], words...)
	cmd.Env = vcs.Environment(append(s.tool.env(), env...)...)
	cmd.WaitDelay = grace
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	if s.asked.Effect != commands.Clones { // the URL of a clone is relative to the user's directory
		cmd.Dir = s.Dir
	}
	return cmd
}

// wait starts the tool, passes signals on to it, and waits for its end.
func (s *session) wait(cmd *exec.Cmd) (int, error) {
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start %s: %w", s.program, err)
	}
	stop := s.forward(cmd.Process)
	err := cmd.Wait()
	stop()
	return exitCode(cmd.ProcessState, err)
}

// options returns the tool's options, which come before the user's arguments.
func (s *session) options() []string {
	ignore := os.DevNull
	if s.state != nil {
		ignore = s.state.file(ignoreFile)
	}
	return s.tool.options(ignore, s.asked.Effect == commands.Creates || s.asked.Effect == commands.Clones)
}

// exitCode returns the exit code that a shell would report for a process.
func exitCode(state *os.ProcessState, err error) (int, error) {
	if _, ok := errors.AsType[*exec.ExitError](err); err != nil && !ok && (state == nil || !state.Exited()) {
		return 0, err
	}
	if status, ok := state.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return 128 + int(status.Signal()), nil
	}
	return state.ExitCode(), nil
}

// forward passes signals on to the tool until the returned function is called.
func (s *session) forward(p *os.Process) (stop func()) {
	if s.Signals == nil {
		return func() {}
	}
	done, ended := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case sig := <-s.Signals:
				s.signalled.Store(true)
				if !fromTerminal(sig) {
					_ = p.Signal(sig) // the process may have just ended
				}
			case <-done:
				return
			}
		}
	}()
	return func() { close(done); <-ended }
}

// fromTerminal reports whether the terminal has sent the signal to the tool as
// well. The tool must not get it twice, because a second signal would look like
// impatience.
func fromTerminal(sig os.Signal) bool {
	if sig != os.Interrupt && sig != syscall.SIGQUIT {
		return false
	}
	tty, err := unix.Open("/dev/tty", unix.O_RDONLY|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return false
	}
	defer unix.Close(tty)
	group, err := unix.IoctlGetInt(tty, unix.TIOCGPGRP)
	return err == nil && group == unix.Getpgrp()
}
