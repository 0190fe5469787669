// Package loaders knows the boot loaders that machines load from the network: which file
// is for which firmware, which package of Debian has it, and whether it is there.
package loaders

import (
	"cmp"
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// Site knows the machines' files.
type Site interface {
	// IsBootFile says whether a machine's file names a boot loader of its own
	// that has this name.
	IsBootFile(name string) bool
}

// Files finds boot loaders: in Dir if that is set and has them, or else where
// Debian's packages put them. TFTP serves it as a file system. It contains only
// the names that DHCP may hand out.
type Files struct {
	Dir string
	// Root is the folder in which Debian's packages are installed; "" is "/".
	Root string
	// Site adds the boot loaders that its machines' files name. It may be nil.
	Site Site
}

var _ fs.FS = Files{}

// Open implements [fs.FS].
func (l Files) Open(name string) (fs.File, error) {
	file, err := l.Path(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.Open(file)
}

// Path returns where the file of a name is. If it is missing, the error wraps
// [fs.ErrNotExist] and names the Debian package that has the file.
func (l Files) Path(name string) (string, error) {
	known, ok := lookUp(name)
	if !ok && !l.isQuirk(name) {
		return "", fs.ErrNotExist
	}
	base := cmp.Or(known.fileName(), name)
	folders := []string{l.Dir}
	if known.debian != "" {
		folders = append(folders, filepath.Join(cmp.Or(l.Root, "/"), known.debian))
	}
	for _, dir := range folders {
		file := filepath.Join(dir, inAnyCase(dir, base))
		if info, err := os.Stat(file); dir != "" && err == nil && info.Mode().IsRegular() {
			return file, nil
		}
	}
	return "", known.missing(base, l.Dir)
}

// inAnyCase is the name of a directory's file that is called name, in capitals or not:
// some firmware asks for all names in capitals.
func inAnyCase(dir, name string) string {
	if _, err := os.Stat(filepath.Join(dir, name)); dir == "" || err == nil {
		return name
	}
	entries, _ := os.ReadDir(dir) // an error is found again when the file is opened
	for _, e := range entries {
		if strings.EqualFold(e.Name(), name) {
			return e.Name()
		}
	}
	return name
}

// isQuirk says whether the file of a machine names a boot loader.
func (l Files) isQuirk(name string) bool {
	if l.Site == nil || !fs.ValidPath(name) || name != path.Base(name) {
		return false
	}
	return l.Site.IsBootFile(name)
}

// Check returns an error for each boot loader that is missing: those for BIOS and
// for UEFI on amd64, which Debian has packages of, and those that the machines'
// files ask for.
func (l Files) Check(machines []provision.Spec) []error {
	var missing []error
	for _, firmware := range []dhcp.Firmware{dhcp.BIOS, dhcp.EFIX64} {
		if _, err := l.First(firmware); err != nil {
			missing = append(missing, err)
		}
	}
	if slices.ContainsFunc(machines, func(m provision.Spec) bool { return m.SecureBoot == provision.ByShim }) {
		missing = append(missing, l.checkSigned()...)
	}
	for _, m := range machines {
		if m.Quirks.BootFile == "" {
			continue
		}
		if _, err := l.Path(m.Quirks.BootFile); err != nil {
			missing = append(missing, fmt.Errorf("%s cannot boot with the quirk of its file: %w", m.MAC, err))
		}
	}
	return missing
}

// CheckARM64 returns which boot loader UEFI machines of arm64 get, or an error if
// there is none.
func (l Files) CheckARM64() (name string, err error) {
	known, err := l.First(dhcp.EFIARM64)
	return known.Name, err
}

// First returns the loader for a firmware: the first of its list that is there. The
// error tells how to get each of them.
func (l Files) First(firmware dhcp.Firmware) (Loader, error) {
	var missing []error
	for _, known := range byFirmware[firmware] {
		_, err := l.Path(known.Name)
		if err == nil {
			return known, nil
		}
		missing = append(missing, err)
	}
	if len(missing) == 0 {
		return Loader{}, fmt.Errorf("no boot loader is known for its firmware (%s)", firmware)
	}
	return Loader{}, fmt.Errorf("%s cannot boot: %w", byFirmware[firmware][0].purpose, joined(missing))
}

// joined is one error for several, in one line.
func joined(all []error) error {
	err := all[0]
	for _, next := range all[1:] {
		err = fmt.Errorf("%w; or %w", err, next)
	}
	return err
}

// checkSigned returns an error for each of amd64's signed boot loaders that is missing.
func (l Files) checkSigned() (missing []error) {
	for _, known := range []Loader{signed[dhcp.EFIX64], afterShim[0]} {
		if _, err := l.Path(known.Name); err != nil {
			missing = append(missing, fmt.Errorf("%s cannot boot: %w", known.purpose, err))
		}
	}
	return missing
}

// Present returns, sorted, the names of the boot files that can be served now:
// the known ones and those that the machines' own files name.
func (l Files) Present(machines []provision.Spec) []string {
	var names []string
	for _, known := range all() {
		names = append(names, known.Name)
	}
	for _, m := range machines {
		if m.Quirks.BootFile != "" {
			names = append(names, m.Quirks.BootFile)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { _, err := l.Path(name); return err != nil })
	slices.Sort(names)
	return slices.Compact(names)
}
