package target

import (
	"fmt"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
)

// SlotFile is a file of a slot that the boot loader reads: Name is another name, a hard
// link, of the image's file at Path. It stays when the system replaces or removes that.
type SlotFile struct{ Path, Name string }

// SlotMenu returns the file at [disk.SlotMenuPath] for the layout's Root, the files that it
// names, and the whole command line of its default entry.
func (p Plan) SlotMenu(l disk.Layout) (menu []byte, files []SlotFile, cmdline string, err error) {
	named := map[string]string{"": ""}
	name := func(path string) string {
		if _, known := named[path]; !known {
			named[path] = fmt.Sprintf("%s/slot/%d-%s", images.Dir, len(files), path[strings.LastIndexByte(path, '/')+1:])
			files = append(files, SlotFile{path, named[path]})
		}
		return named[path]
	}
	var entries []disk.SlotEntry
	for _, e := range p.Entries {
		words, forInit := boot.SplitWords(p.cmdline(l, e))
		entries = append(entries, disk.SlotEntry{
			ID: e.ID, Title: e.Title, Kernel: name(e.Kernel), Initrd: name(e.Initrd),
			Words: strings.Join(words, " "), InitWords: strings.Join(forInit, " "),
		})
	}
	menu, err = l.SlotMenu(entries)
	return menu, files, p.cmdline(l, p.Entries[0]), err
}

// LoaderNames returns the names of the boot loaders' files that the disk needs.
func (p Plan) LoaderNames() []string {
	if p.Slots {
		return p.SecureBoot().SlotLoaderNames(p.Arch)
	}
	return p.SecureBoot().LoaderNames(p.Arch)
}
