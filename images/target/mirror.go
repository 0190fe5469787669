package target

import (
	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
)

// MirrorRAMDisk is the file of a slot with the RAM disk by which a system on two disks
// starts: the agent's own, since an image's RAM disk need not know mirrors.
const MirrorRAMDisk = images.Dir + "/slot/mirror.img"

// Words of the kernel's command line that tell this RAM disk which mirrors to assemble.
const (
	// MirrorRootWord begins a word with the UUID of the mirror that has the slot's root
	// filesystem.
	MirrorRootWord = "cloudlets.mirror.root="
	// MirrorDataWord begins a word with the UUID of that with the persistent filesystem.
	MirrorDataWord = "cloudlets.mirror.data="
)

// mirrorWords are the words for the root filesystem on a mirror. RAM disks of ours go by
// the mirror's UUID; root is for programs of the system that look for it.
func (p Plan) mirrorWords(l disk.Layout) string {
	words := boot.JoinWords("root=UUID="+p.RootUUID(l).String(), MirrorRootWord+l.Root.Array)
	if l.Persistent.Size > 0 {
		words = boot.JoinWords(words, MirrorDataWord+l.Persistent.Array)
	}
	return words
}

// NewArray returns the layout with a new mirror in its Root; see [disk.Layout.NewArray].
func (p Plan) NewArray(l disk.Layout) disk.Layout { return l.NewArray(p.seed()) }

// slotEntries are the entries of a slot's boot menu. The RAM disk of a mirror has the
// modules of one kernel, so that the others are not in its menu.
func (p Plan) slotEntries() []Entry {
	if p.Mirror {
		return p.Entries[:1]
	}
	return p.Entries
}

// slotInitrd returns the name in the slot of an entry's RAM disk. Name gives one to a file
// of the image.
func (p Plan) slotInitrd(e Entry, name func(path string) string) string {
	if p.Mirror {
		return MirrorRAMDisk
	}
	return name(e.Initrd)
}
