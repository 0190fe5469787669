//go:build linux

// Package chroot enters an image: it runs a command with a directory as its
// root, in mount, PID, UTS and IPC namespaces of its own, over a throw-away
// layer. It takes root, or a kernel that lets users have namespaces.
//
// It keeps apart what is inside and what is outside, so that nothing stays
// mounted or running behind; it is no jail for programs that mean harm. As
// root, what runs inside is root on this machine's kernel and network.
package chroot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"syscall"

	"golang.org/x/sys/unix"
)

// Spec says what to run in which image.
type Spec struct {
	// Dir is the directory that becomes the root.
	Dir string
	// Hostname is what the machine is called inside; what no host name may
	// hold becomes "-". Empty, it is "cloudlet".
	Hostname string
	// Write lets the command change the directory. Without, all it writes is
	// gone when it ends.
	Write bool
	// Command is the program and its arguments. A program without a slash is
	// looked for in PATH.
	Command []string
	// Env is the whole environment: see [Environment].
	Env map[string]string
	// Checks are commands for the image's /bin/sh, run before Command. One
	// that fails stops the entry.
	Checks []string
	// Stdin, Stdout and Stderr are the command's; nil is /dev/null. A
	// terminal stays the caller's: the command shares its process group.
	Stdin, Stdout, Stderr *os.File
	// Signals are passed on to the command, less those that a terminal has
	// sent to it already. nil passes on none.
	Signals <-chan os.Signal
	// Child is how this program, which is started again, is to know that its
	// role is [Child]: its arguments, and its name before them.
	Child []string
	// Log takes warnings; nil is silent.
	Log *slog.Logger
}

// The exit codes of a command that could not be started, as shells have them.
const (
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// firstSignalExit is the exit code of a command that signal 0 would end.
const firstSignalExit = 128

// ErrCheck says that one of [Spec.Checks] failed.
var ErrCheck = errors.New("the image does not meet a requirement")

// Run runs a command in an image and waits for it. It returns the command's
// exit code, 128 and the signal's number where a signal ended it. The error
// says why there was no command to wait for; with the codes
// [ExitNotFound] and [ExitNotExecutable] it is the command that was wrong.
//
// When the context ends, so does all that runs inside. The same holds for the
// end of this process, whatever ends it.
func Run(ctx context.Context, spec Spec) (exit int, err error) {
	if len(spec.Command) == 0 || len(spec.Child) == 0 {
		return 0, errors.New("enter an image: there is no command to run")
	}
	s, err := newSession(spec)
	if err != nil {
		return 0, fmt.Errorf("enter %s: %w", spec.Dir, err)
	}
	defer s.close()
	// The child dies with the thread that made it, so this one must stay.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	terminal := holdTerminal(spec.Stdin)
	defer terminal.restore()
	result, err := s.run(ctx)
	if err != nil {
		return 0, fmt.Errorf("enter %s: %w", spec.Dir, err)
	}
	return result.outcome(spec.Dir)
}

// session is one entry, seen from outside.
type session struct {
	spec    Spec
	users   bool     // in a user namespace
	control *os.File // orders go in; its end tells the child that we are gone
	reports *os.File // the result comes out
	cmd     *exec.Cmd
}

func newSession(spec Spec) (*session, error) {
	dir, err := filepath.Abs(spec.Dir)
	if err != nil {
		return nil, err
	}
	if info, err := os.Stat(dir); err != nil {
		return nil, err
	} else if !info.IsDir() {
		return nil, errors.New("it is not a directory")
	}
	spec.Dir = dir
	if spec.Log == nil {
		spec.Log = slog.New(slog.DiscardHandler)
	}
	return &session{spec: spec, users: os.Geteuid() != 0}, nil
}

// close lets go of the child, which ends with that if it has not yet.
func (s *session) close() {
	for _, f := range []*os.File{s.control, s.reports} {
		if f != nil {
			_ = f.Close() // nothing is lost with a pipe
		}
	}
}

func (s *session) run(ctx context.Context) (result, error) {
	if err := s.start(ctx); err != nil {
		return result{}, err
	}
	done := make(chan struct{})
	sent := make(chan error, 1)
	go func() { sent <- s.direct(ctx, done) }()
	err := s.cmd.Wait()
	close(done)
	problem := <-sent
	switch r, told := readResult(s.reports); {
	case told:
		return r, nil
	case ctx.Err() != nil:
		return result{}, context.Cause(ctx)
	case problem != nil:
		return result{}, problem
	default:
		return result{}, fmt.Errorf("what ran inside was ended from outside: %w", cmp.Or(err, io.ErrUnexpectedEOF))
	}
}

// start starts the child in its namespaces.
func (s *session) start(ctx context.Context) error {
	orders, control, err := os.Pipe()
	if err != nil {
		return err
	}
	defer orders.Close()
	s.control = control
	reports, told, err := os.Pipe()
	if err != nil {
		return err
	}
	defer told.Close()
	s.reports = reports
	args := s.spec.Child
	flags := uintptr(unix.CLONE_NEWNS | unix.CLONE_NEWPID | unix.CLONE_NEWUTS | unix.CLONE_NEWIPC)
	if s.users {
		flags |= unix.CLONE_NEWUSER
		args = append(args[:len(args):len(args)], stageUnmapped)
	}
	s.cmd = exec.CommandContext(ctx, "/proc/self/exe")
	s.cmd.Args = args
	s.cmd.Env = []string{} // it can be read inside, and what is ours is no business of the image
	if s.spec.Stdin != nil {
		s.cmd.Stdin = s.spec.Stdin
	}
	if s.spec.Stdout != nil {
		s.cmd.Stdout = s.spec.Stdout
	}
	if s.spec.Stderr != nil {
		s.cmd.Stderr = s.spec.Stderr
	}
	s.cmd.ExtraFiles = []*os.File{orders, told} // ordersFD and reportsFD
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: flags, Pdeathsig: unix.SIGKILL}
	if err := s.cmd.Start(); err != nil {
		return s.explain(err)
	}
	return nil
}

