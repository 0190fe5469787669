package bootloader

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Payload is the content of a file, which is opened only when it is copied.
type Payload struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// FilePayload returns the content of the named file, which must not change until
// it is installed.
func FilePayload(name string) (Payload, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Payload{}, fmt.Errorf("find boot file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Payload{}, fmt.Errorf("find boot file: %s is not a regular file", name)
	}
	return Payload{Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(name) }}, nil
}

// Entry is an entry of the boot menu.
type Entry struct {
	// ID names the entry and its file. It consists of letters, digits, ".",
	// "_", "+" and "-".
	ID string
	// Title is shown in the menu.
	Title string
	// Version is the kernel's version, e.g. "6.1.0-18-amd64". It consists of the
	// characters of an ID and "~". Entries with the same version share the
	// kernel and RAM disk of the first of them.
	Version string
	Kernel  Payload
	// Initrd is the RAM disk. The zero value means that there is none.
	Initrd  Payload
	Cmdline string
}

// Menu is the menu that boot loaders show. The first entry is the default.
type Menu struct {
	Entries []Entry
	// Timeout is how long the menu is shown. It is rounded up to whole seconds.
	// With 0 the default entry boots at once.
	Timeout time.Duration
}

// maxCmdline is the kernel's limit without the final zero byte. The kernel
// silently drops what is beyond the limit.
const maxCmdline = 2047

// check returns an error if the menu cannot be installed.
func (m Menu) check() error {
	if len(m.Entries) == 0 {
		return errors.New("install boot loaders: the menu has no entry: name at least one kernel")
	}
	if m.Timeout < 0 {
		return fmt.Errorf("install boot loaders: the menu's timeout is negative: %s", m.Timeout)
	}
	ids := map[string]bool{}
	versions := map[string]Entry{}
	for _, e := range m.Entries {
		if err := e.check(); err != nil {
			return fmt.Errorf("install boot loaders: menu entry %q: %w", e.ID, err)
		}
		if ids[e.ID] {
			return fmt.Errorf("install boot loaders: two menu entries have the ID %q", e.ID)
		}
		ids[e.ID] = true
		first, ok := versions[e.Version]
		if ok && (first.Kernel.Size != e.Kernel.Size || first.Initrd.Size != e.Initrd.Size) {
			return fmt.Errorf("install boot loaders: menu entries %q and %q have the same version %q but different kernels or RAM disks: give them different versions", first.ID, e.ID, e.Version)
		}
		if !ok {
			versions[e.Version] = e
		}
	}
	return nil
}

func (e Entry) check() error {
	switch {
	case !plainName(e.Version, "._+-~"):
		return fmt.Errorf("the version %q has other characters than letters, digits, and . _ + - ~, or begins or ends with a dot", e.Version)
	case !plainName(e.ID, "._+-"):
		return errors.New("the ID has other characters than letters, digits, and . _ + -, or begins or ends with a dot")
	case strings.ContainsFunc(e.Title, control):
		return errors.New("the title contains control characters")
	case e.Title == "":
		return errors.New("the title is empty")
	case e.Kernel.Open == nil:
		return errors.New("there is no kernel")
	}
	return checkCmdline(e.Cmdline)
}

// checkCmdline refuses a kernel command line that would not reach the kernel as it is.
func checkCmdline(cmdline string) error {
	switch {
	case strings.ContainsFunc(cmdline, control):
		return errors.New("the kernel command line contains control characters")
	case strings.ContainsAny(cmdline, `\'`):
		return errors.New(`the kernel command line contains \ or ', which GRUB would change: use double quotes`)
	case strings.Count(cmdline, `"`)%2 != 0:
		return errors.New("the kernel command line has an odd number of double quotes")
	case len(cmdline) > maxCmdline:
		return fmt.Errorf("the kernel command line has %d characters, but kernels read at most %d", len(cmdline), maxCmdline)
	}
	return nil
}

// plainName reports whether a name is safe as a file name and in a boot loader's
// configuration.
func plainName(name, signs string) bool {
	for _, r := range name {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !strings.ContainsRune(signs, r) {
			return false
		}
	}
	return name != "" && name[0] != '.' && name[len(name)-1] != '.'
}

func control(r rune) bool { return r < 0x20 || r == 0x7f }
