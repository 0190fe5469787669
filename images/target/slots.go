package target

import "cloudlets/images/disk"

// SlotMenu returns the file at [disk.SlotMenuPath] for the layout's Root, and the whole
// command line of its default entry.
func (p Plan) SlotMenu(l disk.Layout) (menu []byte, cmdline string, err error) {
	var entries []disk.SlotEntry
	for _, e := range p.Entries {
		entries = append(entries, disk.SlotEntry{ID: e.ID, Title: e.Title, Kernel: e.Kernel, Initrd: e.Initrd, Cmdline: p.cmdline(l, e)})
	}
	menu, err = l.SlotMenu(entries)
	return menu, entries[0].Cmdline, err
}

// LoaderNames returns the names of the boot loaders' files that the disk needs.
func (p Plan) LoaderNames() []string {
	if p.Slots {
		return p.SecureBoot().SlotLoaderNames(p.Arch)
	}
	return p.SecureBoot().LoaderNames(p.Arch)
}
