// Package mirror is process 1 of the RAM disk by which a system on two disks starts. It
// loads drivers, has the kernel assemble the mirrors that the command line names, and starts
// the system on them. If one disk is missing or out of date, it goes on with the other. Start
// reading at [Main].
package mirror

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
	"golang.org/x/sys/unix"

	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/md"
	"cloudlets/images/target"
	"cloudlets/provision/kmod"
	"cloudlets/provision/process1"
)

const (
	// patience is how long the disks may take to appear before a person is told, and a system
	// on trial fails. grace is how long the second disk may take after the first.
	patience = 2 * time.Minute
	grace    = 15 * time.Second
)

// alwaysLoaded are modules that are needed, but that no device's alias names.
var alwaysLoaded = []string{"sd_mod", "raid1", "ext4"}

// Params are this package's words on the kernel's command line.
type Params struct {
	// Root is the mirror that has the root filesystem, and Data that with the persistent
	// one, or the zero UUID.
	Root, Data uuid.UUID
	Init       string // the first program
	// Trial says that the system is on trial: if it does not start, the machine starts again.
	Trial bool
}

// Asked says whether a kernel's command line is that of a system on a mirror.
func Asked(cmdline string) bool {
	return slices.ContainsFunc(boot.KernelWords(cmdline), func(word string) bool { return strings.HasPrefix(word, target.MirrorRootWord) })
}

// ParseParams reads a kernel's command line. If a word is there twice, the last one
// counts, as it does for the kernel.
func ParseParams(cmdline string) (Params, error) {
	p := Params{Init: boot.DefaultInit}
	var errs []error
	id := func(word, value string) uuid.UUID {
		id, err := uuid.Parse(value)
		if err != nil {
			errs = append(errs, fmt.Errorf("the kernel's command line has %s%q, which must be the UUID of an array; start the machine from its disk's own boot menu, which has it: %w", word, value, err))
		}
		return id
	}
	for _, word := range boot.KernelWords(cmdline) {
		if value, ok := strings.CutPrefix(word, target.MirrorRootWord); ok {
			p.Root = id(target.MirrorRootWord, value)
		}
		if value, ok := strings.CutPrefix(word, target.MirrorDataWord); ok {
			p.Data = id(target.MirrorDataWord, value)
		}
		if value, ok := strings.CutPrefix(word, boot.InitWord); ok && value != "" {
			p.Init = value
		}
		p.Trial = p.Trial || word == target.TrialWord
	}
	if !strings.HasPrefix(p.Init, "/") {
		errs = append(errs, fmt.Errorf("the kernel's command line has %s%q, which must be a path that begins with /", boot.InitWord, p.Init))
	}
	return p, errors.Join(errs...)
}

// arrays are the mirrors that the system needs, that of the root first.
func (p Params) arrays() []uuid.UUID {
	if p.Data == uuid.Nil {
		return []uuid.UUID{p.Root}
	}
	return []uuid.UUID{p.Root, p.Data}
}

// Main does the work of process 1. It does not return: it starts the system's first program
// in its place, with the arguments args, or prints an error and waits for a restart. A
// system on trial is restarted, so that the boot loader counts, and goes back in the end.
func Main(version, cmdline string, args []string) {
	console := process1.Consoles()
	fmt.Fprintf(console, "cloudlets %s: starting the system on two disks\n", version)
	params, err := ParseParams(cmdline)
	if err == nil {
		err = run(context.Background(), console, params, args)
	}
	fmt.Fprintf(console, "\ncloudlets: the system does not start: %v\n\n", err)
	if params.Trial {
		fmt.Fprintf(console, "cloudlets: it is on trial, so the machine starts again in ten seconds\n")
		time.Sleep(10 * time.Second)
		fmt.Fprintf(console, "cloudlets: %v\n", process1.Reboot())
	}
	fmt.Fprintf(console, "cloudlets: correct the cause, and restart the machine with Ctrl-Alt-Del or its power switch\n")
	for {
		time.Sleep(time.Hour) // process 1 must not end: the kernel would panic
	}
}

