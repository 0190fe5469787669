package disk

import (
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"
)

// Payload is a file's content that is read when its turn comes.
type Payload struct {
	Size int64
	Open func() (io.ReadCloser, error)
}

// FilePayload is the content of a file as it is now.
func FilePayload(name string) (Payload, error) {
	info, err := os.Stat(name)
	if err != nil {
		return Payload{}, fmt.Errorf("find boot file: %w", err)
	}
	if !info.Mode().IsRegular() {
		return Payload{}, fmt.Errorf("find boot file: %s is no regular file", name)
	}
	return Payload{Size: info.Size(), Open: func() (io.ReadCloser, error) { return os.Open(name) }}, nil
}

// Entry is one line of the boot menu.
type Entry struct {
	// ID names the entry and its file: letters, digits, ".", "_", "+", "-".
	ID string
	// Title is what the menu shows.
	Title string
	// Version is the kernel's, "6.1.0-18-amd64", in the characters of an ID
	// or "~". Entries of one version share the first one's kernel and RAM
	// disk.
	Version string
	Kernel  Payload
	// Initrd may be empty.
	Initrd  Payload
	Cmdline string
}

// Menu is what boot loaders offer; the first entry is the default.
type Menu struct {
	Entries []Entry
	// Timeout is how long a person has to choose, in whole seconds; 0 boots
	// the default at once.
	Timeout time.Duration
}

// maxCmdline is the kernel's limit less its final zero; it drops the rest
// without a word.
const maxCmdline = 2047

// check says why a menu cannot be installed.
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
			return fmt.Errorf("install boot loaders: menu entries %q and %q have the version %q and different kernels or RAM disks", first.ID, e.ID, e.Version)
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
		return fmt.Errorf("the version %q is not made of letters, digits, and . _ + - ~", e.Version)
	case !plainName(e.ID, "._+-"):
		return errors.New("an ID is made of letters, digits, and . _ + -")
	case strings.ContainsFunc(e.Title, control):
		return errors.New("the title has control characters")
	case e.Title == "":
		return errors.New("the title is empty")
	case e.Kernel.Open == nil:
		return errors.New("there is no kernel")
	case strings.ContainsFunc(e.Cmdline, control):
		return errors.New("the kernel command line has control characters")
	case strings.ContainsAny(e.Cmdline, `\'`):
		return errors.New(`the kernel command line has \ or ', which GRUB does not pass on unchanged: use double quotes`)
	case strings.Count(e.Cmdline, `"`)%2 != 0:
		return errors.New("the kernel command line has a double quote without its partner")
	case len(e.Cmdline) > maxCmdline:
		return fmt.Errorf("the kernel command line has %d characters, and kernels read %d", len(e.Cmdline), maxCmdline)
	}
	return nil
}

// plainName says whether a name is safe as a file's name and in a boot
// loader's configuration.
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
