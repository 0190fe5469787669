package target

import (
	"bytes"
	"fmt"
	"io"
	"path"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/layers"
)

// SlotFile is a file of a slot that the boot loader reads: Name is another name, a hard
// link, of the image's file at Path. It stays when the system replaces or removes that.
type SlotFile struct{ Path, Name string }

// SlotMenu returns the file at [bootloader.SlotMenuPath] for the layout's Root, the files that it
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
	var entries []bootloader.SlotEntry
	for _, e := range p.slotEntries() {
		words, forInit := boot.SplitWords(p.cmdline(l, e))
		entries = append(entries, bootloader.SlotEntry{
			ID: e.ID, Title: e.Title, Kernel: name(e.Kernel), Initrd: p.slotInitrd(e, name),
			Words: strings.Join(words, " "), InitWords: strings.Join(forInit, " "),
		})
	}
	menu, err = bootloader.SlotMenu(l.Slot, l.Root.Number, entries)
	return menu, files, p.cmdline(l, p.Entries[0]), err
}

// LoaderNames returns the names of the boot loaders' files that the disk needs.
func (p Plan) LoaderNames() []string {
	if p.Slots {
		return p.SecureBoot().SlotLoaderNames(p.Arch)
	}
	return p.SecureBoot().LoaderNames(p.Arch)
}

// withSlot returns the files of a system with those of the slot's own: its boot menu, and
// the names by which the boot loader finds the kernels. What the image has in their place
// goes, since it may be that of another machine's disk.
func (p Plan) withSlot(source images.Source, t images.Tree, l disk.Layout, at time.Time) (images.Source, error) {
	menu, files, _, err := p.SlotMenu(l)
	if err != nil {
		return nil, err
	}
	dir := path.Dir(bootloader.SlotMenuPath)
	more := []addition{{Entry: images.Entry{Path: dir, Type: images.Directory, Mode: 0o755, ModTime: at}}}
	for _, f := range files {
		e, err := t.Entry(f.Path)
		if err != nil {
			return nil, err
		}
		if e.Type != images.HardLink {
			e.Link = f.Path
		}
		more = append(more, addition{Entry: images.Entry{Path: f.Name, Type: images.HardLink, Link: e.Link, ModTime: at}})
	}
	more = append(more, addition{
		Entry: images.Entry{Path: bootloader.SlotMenuPath, Type: images.Regular, Mode: 0o600, Size: int64(len(menu)), ModTime: at},
		open:  func() (io.ReadCloser, error) { return io.NopCloser(bytes.NewReader(menu)), nil },
	})
	own := layers.Select(source, func(name string) bool { return name != dir && !strings.HasPrefix(name, dir+"/") })
	return added{own, more}, nil
}
