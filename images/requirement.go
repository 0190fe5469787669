package images

import (
	"errors"
	"fmt"
	"path"
	"strings"
)

// Host is what is known of a machine that an image is entered on. The zero
// value knows nothing, and nothing fails by it.
type Host struct {
	// Arch is the machine's architecture by anybody's name for it: "amd64",
	// "x86_64". "" is not known.
	Arch string
	// Kernel is the release of the running kernel, as uname -r tells it:
	// "6.1.0-31-amd64". "" is not known.
	Kernel string
	// Emulates says whether the machine runs programs for another
	// architecture (Debian's name), as binfmt_misc makes it. nil is: none.
	Emulates func(arch string) bool
}

// Unmet is a requirement of an entry point that does not hold.
type Unmet struct {
	// Entry is the entry point's name and Requirement the name of what it
	// requires: "arch", "kernel", "commands".
	Entry, Requirement string
	// Wanted and Found say what it asks for and what there is.
	Wanted, Found string
}

// Error tells the requirement, what it wants and what was found.
func (u *Unmet) Error() string {
	return fmt.Sprintf("entry point %s: requirement %q: wanted %s, found %s", u.Entry, u.Requirement, u.Wanted, u.Found)
}

// Check looks whether an entry point's requirements hold for an image and a
// host. The error joins an [*Unmet] for each that does not. A program for
// another architecture that the host emulates will do in a chroot.
func (e EntryPoint) Check(t Tree, h Host) error {
	var unmet []error
	if !e.runsOn(h) {
		unmet = append(unmet, e.unmet("arch", archName(e.Requires.Arch), archName(h.Arch)))
	}
	if e.Requires.Kernel != "" && h.Kernel != "" && !versionFits(e.Requires.Kernel, h.Kernel) {
		unmet = append(unmet, e.unmet("kernel", e.Requires.Kernel, h.Kernel))
	}
	for _, command := range e.Requires.Commands {
		if err := e.findCommand(t, command); err != nil {
			unmet = append(unmet, e.unmet("commands", command, err.Error()))
		}
	}
	return errors.Join(unmet...)
}

func (e EntryPoint) unmet(requirement, wanted, found string) error {
	return &Unmet{Entry: e.Name, Requirement: requirement, Wanted: wanted, Found: found}
}

func (e EntryPoint) runsOn(h Host) bool {
	if runsOn(h.Arch, e.Requires.Arch) {
		return true
	}
	return e.Type == ChrootEntry && h.Emulates != nil && h.Emulates(archName(e.Requires.Arch))
}

// DefaultPath is the PATH of a chroot whose entry point sets none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// findCommand looks for a program in the image by its path, or by its name
// in the directories of PATH.
func (e EntryPoint) findCommand(t Tree, command string) error {
	if strings.Contains(command, "/") {
		return programAt(t, command)
	}
	dirs := e.Env["PATH"]
	if dirs == "" {
		dirs = DefaultPath
	}
	for dir := range strings.SplitSeq(dirs, ":") {
		if programAt(t, path.Join(dir, command)) == nil {
			return nil
		}
	}
	return fmt.Errorf("no program of this name in %s", dirs)
}

// programAt says why what a path leads to is no program.
func programAt(t Tree, name string) error {
	file, err := Resolve(t, name)
	if err != nil {
		return err
	}
	e, err := t.Entry(file)
	if err == nil && e.Type == HardLink {
		e, err = t.Entry(e.Link)
	}
	switch {
	case err != nil:
		return err
	case e.Type != Regular:
		return fmt.Errorf("%s is not a regular file", file)
	case e.Mode&0o111 == 0:
		return fmt.Errorf("%s may not be executed: its mode is %#o", file, e.Mode)
	}
	return nil
}