// run returns only with an error.
func run(ctx context.Context, console io.Writer, params Params, args []string) error {
	log := process1.NewLog(console)
	drivers, err := kmod.Begin(ctx, log, alwaysLoaded...)
	if err != nil {
		return err
	}
	s := search{dir: "/sys/class/block", dev: "/dev", want: params.arrays(), grace: grace}
	loadNew := func(ctx context.Context) error {
		_, err := drivers.LoadNew(ctx)
		return err
	}
	found, err := s.find(ctx, console, params.Trial, loadNew)
	if err != nil {
		return err
	}
	d := s.disks(found)
	if again, err := s.settle(console, params, d); err != nil {
		fmt.Fprintf(console, "cloudlets: %v\n", err) // the system starts all the same
	} else if again {
		fmt.Fprintf(console, "cloudlets: this disk was away, and did not know which system is good; it does now, and the machine starts again\n")
		return process1.Reboot()
	}
	for _, id := range params.arrays() {
		if err := start(ctx, console, id, d); err != nil {
			return err
		}
	}
	root := found[params.Root][0].array()
	if err := unix.Mount(root, process1.NewRoot, "ext4", unix.MS_RELATIME, ""); err != nil {
		return fmt.Errorf("mount %s, which has the root filesystem: %w", root, err)
	}
	return enter(params.Init, args)
}

// settle sees to a disk that was away: see [agree]. The arrays are not started yet.
func (s search) settle(console io.Writer, params Params, d disks) (again bool, err error) {
	latest := d.members.Latest()
	if latest < 0 {
		return false, nil // nobody was away
	}
	for n, away := range d.whole {
		if n == latest {
			continue
		}
		there := d.whole[latest]
		fmt.Fprintf(console, "cloudlets: the disk %s was away, and %s has what was written last\n", away.file, there.file)
		return agree(away, there, d.of(params.Root)[0].partition)
	}
	return false, nil
}

// start has the kernel start an array of those members that have its latest content, and
// says how it runs.
func start(ctx context.Context, console io.Writer, id uuid.UUID, d disks) error {
	all, members := d.of(id), d.current(id)
	if len(members) == 0 {
		return partOnly(id, all[0].file)
	}
	var files []string
	for _, m := range members {
		files = append(files, m.file)
	}
	file, err := md.Assemble(ctx, disk.ArrayNumber(disk.Partition{Number: members[0].partition}), files)
	if err != nil {
		return err
	}
	state, err := md.Look(file)
	if err != nil {
		return err
	}
	if text := runsAs(members[0].member.Name, files[0], len(all), state); text != "" {
		fmt.Fprintf(console, "cloudlets: %s\n", text)
	}
	return nil
}

// runsAs says for a person how an array runs that has fewer members in use than it should, of
// which there are so many. It is "" if nothing is missing.
func runsAs(name, file string, there int, state md.State) string {
	switch {
	case state.Active >= state.Places:
		return ""
	case state.Active+state.Filling >= state.Places:
		return name + " runs on one disk of two until the kernel has made the other one the same: it goes on with that now"
	case there < state.Places:
		return name + " runs on one disk of two: the other one is missing, and only " + file + " was found"
	}
	return name + " runs on one disk of two: the other one was away, and is out of date; the next install makes both the same again, or mdadm does"
}

// enter makes the mounted root the root, and starts its first program in this one's place.
func enter(init string, args []string) error {
	if err := process1.CheckProgram(process1.NewRoot, init); err != nil {
		return err
	}
	if err := process1.ChangeRoot(process1.NewRoot); err != nil {
		return err
	}
	err := unix.Exec(init, append([]string{init}, args...), append(os.Environ(), "PATH="+process1.Path))
	return fmt.Errorf("start %s of the system: %w", init, err)
}
