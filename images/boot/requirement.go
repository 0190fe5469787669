package boot

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"cloudlets/images"
	"cloudlets/images/manifest"
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
func Check(e manifest.EntryPoint, t images.Tree, h Host) error {
	var all []error
	if !entryRunsOn(e, h) {
		all = append(all, unmet(e, "arch", ArchName(e.Requires.Arch), ArchName(h.Arch)))
	}
	if e.Requires.Kernel != "" && h.Kernel != "" && !versionFits(e.Requires.Kernel, h.Kernel) {
		all = append(all, unmet(e, "kernel", e.Requires.Kernel, h.Kernel))
	}
	for _, command := range e.Requires.Commands {
		if err := findCommand(e, t, command); err != nil {
			all = append(all, unmet(e, "commands", command, err.Error()))
		}
	}
	return errors.Join(all...)
}

func unmet(e manifest.EntryPoint, requirement, wanted, found string) error {
	return &Unmet{Entry: e.Name, Requirement: requirement, Wanted: wanted, Found: found}
}

func entryRunsOn(e manifest.EntryPoint, h Host) bool {
	if RunsOn(h.Arch, e.Requires.Arch) {
		return true
	}
	return e.Type == manifest.ChrootEntry && h.Emulates != nil && h.Emulates(ArchName(e.Requires.Arch))
}

// DefaultPath is the PATH of a chroot whose entry point sets none.
const DefaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// findCommand looks for a program in the image by its path, or by its name
// in the directories of PATH.
func findCommand(e manifest.EntryPoint, t images.Tree, command string) error {
	if strings.Contains(command, "/") {
		return CheckProgram(t, command)
	}
	dirs := e.Env["PATH"]
	if dirs == "" {
		dirs = DefaultPath
	}
	for dir := range strings.SplitSeq(dirs, ":") {
		if CheckProgram(t, path.Join(dir, command)) == nil {
			return nil
		}
	}
	return fmt.Errorf("no program of this name in %s", dirs)
}

// CheckProgram says why a path does not lead to a program.
func CheckProgram(t images.Tree, name string) error {
	file, err := images.Resolve(t, name)
	if err != nil {
		return err
	}
	e, err := t.Entry(file)
	if err == nil && e.Type == images.HardLink {
		e, err = t.Entry(e.Link)
	}
	switch {
	case err != nil:
		return err
	case e.Type != images.Regular:
		return fmt.Errorf("%s is not a regular file", file)
	case e.Mode&0o111 == 0:
		return fmt.Errorf("%s may not be executed: its mode is %#o", file, e.Mode)
	}
	return nil
}
