package survey

import (
	"errors"
	"io/fs"
	"maps"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/manifest"
)

// programs are the files that tell the architecture: every image has at least
// one of them, and all are for the same processor.
var programs = []string{
	"/sbin/init", "/bin/sh", "/bin/busybox", "/bin/ls", "/usr/bin/env", "/bin/bash", "/usr/lib/systemd/systemd", "/usr/bin/busybox", nixShell,
}

// nixShell is where NixOS has a shell, besides the /bin/sh that its init makes.
const nixShell = "/nix/var/nix/profiles/system/sw/bin/bash"

// elfHead is how many bytes of a program are needed to find its architecture.
const elfHead = 64

func (e *explorer) arch() error {
	seen := map[string][]string{}
	for _, name := range programs {
		head, err := e.head(name, elfHead)
		if err != nil {
			return err
		}
		if arch := boot.ProgramArch(head); arch != "" {
			seen[arch] = append(seen[arch], name)
		}
	}
	archs := slices.SortedFunc(maps.Keys(seen), func(a, b string) int {
		if n := len(seen[b]) - len(seen[a]); n != 0 {
			return n
		}
		return strings.Compare(a, b)
	})
	switch len(archs) {
	case 0:
		e.addReason("arch", "unknown: none of %s is a program", strings.Join(programs, ", "))
		return nil
	case 1:
		e.addReason("arch", "%s are programs for %s", strings.Join(seen[archs[0]], ", "), archs[0])
	default:
		e.addReason("arch", "most programs are for %s, but %s are for %s: check which of them are needed",
			archs[0], strings.Join(seen[archs[1]], ", "), archs[1])
	}
	e.found.Arch = archs[0]
	return nil
}

func (e *explorer) kernels() error {
	bare, err := manifest.Parse("a survey", []byte("{}"))
	if err != nil {
		return err
	}
	all, err := boot.Kernels(bare, e.tree, "")
	if errors.Is(err, boot.ErrNoKernel) {
		e.addReason("entrypoints kernel", "none: the image has no kernel, so it can be entered but not booted")
		return nil
	}
	if err != nil {
		return err
	}
	for _, k := range all {
		e.found.Kernels = append(e.found.Kernels, k)
		e.kernelReason(k)
	}
	noInitrd, err := boot.CheckInitrd(e.tree, all[0])
	if noInitrd != "" {
		e.addReason(all[0].Path, "%s", noInitrd)
	}
	return err
}

func (e *explorer) kernelReason(k boot.Kernel) {
	initrd, drivers := "the initrd "+k.Initrd, "its modules in "+k.Modules
	if k.Initrd == "" {
		initrd = "no initrd"
	}
	if k.Modules == "" {
		drivers = "no modules of its own: it can boot only with drivers built in"
	}
	e.addReason("entrypoints kernel", "%s is a kernel for %s with %s and %s", k.Path, orUnknown(k.Arch), initrd, drivers)
	if k.Cmdline != "" {
		e.addReason("entrypoints kernel", "its command line has %q, from the image's boot loader entry without what names one machine's disk", k.Cmdline)
	}
	if k.Arch != "" && e.found.Arch != "" && k.Arch != e.found.Arch && (k.Arch != "amd64" || e.found.Arch != "i386") {
		e.addReason(k.Path, "is for %s, but the image's programs are for %s: this kernel cannot run them", k.Arch, e.found.Arch)
	}
}

func orUnknown(s string) string {
	if s == "" {
		return "an unknown architecture"
	}
	return s
}

// System is an init system.
type System string

// The init systems that the survey distinguishes.
const (
	Systemd      System = "systemd"
	SysVInit     System = "sysvinit"
	OpenRC       System = "openrc"
	Runit        System = "runit"
	Upstart      System = "upstart"
	BusyboxInit  System = "busybox"
	OtherSystem  System = "other"
	NoInitSystem System = ""
)

// Init is the program that becomes process 1.
type Init struct {
	System System
	// Path is where a kernel starts it, or "" if there is none.
	Path string
}

func (e *explorer) init() error {
	bare, err := manifest.Parse("a survey", []byte("{}"))
	if err != nil {
		return err
	}
	first, err := boot.Init(bare, e.tree, "")
	if errors.Is(err, boot.ErrNoProgram) {
		e.addReason("entrypoints init", "none: the image has no /sbin/init")
		return nil
	}
	if err != nil {
		return err
	}
	file := first.Path
	real, err := e.resolve(file)
	if err != nil {
		return err
	}
	system, err := e.system(file, path.Base(real))
	if err != nil {
		return err
	}
	e.found.Init = Init{System: system, Path: file}
	e.addReason("entrypoints init", "%s is %s (%s)", file, real, system)
	return nil
}

// system identifies an init system by the file and the name of the program that
// it leads to, or else by its configuration.
func (e *explorer) system(file, program string) (System, error) {
	switch {
	case boot.IsSystemd(e.tree, file):
		return Systemd, nil
	case strings.HasPrefix(program, "openrc"):
		return OpenRC, nil
	case strings.HasPrefix(program, "runit"):
		return Runit, nil
	case program == "upstart":
		return Upstart, nil
	}
	signs := []struct {
		file   string
		system System
	}{{"/sbin/openrc", OpenRC}, {"/etc/init/rc-sysinit.conf", Upstart}, {"/etc/runit/1", Runit}, {"/etc/inittab", SysVInit}}
	for _, sign := range signs {
		if program == "busybox" && sign.system != OpenRC {
			continue
		}
		if ok, err := e.exists(sign.file); err != nil || ok {
			return sign.system, err
		}
	}
	if program == "busybox" {
		return BusyboxInit, nil
	}
	return OtherSystem, nil
}

func (e *explorer) shell() error {
	file, err := e.firstProgram("/bin/bash", "/bin/sh", "/bin/ash", "/bin/busybox", nixShell)
	if err != nil {
		return err
	}
	if e.found.Shell = file; file == "" {
		e.addReason("entrypoints chroot", "none: the image has no shell")
		return nil
	}
	e.addReason("entrypoints chroot", "the image has %s", file)
	return nil
}

// readDir lists a directory. If it does not exist, the list is empty.
func (e *explorer) readDir(dir string) ([]images.Entry, error) {
	entry, ok, err := e.entry(dir)
	if err != nil || !ok || entry.Type != images.Directory {
		return nil, err
	}
	list, err := e.tree.ReadDir(entry.Path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	return list, err
}
