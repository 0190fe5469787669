// Package live is process 1 of a live system's RAM disk. It loads drivers and
// finds the medium that the machine was booted from. It mounts the root filesystem,
// which is a file on the medium, with a layer in memory for changes. Then it starts
// the system's own init. Start reading at [Main]. [Mount] serves live machines, too, whose
// root comes from a server.
package live

import (
	"context"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/boot"
	"cloudlets/images/target"
	"cloudlets/provision/kmod"
	"cloudlets/provision/process1"
)

// patience is how long a medium may take to appear, e.g. until a CD drive has spun
// up or a USB controller has found its devices.
const patience = 2 * time.Minute

// alwaysLoaded are modules that are needed, but that no device's alias names.
var alwaysLoaded = append([]string{"sd_mod", "sr_mod", "loop", "isofs"}, Modules...)

// Params are a live system's words on the kernel's command line.
type Params struct {
	ID   uuid.UUID // of the medium
	Init string    // the first program
}

// ParseParams reads a kernel's command line. If a word is there twice, the last one
// counts, as it does for the kernel.
func ParseParams(cmdline string) (Params, error) {
	p := Params{Init: boot.DefaultInit}
	id := ""
	for _, word := range boot.KernelWords(cmdline) {
		if value, ok := strings.CutPrefix(word, target.LiveWord); ok {
			id = value
		}
		if value, ok := strings.CutPrefix(word, boot.InitWord); ok && value != "" {
			p.Init = value
		}
	}
	var err error
	if p.ID, err = uuid.Parse(id); err != nil {
		return p, fmt.Errorf("the kernel's command line has %s%q, which must be the identifier of the medium; start the system from the medium's own boot menu, which has it: %w", target.LiveWord, id, err)
	}
	if !strings.HasPrefix(p.Init, "/") {
		return p, fmt.Errorf("the kernel's command line has %s%q, which must be a path that begins with /", boot.InitWord, p.Init)
	}
	return p, nil
}

// Asked says whether a kernel's command line is that of a live system.
func Asked(cmdline string) bool {
	return slices.ContainsFunc(boot.KernelWords(cmdline), func(word string) bool { return strings.HasPrefix(word, target.LiveWord) })
}

// Main does the work of process 1. It does not return: it either starts the
// system's init in its place, or prints an error and waits for a restart.
func Main(version, cmdline string) {
	console := process1.Consoles()
	fmt.Fprintf(console, "cloudlets %s: starting the live system\n", version)
	err := run(context.Background(), console, cmdline)
	fmt.Fprintf(console, "\ncloudlets: the live system does not start: %v\n\n"+
		"cloudlets: nothing on this machine was changed; correct the cause, and restart it with Ctrl-Alt-Del or its power switch\n", err)
	for {
		time.Sleep(time.Hour) // process 1 must not end: the kernel would panic
	}
}

// run returns only with an error.
func run(ctx context.Context, console io.Writer, cmdline string) error {
	params, err := ParseParams(cmdline)
	if err != nil {
		return err
	}
	log := process1.NewLog(console)
	drivers, err := kmod.Begin(ctx, log, alwaysLoaded...)
	if err != nil {
		return err
	}
	waiting, stop := context.WithTimeout(ctx, patience)
	defer stop()
	s := search{dir: "/sys/class/block", dev: "/dev", id: params.ID}
	medium, err := s.wait(waiting, func(ctx context.Context) error {
		_, err := drivers.LoadNew(ctx)
		return err
	})
	if err != nil {
		return err
	}
	fmt.Fprintf(console, "cloudlets: the system is on %s\n", medium)
	if err := assemble(medium); err != nil {
		return err
	}
	return process1.SwitchRoot(process1.NewRoot, params.Init)
}
