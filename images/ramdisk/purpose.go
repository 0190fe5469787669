package ramdisk

import (
	"fmt"
	"maps"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
)

// Purpose is the reason for which a machine boots a RAM disk.
type Purpose uint8

const (
	// Install is for the agent, which needs network, disks and filesystems.
	Install Purpose = iota
	// Live is for a system that runs from its boot medium. It needs disks, CD
	// drives, and filesystems to mount a file on them.
	Live
)

// liveWanted holds the entries that differ from [wanted] for a live system.
var liveWanted = map[string]class{
	"drivers/block/loop.":  support,
	"drivers/block/nbd.":   "",
	"drivers/cdrom/":       support,
	"drivers/md/md-mod.":   "",
	"drivers/md/raid1.":    "",
	"drivers/scsi/sr_mod.": storage,
	"fs/btrfs/":            "",
	"fs/efivarfs/":         "",
	"fs/isofs/":            filesystem,
	"fs/xfs/":              "",
}

// wanted returns the table of modules for a purpose. The agent makes a filesystem with
// the image's own mkfs, so without that it does not need the filesystem's module either.
func (p Purpose) wanted(tree images.Tree) map[string]class {
	table := maps.Clone(wanted)
	if p == Install {
		for _, maker := range makers {
			if firstPresent(tree, maker.programs) == "" {
				table["fs/"+maker.filesystem+"/"] = ""
			}
		}
		return table
	}
	maps.DeleteFunc(table, func(prefix string, _ class) bool {
		return strings.HasPrefix(prefix, "drivers/net/") || strings.HasPrefix(prefix, "net/")
	})
	maps.Copy(table, liveWanted)
	return table
}

// check returns an error if the kernel lacks a module that the RAM disk needs.
func (s *moduleSet) check(opt Options) error {
	lacks := s.lacking(opt.Needs)
	if len(lacks) == 0 {
		return nil
	}
	return fmt.Errorf("build the RAM disk of kernel %s: the kernel has no %s: use a kernel that has it, e.g. from Debian's package linux-image-amd64",
		opt.Version, strings.Join(lacks, ", no "))
}

// liveNeeds are the modules by which the agent starts a system in memory.
var liveNeeds = []string{"erofs", "nbd", "overlay"}

// mirrorNeeds are the modules by which a system on two disks is installed and started.
var mirrorNeeds = []string{"md_mod", "raid1"}

// lacking returns those of some modules that the kernel has neither as a file nor built
// in.
func (s *moduleSet) lacking(names []string) (lacks []string) {
	for _, name := range names {
		if !s.offers(name) {
			lacks = append(lacks, name)
		}
	}
	return lacks
}

// offers reports whether the kernel has a module, as a file or built in.
func (s *moduleSet) offers(name string) bool {
	if _, ok := s.byName[name]; ok {
		return true
	}
	for file := range s.builtin {
		if boot.ModuleName(file) == name {
			return true
		}
	}
	return false
}
