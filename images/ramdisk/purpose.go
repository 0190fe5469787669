package ramdisk

import (
	"fmt"
	"maps"
	"path"
	"strings"
)

// Purpose is what a machine uses a RAM disk for.
type Purpose uint8

const (
	// Install is for the agent. It needs network, disks, and filesystems to
	// make.
	Install Purpose = iota
	// Live is for a system that runs from the medium from which it was booted.
	// It needs disks and CD drives, and filesystems to mount a file on them.
	Live
)

// liveWanted is where a live system differs from [wanted].
var liveWanted = map[string]class{
	"drivers/block/loop.":  support,
	"drivers/cdrom/":       support,
	"drivers/scsi/sr_mod.": storage,
	"fs/btrfs/":            "",
	"fs/efivarfs/":         "",
	"fs/erofs/":            filesystem,
	"fs/isofs/":            filesystem,
	"fs/overlayfs/":        filesystem,
	"fs/xfs/":              "",
}

// wanted returns the table of modules for a purpose.
func (p Purpose) wanted() map[string]class {
	if p == Install {
		return wanted
	}
	table := maps.Clone(wanted)
	maps.DeleteFunc(table, func(prefix string, _ class) bool {
		return strings.HasPrefix(prefix, "drivers/net/") || strings.HasPrefix(prefix, "net/")
	})
	maps.Copy(table, liveWanted)
	return table
}

// check returns an error if the kernel lacks a module that the RAM disk needs.
func (s *moduleSet) check(opt Options) error {
	var lacks []string
	for _, name := range opt.Needs {
		if !s.offers(name) {
			lacks = append(lacks, name)
		}
	}
	if len(lacks) == 0 {
		return nil
	}
	return fmt.Errorf("build the RAM disk of kernel %s: the kernel has no %s; use a kernel that does, e.g. that of Debian's package linux-image-amd64",
		opt.Version, strings.Join(lacks, ", no "))
}

// offers reports whether the kernel has a module, either as a file or built in.
func (s *moduleSet) offers(name string) bool {
	if _, ok := s.byName[name]; ok {
		return true
	}
	for file := range s.builtin {
		if moduleName(path.Base(file)) == name {
			return true
		}
	}
	return false
}
