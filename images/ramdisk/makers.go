package ramdisk

import (
	"fmt"

	"cloudlets/images"
)

// makers are the programs that make root filesystems. ext4 needs no program,
// because the agent itself writes it.
var makers = []struct {
	filesystem string
	programs   []string
}{
	{"xfs", []string{"/sbin/mkfs.xfs", "/usr/sbin/mkfs.xfs", "/usr/bin/mkfs.xfs"}},
	{"btrfs", []string{"/sbin/mkfs.btrfs", "/bin/mkfs.btrfs", "/usr/sbin/mkfs.btrfs", "/usr/bin/mkfs.btrfs"}},
}

// MakerPath returns the path in a RAM disk of the mkfs program for a filesystem
// other than ext4.
func MakerPath(filesystem string) string { return "/sbin/mkfs." + filesystem }

// addMakers adds the image's mkfs programs, and reports all filesystems that
// the agent can make.
func (b *builder) addMakers() error {
	if b.modules.has("ext4") {
		b.report.Filesystems = append(b.report.Filesystems, "ext4")
	}
	link := newLinker(b.tree)
	for _, maker := range makers {
		program := firstPresent(b.tree, maker.programs)
		if program == "" {
			continue
		}
		if err := link.add(program); err != nil {
			return fmt.Errorf("take %s from the image: %w", program, err)
		}
		// The agent looks only at this path.
		if at := MakerPath(maker.filesystem); at != program {
			link.files[at] = link.files[program]
		}
		b.report.Filesystems = append(b.report.Filesystems, maker.filesystem)
	}
	return b.putAll(link.files)
}

// has reports whether the kernel supports a filesystem, either as a module or
// built in.
func (s *moduleSet) has(filesystem string) bool {
	if _, ok := s.byName[filesystem]; ok {
		return true
	}
	_, ok := s.builtin["kernel/fs/"+filesystem+"/"+filesystem+".ko"]
	return ok
}

func firstPresent(tree images.Tree, names []string) string {
	for _, name := range names {
		if _, err := images.Resolve(tree, name); err == nil {
			return name
		}
	}
	return ""
}
