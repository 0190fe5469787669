//go:build linux

package chroot

import (
	"encoding/hex"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/boot"
)

// binfmtDir is where Linux lists the interpreters that it uses for foreign
// programs (Documentation/admin-guide/binfmt-misc.rst).
const binfmtDir = "/proc/sys/fs/binfmt_misc"

// Host describes this machine for the requirements of an image: its processor,
// its kernel, and the foreign architectures whose programs it can run in that
// image.
func Host(t images.Tree) (boot.Host, error) {
	var uts unix.Utsname
	if err := unix.Uname(&uts); err != nil {
		return boot.Host{}, fmt.Errorf("ask for the kernel's release: %w", err)
	}
	return boot.Host{
		Arch:     unix.ByteSliceToString(uts.Machine[:]),
		Kernel:   unix.ByteSliceToString(uts.Release[:]),
		Emulates: func(arch string) bool { return emulates(os.DirFS(binfmtDir), t, arch) },
	}, nil
}

// emulates reports whether the kernel has an interpreter for an architecture
// that can be reached from inside the image.
func emulates(binfmt fs.FS, t images.Tree, arch string) bool {
	names, err := fs.Glob(binfmt, "*")
	if err != nil {
		return false
	}
	for _, name := range names {
		text, err := fs.ReadFile(binfmt, name)
		if err != nil {
			continue // "register" is write-only
		}
		if f := parseBinfmt(string(text)); f.enabled && f.arch != "" && f.arch == arch && f.reachable(t) {
			return true
		}
	}
	return false
}

// binfmt is one kind of foreign program.
type binfmt struct {
	enabled bool
	// arch is the architecture, if the programs are ELF programs; otherwise it
	// is "".
	arch        string
	interpreter string
	// held means that the kernel holds the interpreter open (flag F), so the
	// image need not contain it.
	held bool
}

// parseBinfmt parses the kernel's description of one kind of program.
func parseBinfmt(text string) (f binfmt) {
	var offset string
	for line := range strings.Lines(text) {
		key, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch key {
		case "enabled":
			f.enabled = true
		case "interpreter":
			f.interpreter = value
		case "flags:":
			f.held = strings.Contains(value, "F")
		case "offset":
			offset = value
		case "magic":
			if magic, err := hex.DecodeString(value); err == nil && offset == "0" {
				f.arch = boot.ProgramArch(magic)
			}
		}
	}
	return f
}

// reachable reports whether programs of the image can use the interpreter.
func (f binfmt) reachable(t images.Tree) bool {
	if f.held {
		return true
	}
	_, err := images.Resolve(t, f.interpreter)
	return err == nil
}