// explain says what may stand in the way of namespaces.
func (s *session) explain(err error) error {
	switch {
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EINVAL):
		return err
	case s.users:
		return fmt.Errorf("make a user namespace: %w; this system allows users none (see the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns): run it as root", err)
	}
	return fmt.Errorf("make namespaces: %w; root needs the capability CAP_SYS_ADMIN for it, which containers often lack", err)
}

// direct tells the child what to do, and passes signals on until done.
func (s *session) direct(ctx context.Context, done <-chan struct{}) error {
	if s.users {
		if err := s.mapUsers(ctx); err != nil {
			_ = s.cmd.Process.Kill() // it waits for what will not come
			return err
		}
	}
	orders := newWriter(s.control)
	if err := orders.order(s.order()); err != nil {
		return nil // the child has ended, and says why
	}
	for {
		select {
		case <-done:
			return nil
		case sig := <-s.spec.Signals:
			number, ok := sig.(syscall.Signal)
			if !ok || ownedByTerminal(number) {
				continue
			}
			if err := orders.signal(number); err != nil {
				return nil
			}
		}
	}
}

func (s *session) order() order {
	hostname := s.spec.Hostname
	if hostname == "" {
		hostname = "cloudlet"
	}
	resolver, err := os.ReadFile("/etc/resolv.conf")
	if err != nil {
		s.spec.Log.Warn("no resolver inside: this machine has none to hand on", "error", err)
	}
	return order{
		Dir: s.spec.Dir, Hostname: hostnameOf(hostname), Write: s.spec.Write, Users: s.users,
		Command: s.spec.Command, Env: s.spec.Env, Checks: s.spec.Checks, Resolver: resolver,
		Terminal: terminalName(s.spec.Stdin),
	}
}
