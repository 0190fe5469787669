// Package preinit is what a disk's kernel starts in the place of the image's
// own first program, where the disk asks for it: it grows the last partition
// into a disk that became larger, mounts the persistent partition, and then
// becomes that first program. So the same works for every distribution, with
// whatever RAM disk and init it has.
package preinit

import (
	"context"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/boot"
	"cloudlets/images/target"
	"cloudlets/provision/process1"
)

// Params are what the kernel's command line says.
type Params struct {
	Grow       bool
	Persistent bool
	Init       string // the image's own first program
}

// ParseParams reads a kernel's command line.
func ParseParams(cmdline string) (Params, error) {
	p := Params{Init: boot.DefaultInit}
	for _, word := range boot.KernelWords(cmdline) {
		switch {
		case word == target.GrowWord:
			p.Grow = true
		case word == target.PersistentWord:
			p.Persistent = true
		case strings.HasPrefix(word, target.SystemInitWord):
			p.Init = strings.TrimPrefix(word, target.SystemInitWord)
		}
	}
	if !strings.HasPrefix(p.Init, "/") {
		return p, fmt.Errorf("the kernel's command line has %s%q: it is a path from the root", target.SystemInitWord, p.Init)
	}
	return p, nil
}

// Main is the whole life of process 1, up to the image's own. The arguments
// are those that the kernel gave to it.
func Main(version string, args []string) {
	undo, err := process1.MountMissing()
	console := process1.Consoles()
	if err == nil {
		err = run(context.Background(), console, args, undo)
	}
	fmt.Fprintf(console, "\ncloudlets %s: the system does not start: %v\n\n"+
		"cloudlets: this machine stays as it is; restart it by Ctrl-Alt-Del or its switch; "+
		"with init=%s in the place of init=%s in the boot menu's entry it starts without what should come first\n",
		version, err, boot.DefaultInit, target.PreinitPath)
	for {
		time.Sleep(time.Hour) // process 1 must not end: the kernel would panic
	}
}

// run returns only with an error.
func run(ctx context.Context, console io.Writer, args []string, undo func()) error {
	cmdline, err := process1.Cmdline()
	if err != nil {
		return err
	}
	params, err := ParseParams(cmdline)
	if err != nil {
		return err
	}
	s := starter{root: "/", console: console}
	if err := s.prepare(ctx, params); err != nil {
		return err
	}
	undo()
	err = unix.Exec(params.Init, append([]string{params.Init}, args...), os.Environ())
	return fmt.Errorf("start %s: %w", params.Init, err)
}

// starter prepares the disk that a root filesystem is on, and tells a person
// what it does.
type starter struct {
	root    string
	console io.Writer
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
