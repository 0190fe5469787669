package rescue

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"cloudlets/images/pause"
	"cloudlets/provision/process1"
)

// shells are the programs that are looked for, the best one first.
var shells = []string{"/bin/bash", "/bin/sh", "/usr/bin/sh"}

// FindShell returns the shell of the system below root.
func FindShell(root string) (string, error) {
	var why error
	for _, shell := range shells {
		err := process1.CheckProgram(root, shell)
		if err == nil {
			return shell, nil
		}
		why = err
	}
	return "", fmt.Errorf("find a shell among %s: %w", strings.Join(shells, ", "), why)
}

// terminals are the devices of the kernel's consoles, on which a person can type. "tty0"
// is whichever virtual terminal is shown, and has no input of its own.
func terminals(active string) []string {
	names := strings.Fields(active)
	for i, name := range names {
		if name == "tty0" {
			names[i] = "tty1"
		}
	}
	if len(names) == 0 {
		return []string{"console"}
	}
	return names
}

// serve keeps a shell on a terminal until ctx ends.
func (s *System) serve(ctx context.Context, name string) {
	for {
		if err := s.shell(name); err != nil {
			s.Log.Warn("no shell on this console", "console", name, "error", err)
			return
		}
		if pause.For(ctx, again) != nil {
			return
		}
	}
}

// shell starts a shell on a terminal and waits until it ends.
func (s *System) shell(name string) error {
	tty, err := openTerminal(filepath.Join("/dev", name))
	if err != nil {
		return err
	}
	_, _ = io.WriteString(tty, s.greeting)
	cmd := &exec.Cmd{
		Path: s.Shell, Args: []string{"-" + filepath.Base(s.Shell)}, Dir: home(), Env: environment(name),
		Stdin: tty, Stdout: tty, Stderr: tty,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Setctty: true},
	}
	ended, err := s.children.Start(cmd)
	tty.Close()
	if err != nil {
		return fmt.Errorf("start %s: %w", s.Shell, err)
	}
	<-ended
	return nil
}

// openTerminal opens a terminal without waiting for a carrier, which a serial line may
// never have. The shell's reads and writes wait, as usual.
func openTerminal(name string) (*os.File, error) {
	fd, err := unix.Open(name, unix.O_RDWR|unix.O_NOCTTY|unix.O_NONBLOCK|unix.O_CLOEXEC, 0)
	if err == nil {
		err = unix.SetNonblock(fd, false)
	}
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", name, err)
	}
	return os.NewFile(uintptr(fd), name), nil
}

func home() string {
	if info, err := os.Stat("/root"); err == nil && info.IsDir() {
		return "/root"
	}
	return "/"
}

func environment(terminal string) []string {
	term := "vt220" // what a serial line most often leads to
	if strings.HasPrefix(terminal, "tty") && strings.Trim(terminal, "ty0123456789") == "" {
		term = "linux"
	}
	return []string{"PATH=" + process1.Path, "TERM=" + term, "HOME=" + home(), "USER=root", "LOGNAME=root"}
}
