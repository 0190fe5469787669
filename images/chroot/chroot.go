//go:build linux

// Package chroot enters an image: it runs a command with a directory as its
// root, in its own mount, PID, UTS and IPC namespaces, over a throw-away layer.
// It needs root, or a kernel that lets ordinary users make namespaces.
//
// The package separates inside from outside so that nothing stays mounted or
// running afterwards. It does not contain malicious programs: if you run it as
// root, the command is root on this machine's kernel and network.
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

// Spec describes a command and the image to run it in.
type Spec struct {
	// Dir is the directory that becomes the root.
	Dir string
	// Hostname is the name of the machine inside. Characters that a host name
	// cannot contain become "-". "" means "cloudlet".
	Hostname string
	// Write lets the command change the directory. Otherwise all its changes
	// are lost when it ends.
	Write bool
	// Command is the program and its arguments. If the program has no slash, it
	// is looked up in PATH.
	Command []string
	// Env is the complete environment; see [Environment].
	Env map[string]string
	// Checks are command lines for the image's /bin/sh. They run before
	// Command, and if one fails, Command does not run.
	Checks []string
	// Stdin, Stdout and Stderr are those of the command; nil means /dev/null. A
	// terminal remains the caller's: the command is in the same process group.
	Stdin, Stdout, Stderr *os.File
	// Signals are passed on to the command, except those that a terminal has
	// already sent to it. If Signals is nil, none are passed on.
	Signals <-chan os.Signal
	// Child is the argument list, including argument 0, with which this program
	// starts itself again. The new process must then call [Child].
	Child []string
	// Log receives warnings. If it is nil, there are none.
	Log *slog.Logger
}

// The exit codes of a command that could not be started. Shells use the same.
const (
	ExitNotExecutable = 126
	ExitNotFound      = 127
)

// firstSignalExit plus the number of a signal is the exit code of a command
// that the signal ended.
const firstSignalExit = 128

// ErrCheck means that one of [Spec.Checks] failed.
var ErrCheck = errors.New("the image does not meet a requirement")

// Run runs a command in an image and waits for it. It returns the exit code of
// the command, or 128 plus the signal's number if a signal ended it. The error
// says why no command could be run. With the exit codes [ExitNotFound] and
// [ExitNotExecutable] the cause is the command itself.
//
// When the context ends, everything that runs inside is killed. The same
// happens if this process ends for any reason.
func Run(ctx context.Context, spec Spec) (exit int, err error) {
	if len(spec.Command) == 0 || len(spec.Child) == 0 {
		return 0, errors.New("enter an image: there is no command to run")
	}
	s, err := newSession(spec)
	if err != nil {
		return 0, fmt.Errorf("enter %s: %w", spec.Dir, err)
	}
	defer s.close()
	// The kernel kills the child when the thread that started it ends, so this
	// thread must not end.
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

// session is the state of one Run in the calling process.
type session struct {
	spec    Spec
	users   bool     // in a user namespace
	control *os.File // sends orders; when it closes, the child knows that this process is gone
	reports *os.File // receives the result
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

// close closes the pipes. If the child still runs, this ends it.
func (s *session) close() {
	for _, f := range []*os.File{s.control, s.reports} {
		if f != nil {
			_ = f.Close() // closing a pipe loses no data
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
		return result{}, fmt.Errorf("the processes inside were killed from outside: %w", cmp.Or(err, io.ErrUnexpectedEOF))
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
	s.cmd.Env = []string{} // programs of the image can read it, so do not leak ours
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

// explain adds to an error why the kernel may have refused the namespaces.
func (s *session) explain(err error) error {
	switch {
	case !errors.Is(err, unix.EPERM) && !errors.Is(err, unix.ENOSPC) && !errors.Is(err, unix.EINVAL):
		return err
	case s.users:
		return fmt.Errorf("make a user namespace: %w; this system does not allow users to make one (see the sysctls user.max_user_namespaces, kernel.unprivileged_userns_clone and kernel.apparmor_restrict_unprivileged_userns): run this as root", err)
	}
	return fmt.Errorf("make namespaces: %w; this needs the capability CAP_SYS_ADMIN, which root in a container often lacks", err)
}

// direct sends the child its order, and then passes signals on until done.
func (s *session) direct(ctx context.Context, done <-chan struct{}) error {
	if s.users {
		if err := s.mapUsers(ctx); err != nil {
			_ = s.cmd.Process.Kill() // it would wait forever
			return err
		}
	}
	orders := newWriter(s.control)
	if err := orders.order(s.order()); err != nil {
		return nil // the child has ended and has reported the reason
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
		s.spec.Log.Warn("no name resolution inside: cannot read this machine's resolver configuration", "error", err)
	}
	return order{
		Dir: s.spec.Dir, Hostname: hostnameOf(hostname), Write: s.spec.Write, Users: s.users,
		Command: s.spec.Command, Env: s.spec.Env, Checks: s.spec.Checks, Resolver: resolver,
		Terminal: terminalName(s.spec.Stdin),
	}
}
