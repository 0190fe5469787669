package boot

import (
	"errors"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// The places of boot loader entries, by the Boot Loader Specification of
// uapi-group.org, and of the command line for new ones, by kernel-install(8).
var (
	loaderEntries = []string{"/boot/loader/entries/*.conf", "/efi/loader/entries/*.conf", "/boot/efi/loader/entries/*.conf"}
	cmdlineFiles  = []string{"/etc/kernel/cmdline", "/usr/lib/kernel/cmdline"}
)

// The bounds of boot loader entries.
const (
	maxLoaderEntry   = 64 << 10 // bytes
	maxLoaderEntries = 64
)

// loaderEntry is what a boot loader entry says.
type loaderEntry struct{ version, linux, options string }

// withLoaderOptions gives each kernel the options of its boot loader entry, less
// those that belong to one machine: see [OwnOptions].
func withLoaderOptions(t images.Tree, kernels []Kernel) ([]Kernel, error) {
	entries, err := readLoaderEntries(t)
	if err != nil {
		return nil, err
	}
	usual, err := firstText(t, cmdlineFiles)
	if err != nil {
		return nil, err
	}
	kernels = slices.Clone(kernels)
	for i, k := range kernels {
		options := usual
		for _, e := range entries {
			if e.fits(k) {
				options = e.options
				break
			}
		}
		kernels[i].Cmdline = OwnOptions(options)
	}
	return kernels, nil
}

// fits reports whether an entry starts a kernel. The path in an entry is
// relative to its partition, so only its end is compared.
func (e loaderEntry) fits(k Kernel) bool {
	if e.linux != "" && strings.HasSuffix(k.Path, path.Clean("/"+e.linux)) {
		return true
	}
	return e.version != "" && e.version == k.Version && !k.isRescue() && !strings.Contains(e.linux, rescuePrefix)
}

func readLoaderEntries(t images.Tree) ([]loaderEntry, error) {
	files, err := filesAt(t, loaderEntries)
	if err != nil {
		return nil, err
	}
	var entries []loaderEntry
	for _, file := range files[:min(len(files), maxLoaderEntries)] {
		text, err := smallText(t, file)
		if err != nil {
			return nil, err
		}
		entries = append(entries, parseLoaderEntry(text))
	}
	return entries, nil
}

func parseLoaderEntry(text string) loaderEntry {
	var e loaderEntry
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.ReplaceAll(strings.TrimSpace(line), "\t", " "), " ")
		switch value = strings.TrimSpace(value); name {
		case "version":
			e.version = value
		case "linux":
			e.linux = value
		case "options":
			e.options = strings.TrimSpace(e.options + " " + value)
		}
	}
	return e
}

// firstText is the text of the first file that exists, in one line.
func firstText(t images.Tree, files []string) (string, error) {
	for _, name := range files {
		file, err := RegularFile(t, name)
		if err != nil {
			return "", err
		}
		if file != "" {
			text, err := smallText(t, file)
			return strings.Join(strings.Fields(text), " "), err
		}
	}
	return "", nil
}

// smallText is the text of a file, or "" if it is not a small one.
func smallText(t images.Tree, file string) (string, error) {
	e, err := t.Entry(file)
	if errors.Is(err, fs.ErrNotExist) || err == nil && e.Size > maxLoaderEntry {
		return "", nil
	}
	if err != nil {
		return "", err
	}
	text, err := images.ReadFile(t, file, maxLoaderEntry)
	return string(text), err
}

// OwnOptions takes out of a boot loader entry's options what belongs to one
// machine or to the loader: see [WithoutDisk]; variables of GRUB; and whether the
// root is read-only, since nothing makes it writable once its line in /etc/fstab
// is gone. The result is a template for a command line.
func OwnOptions(options string) string {
	rest, _ := WithoutDisk(options)
	words, forInit := SplitWords(rest)
	words = slices.DeleteFunc(slices.Clone(words), func(word string) bool {
		return word == "ro" || word == "rw" || strings.HasPrefix(word, "$") || strings.HasPrefix(word, "BOOT_IMAGE=") || strings.HasPrefix(word, "initrd=") ||
			strings.ContainsFunc(word, func(c rune) bool { return c < ' ' || c == 0x7f })
	})
	line := joinSplit(words, forInit)
	return strings.ReplaceAll(line, "<%", "<%%")
}
