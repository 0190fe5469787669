// Package preinit runs as process 1, before the image's own first program, if
// the disk's kernel command line says so. It grows the last partition if the
// disk became larger, mounts the persistent partition, and then starts the
// image's first program in its place. So this works for every distribution,
// whatever RAM disk and init it has. Start reading at [Main].
//
// If the system is on trial after an update, preinit leaves a process behind that
// watches over it: this program again, as [WatchName], which runs package trial.
package preinit

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/boot"
	"cloudlets/images/target"
	"cloudlets/provision/process1"
	"cloudlets/provision/trial"
)

// Params are this package's words on the kernel's command line.
type Params struct {
	Grow       bool
	Persistent bool
	Init       string // the image's own first program
	// Trial says that the system is on trial. Patience and Settle are how long it may
	// take to say that it runs, and must go on after that.
	Trial            bool
	Patience, Settle time.Duration
	// Running is the file by which the system says so, or "" if it is enough that its
	// init has begun.
	Running string
}

// ParseParams reads a kernel's command line. It returns an error if Init is not
// an absolute path.
func ParseParams(cmdline string) (Params, error) {
	p := Params{Init: boot.DefaultInit, Patience: trial.Patience, Settle: trial.Settle, Running: trial.RunningFile}
	for _, word := range boot.KernelWords(cmdline) {
		switch {
		case word == target.GrowWord:
			p.Grow = true
		case word == target.PersistentWord:
			p.Persistent = true
		case word == target.TrialWord:
			p.Trial = true
		case word == target.TrialRunsWord+target.RunsByFile:
			p.Running = trial.RunningFile
		case word == target.TrialRunsWord+target.RunsByInit:
			p.Running = ""
		case trialTime(word, target.TrialPatienceWord, &p.Patience), trialTime(word, target.TrialSettleWord, &p.Settle):
		case strings.HasPrefix(word, target.SystemInitWord):
			p.Init = strings.TrimPrefix(word, target.SystemInitWord)
		}
	}
	if !strings.HasPrefix(p.Init, "/") {
		return p, fmt.Errorf("the kernel's command line has %s%q: it is a path from the root", target.SystemInitWord, p.Init)
	}
	return p, nil
}

// Main does the work of process 1. It does not return: it either starts the
// image's own first program in its place, or prints an error and waits for a
// restart. The kernel's arguments args are passed on to that program.
func Main(version string, args []string) {
	undo, err := process1.MountMissing()
	console := process1.Consoles()
	var s started
	if err == nil {
		s, err = run(context.Background(), newStarter(console), args, undo)
	}
	fmt.Fprintf(console, "\ncloudlets %s: the system does not start: %v\n\n", version, err)
	switch {
	case !s.known:
		fmt.Fprint(console, "cloudlets: it may be on trial, so this program ends, and the kernel panics: a system on trial starts again then\n")
		os.Exit(1)
	case s.Trial:
		fmt.Fprint(console, "cloudlets: it is on trial, so the machine starts again in ten seconds\n")
		time.Sleep(10 * time.Second)
		fmt.Fprintf(console, "\ncloudlets: the machine does not start again: %v\n\n", process1.Reboot())
	}
	fmt.Fprintf(console, "cloudlets: this machine stays as it is; restart it by Ctrl-Alt-Del or its switch; "+
		"with init=%s in the place of init=%s in the boot menu's entry it starts without what should come first\n", boot.DefaultInit, target.PreinitPath)
	for {
		time.Sleep(time.Hour) // process 1 must not end: the kernel would panic
		runtime.KeepAlive(s.hold)
	}
}

// started is how far a start came that failed.
type started struct {
	Params
	// known says that the command line was read, so that Params.Trial counts.
	known bool
	// hold has the watcher wait, see [starter.watchTrial]. It stays open, as an end of it would
	// mean that the init has begun.
	hold *os.File
}

// run returns only with an error.
func run(ctx context.Context, s starter, args []string, undo func()) (at started, err error) {
	cmdline, err := process1.Cmdline()
	if err != nil {
		return at, err
	}
	at.known = true
	if at.Params, err = ParseParams(boot.JoinWords(cmdline, os.Getenv(process1.WordsVariable))); err != nil {
		return at, err
	}
	if at.hold, err = s.watch(at.Params); err != nil {
		return at, err
	}
	if err := s.prepare(ctx, at.Params); err != nil {
		return at, err
	}
	undo()
	// Starting the init closes hold.
	err = errors.Join(os.Unsetenv(process1.WordsVariable), unix.Exec(at.Init, append([]string{at.Init}, args...), os.Environ()))
	return at, fmt.Errorf("start %s: %w", at.Init, err)
}

// starter prepares the disk of the root filesystem, and says on the console
// what it does.
type starter struct {
	root    string
	console io.Writer
	// watch is [starter.watchTrial], which only works on a disk with two slots.
	watch func(Params) (hold *os.File, err error)
}

func newStarter(console io.Writer) starter {
	s := starter{root: "/", console: console}
	s.watch = s.watchTrial
	return s
}

func (s starter) say(format string, args ...any) {
	fmt.Fprintf(s.console, "cloudlets: "+format+"\n", args...)
}

// prepare does what the command line asks for. If growing fails, the system starts
// anyway. If the persistent partition cannot be mounted, it does not start: it would
// behave like a new machine.
func (s starter) prepare(ctx context.Context, params Params) error {
	if !params.Grow && !params.Persistent {
		return nil
	}
	d, err := diskOf(s.root)
	if err == nil && params.Grow {
		if err := d.grow(s.say); err != nil {
			s.lessRoom(err)
		}
	}
	if params.Persistent {
		if err == nil {
			err = d.mountPersistent(ctx, s)
		}
		if err != nil {
			return err
		}
	}
	if params.Grow {
		if err == nil {
			err = d.growFilesystem(s.say, s.root, target.PersistentDir)
		}
		if err != nil {
			s.lessRoom(err)
		}
	}
	return nil
}

func (s starter) lessRoom(err error) { s.say("%v: the system starts with the room that it has", err) }
