//go:build linux

package chroot

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"cloudlets/images/boot"
)

// Environment returns the default environment of a program in an image, changed
// by the settings; later settings override earlier ones. The kind of the
// terminal comes from this process.
func Environment(settings ...map[string]string) map[string]string {
	env := map[string]string{"PATH": boot.DefaultPath, "HOME": "/root", "USER": "root", "LOGNAME": "root"}
	for _, name := range []string{"TERM", "COLORTERM"} {
		if value := os.Getenv(name); value != "" {
			env[name] = value
		}
	}
	for _, set := range settings {
		for name, value := range set {
			env[name] = value
		}
	}
	return env
}

// environ converts an environment to the form that the kernel takes, sorted.
func environ(env map[string]string) []string {
	list := make([]string, 0, len(env))
	for name, value := range env {
		list = append(list, name+"="+value)
	}
	slices.Sort(list)
	return list
}

// processes is what process 1 knows about the process for which it waits.
type processes struct {
	mu      sync.Mutex
	current int              // process ID, or 0
	held    []syscall.Signal // arrived while there was no process
}

// signal sends a signal to the current process. If there is none, the next
// process gets it.
func (p *processes) signal(s syscall.Signal) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.current == 0 {
		p.held = append(p.held, s)
		return
	}
	_ = unix.Kill(p.current, s) // this fails only if the process has just ended
}

// run runs a command with the standard files and returns its exit code.
func (p *processes) run(command []string, env map[string]string) (int, error) {
	file, err := lookup(command[0], env["PATH"])
	if err != nil {
		return 0, err
	}
	ws, err := p.wait(file, command, env, []uintptr{0, 1, 2})
	if err != nil {
		return 0, startProblem(command[0], file, err)
	}
	return exitCode(ws), nil
}

// wait starts a program and waits for its end. Meanwhile it reaps every other
// process that ends.
func (p *processes) wait(file string, args []string, env map[string]string, files []uintptr) (syscall.WaitStatus, error) {
	pid, err := p.start(file, args, env, files)
	if err != nil {
		return 0, err
	}
	for {
		var ws syscall.WaitStatus
		switch ended, err := syscall.Wait4(-1, &ws, 0, nil); {
		case errors.Is(err, unix.EINTR):
		case err != nil:
			return 0, fmt.Errorf("wait for %s: %w", file, err)
		case ended == pid:
			p.mu.Lock()
			p.current = 0
			p.mu.Unlock()
			return ws, nil
		}
	}
}

func (p *processes) start(file string, args []string, env map[string]string, files []uintptr) (int, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pid, err := syscall.ForkExec(file, args, &syscall.ProcAttr{Env: environ(env), Files: files})
	if err != nil {
		return 0, err
	}
	p.current = pid
	for _, s := range p.held {
		_ = unix.Kill(pid, s) // it has just been started
	}
	p.held = nil
	return pid, nil
}

// check runs a command line with the image's shell. The error contains the end
// of its output.
func (p *processes) check(line string, env map[string]string) error {
	fd, err := unix.MemfdCreate("output", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make a place for the output of %q: %w", line, err)
	}
	output := os.NewFile(uintptr(fd), "output")
	defer output.Close()
	nothing, err := os.OpenFile("/dev/null", os.O_RDWR, 0)
	if err != nil {
		return err
	}
	defer nothing.Close()
	const shell = "/bin/sh"
	ws, err := p.wait(shell, []string{shell, "-c", line}, env, []uintptr{nothing.Fd(), output.Fd(), output.Fd()})
	if err != nil {
		return startProblem(shell, shell, err)
	}
	if code := exitCode(ws); code != 0 {
		return fmt.Errorf("%w: %q ended with exit code %d%s", ErrCheck, line, code, tail(output))
	}
	return nil
}

// tail returns the end of a check's output, as a part of a sentence.
func tail(f *os.File) string {
	size, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return ""
	}
	text := make([]byte, min(size, maxOutput))
	n, err := f.ReadAt(text, size-int64(len(text)))
	if err != nil && !errors.Is(err, io.EOF) {
		return ""
	}
	words := strings.ToValidUTF8(strings.TrimSpace(string(text[:n])), "\uFFFD")
	if words == "" {
		return " and printed nothing"
	}
	return ": " + words
}

// startError is the error of a command that could not be started, with its exit
// code.
type startError struct {
	exit int
	err  error
}

func (e *startError) Error() string { return e.err.Error() }

func (e *startError) Unwrap() error { return e.err }

// lookup finds a program as execvp does: by its path, or in PATH.
func lookup(name, path string) (string, error) {
	if strings.Contains(name, "/") {
		return name, nil
	}
	if path == "" {
		path = boot.DefaultPath
	}
	for dir := range strings.SplitSeq(path, ":") {
		file := filepath.Join("/", dir, name)
		if info, err := os.Stat(file); err == nil && info.Mode().IsRegular() && info.Mode()&0o111 != 0 {
			return file, nil
		}
	}
	return "", &startError{ExitNotFound, fmt.Errorf("%s: the image has no such command in %s", name, path)}
}

// startProblem explains why a program could not be started.
func startProblem(name, file string, err error) error {
	_, statErr := os.Stat(file)
	switch {
	case errors.Is(err, fs.ErrNotExist) && statErr == nil:
		return &startError{ExitNotFound, fmt.Errorf("%s: the image lacks the interpreter or loader that it needs: %w", name, err)}
	case errors.Is(err, fs.ErrNotExist), errors.Is(err, unix.ENOTDIR):
		return &startError{ExitNotFound, fmt.Errorf("%s: the image does not contain it: %w", name, err)}
	case errors.Is(err, unix.ENOEXEC):
		return &startError{ExitNotExecutable, fmt.Errorf("%s: this machine cannot run it; is it for another architecture? %w", name, err)}
	}
	return &startError{ExitNotExecutable, fmt.Errorf("%s: it cannot be executed: %w", name, err)}
}
