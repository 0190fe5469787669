// Package live is process 1 of a live system's RAM disk: it loads drivers,
// finds the medium that the machine was booted from, mounts the root
// filesystem that is a file there, with a layer in memory for what is changed,
// and hands over to the system's own first program.
package live

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/boot"
	"cloudlets/images/target"
	"cloudlets/provision/kmod"
	"cloudlets/provision/process1"
)

// patience is how long a medium may take to appear: a CD drive spins up, and a
// USB controller counts its devices.
const patience = 2 * time.Minute

// alwaysLoaded are modules that no device asks for by its alias.
var alwaysLoaded = []string{"sd_mod", "sr_mod", "loop", "isofs", "erofs", "overlay"}

// Params are what the kernel's command line says to a live system.
type Params struct {
	ID   uuid.UUID // of the medium
	Init string    // the first program
}

// ParseParams reads a kernel's command line. Of words that there are twice
// the last one counts, as with the kernel.
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
		return p, fmt.Errorf("the kernel's command line has %s%q: it is the identifier of the medium, and the boot menu has it: %w", target.LiveWord, id, err)
	}
	if !strings.HasPrefix(p.Init, "/") {
		return p, fmt.Errorf("the kernel's command line has %s%q: it is a path from the root", boot.InitWord, p.Init)
	}
	return p, nil
}

// Asked says whether a kernel's command line is that of a live system.
func Asked(cmdline string) bool {
	return slices.ContainsFunc(boot.KernelWords(cmdline), func(word string) bool { return strings.HasPrefix(word, target.LiveWord) })
}

// Main is the whole life of process 1, up to its successor.
func Main(version, cmdline string) {
	console := process1.Consoles()
	fmt.Fprintf(console, "cloudlets %s: starting the live system\n", version)
	err := run(context.Background(), console, cmdline)
	fmt.Fprintf(console, "\ncloudlets: the live system does not start: %v\n\n"+
		"cloudlets: this machine stays as it is; mend the cause, and restart it by Ctrl-Alt-Del or its switch\n", err)
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
	log := slog.New(slog.NewTextHandler(console, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	drivers, err := kmod.New("/lib/modules", log)
	if err == nil {
		err = drivers.LoadAll(ctx, alwaysLoaded...)
	}
	if err != nil {
		return fmt.Errorf("load drivers: %w", err)
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
	return process1.SwitchRoot(newRoot, params.Init)
}

// withoutTime leaves out the time of day, which a RAM disk does not know.
func withoutTime(_ []string, a slog.Attr) slog.Attr {
	if a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}
