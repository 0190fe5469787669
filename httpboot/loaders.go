package httpboot

import (
	"fmt"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// loader is a boot loader for one kind of firmware.
type loader struct {
	name    string
	debian  string // the folder of Debian's package; "" if no package has it
	pkg     string
	purpose string
}

// debianIPXE is the folder of Debian's package ipxe.
const debianIPXE = "/usr/lib/ipxe/"

// loaders are the files that DHCP names, by the firmware that starts them. For
// UEFI it is the build that uses the firmware's driver of the network card, since
// iPXE's own drivers hang on some boards.
var loaders = map[dhcp.Firmware]loader{
	dhcp.BIOS:     {"undionly.kpxe", debianIPXE, "ipxe", "BIOS machines"},
	dhcp.EFIX64:   {"snponly.efi", debianIPXE, "ipxe", "UEFI machines"},
	dhcp.EFIIA32:  {"snponly-ia32.efi", "", "", "UEFI machines of 32 bits"},
	dhcp.EFIARM64: {"snponly-arm64.efi", "", "", "UEFI machines of arm64"},
	dhcp.EFIARM32: {"snponly-arm32.efi", "", "", "UEFI machines of 32-bit ARM"},
}

// alternatives are further files that a machine's quirks may name.
var alternatives = []loader{
	{"ipxe.efi", debianIPXE, "ipxe", "UEFI machines, with iPXE's own drivers"},
	{"ipxe.pxe", debianIPXE, "ipxe", "BIOS machines, with iPXE's own drivers"},
	{"undionly.kkpxe", debianIPXE, "ipxe", "BIOS machines that lose their network"},
}

// Loaders finds boot loaders: in Dir if that is set and has them, or else where
// Debian's packages put them. TFTP serves it as a file system. It contains only
// the names that DHCP may hand out.
type Loaders struct {
	Dir string
	// Site adds the boot loaders that its machines' files name. It may be nil.
	Site Site
}

var _ fs.FS = Loaders{}

// Open implements [fs.FS].
func (l Loaders) Open(name string) (fs.File, error) {
	file, err := l.path(name)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.Open(file)
}

// path returns where the file of a name is. If it is missing, the error wraps
// [fs.ErrNotExist] and names the Debian package that has the file.
func (l Loaders) path(name string) (string, error) {
	known, ok := lookUp(name)
	if !ok && !l.isQuirk(name) {
		return "", fs.ErrNotExist
	}
	for _, dir := range []string{l.Dir, known.debian} {
		file := filepath.Join(dir, name)
		if info, err := os.Stat(file); dir != "" && err == nil && info.Mode().IsRegular() {
			return file, nil
		}
	}
	return "", known.missing(name, l.Dir)
}

// isQuirk says whether the file of a machine names a boot loader.
func (l Loaders) isQuirk(name string) bool {
	if l.Site == nil || !fs.ValidPath(name) || name != path.Base(name) {
		return false
	}
	return l.Site.IsBootFile(name)
}

func (k loader) missing(name, dir string) error {
	how := "put it into the folder that --assets names"
	if dir != "" {
		how = "put it into " + dir
	}
	if k.pkg != "" {
		how = "install the Debian package " + k.pkg + ", or " + how
	}
	return fmt.Errorf("the boot loader %s is missing: %s: %w", name, how, fs.ErrNotExist)
}

func lookUp(name string) (loader, bool) {
	for _, l := range loaders {
		if l.name == name {
			return l, true
		}
	}
	for _, l := range alternatives {
		if l.name == name {
			return l, true
		}
	}
	return loader{}, false
}

// Check returns an error for each boot loader that is missing: those for BIOS and
// for UEFI on amd64, which Debian has packages of, and those that the machines'
// files name.
func (l Loaders) Check(machines []provision.Spec) []error {
	var missing []error
	for _, firmware := range []dhcp.Firmware{dhcp.BIOS, dhcp.EFIX64} {
		known := loaders[firmware]
		if _, err := l.path(known.name); err != nil {
			missing = append(missing, fmt.Errorf("%s cannot boot: %w", known.purpose, err))
		}
	}
	for _, m := range machines {
		if m.Quirks.BootFile == "" {
			continue
		}
		if _, err := l.path(m.Quirks.BootFile); err != nil {
			missing = append(missing, fmt.Errorf("%s cannot boot with the quirk of its file: %w", m.MAC, err))
		}
	}
	return missing
}

// Present returns, sorted, the names of the boot files that can be served now:
// the known ones and those that the machines' own files name.
func (l Loaders) Present(machines []provision.Spec) []string {
	var names []string
	for _, known := range loaders {
		names = append(names, known.name)
	}
	for _, known := range alternatives {
		names = append(names, known.name)
	}
	for _, m := range machines {
		if m.Quirks.BootFile != "" {
			names = append(names, m.Quirks.BootFile)
		}
	}
	names = slices.DeleteFunc(names, func(name string) bool { _, err := l.path(name); return err != nil })
	slices.Sort(names)
	return slices.Compact(names)
}

// nextStep returns the file that a client boots next. An iPXE that speaks HTTP
// gets its script, and any other client gets an iPXE.
func (c *Chain) nextStep(mac provision.MAC, client dhcp.Client, quirks provision.Quirks) (string, error) {
	if client.Kind == dhcp.OwnIPXE || client.Kind == dhcp.IPXE && client.HTTP {
		return scriptURL(c.Base(client.Server), mac), nil
	}
	known, ok := loaders[client.Firmware]
	name := known.name
	if quirks.BootFile != "" {
		name = quirks.BootFile
	} else if !ok {
		return "", fmt.Errorf("no boot loader is known for its firmware (%s)", client.Firmware)
	}
	if _, err := c.Loaders.path(name); err != nil {
		return "", err
	}
	switch client.Kind {
	case dhcp.HTTPBoot:
		return c.Base(client.Server) + loaderPath + name, nil
	case dhcp.IPXE: // an option ROM without HTTP: because of option 43 it needs a URL
		return "tftp://" + c.TFTP(client.Server).String() + "/" + name, nil
	default:
		return name, nil
	}
}

func scriptURL(base string, mac provision.MAC) string {
	return base + "/boot/" + string(mac) + "/script"
}
