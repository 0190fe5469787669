package httpboot

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"net/netip"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
)

// loader is a boot loader for one kind of firmware.
type loader struct {
	name    string
	debian  string // the folder of Debian's package; "" if no package has it
	pkg     string
	purpose string
	file    string // its name there and in the folder of loaders; "" if it is the same
}

// The folders of Debian's packages.
const (
	debianIPXE      = "/usr/lib/ipxe/"
	debianShim      = "/usr/lib/shim/"
	debianGRUBPlain = "/usr/lib/grub/arm64-efi/monolithic/"
	debianGRUBAMD64 = "/usr/lib/grub/x86_64-efi-signed/"
	debianGRUBARM64 = "/usr/lib/grub/arm64-efi-signed/"
)

// loaders are the files that DHCP names, by the firmware that starts them: the first
// that is there. For UEFI it is the build that uses the firmware's driver of the
// network card, since iPXE's own drivers hang on some boards. Debian has an iPXE for
// arm64 only from version 13 on, so those machines can do with GRUB.
var loaders = map[dhcp.Firmware][]loader{
	dhcp.BIOS:    {{"undionly.kpxe", debianIPXE, "ipxe", "BIOS machines", ""}},
	dhcp.EFIX64:  {{"snponly.efi", debianIPXE, "ipxe", "UEFI machines", ""}},
	dhcp.EFIIA32: {{"snponly-ia32.efi", "", "", "UEFI machines of 32 bits", ""}},
	dhcp.EFIARM64: {
		{"snponly-arm64.efi", "", "", "UEFI machines of arm64", ""},
		{"ipxe-arm64.efi", debianIPXE, "ipxe of Debian 13", "UEFI machines of arm64", ""},
		{"grubnetaa64.efi", debianGRUBPlain, "grub-efi-arm64-bin:arm64", "UEFI machines of arm64 without an iPXE", ""},
		{"grubaa64.efi", debianGRUBARM64, "grub-efi-arm64-signed:arm64", "UEFI machines of arm64 without an iPXE", "grubnetaa64.efi.signed"},
	},
	dhcp.EFIARM32: {{"snponly-arm32.efi", "", "", "UEFI machines of 32-bit ARM", ""}},
}

// isGRUB says whether a loader speaks GRUB's dialect, and needs its first
// configuration by TFTP.
func (k loader) isGRUB() bool { return strings.HasPrefix(k.name, "grub") }

// signed are the files that DHCP names instead to UEFI PXE of machines with Secure
// Boot. Shim then asks for the loader of afterShim, by a name that it was built with.
var signed = map[dhcp.Firmware]loader{
	dhcp.EFIX64:   {"shimx64.efi", debianShim, "shim-signed", "UEFI machines with Secure Boot", "shimx64.efi.signed"},
	dhcp.EFIARM64: {"shimaa64.efi", debianShim, "shim-signed", "UEFI machines of arm64 with Secure Boot", "shimaa64.efi.signed"},
}

// afterShim are the files that shim asks for: GRUB, and shim's tool with which a
// person enrolls keys.
var afterShim = []loader{
	{"grubx64.efi", debianGRUBAMD64, "grub-efi-amd64-signed", "UEFI machines with Secure Boot", "grubnetx64.efi.signed"},
	{"grubaa64.efi", debianGRUBARM64, "grub-efi-arm64-signed", "UEFI machines of arm64 with Secure Boot", "grubnetaa64.efi.signed"},
	{"mmx64.efi", debianShim, "shim-helpers-amd64-signed", "UEFI machines whose owner enrolls keys", "mmx64.efi.signed"},
	{"mmaa64.efi", debianShim, "shim-helpers-arm64-signed", "UEFI machines of arm64 whose owner enrolls keys", "mmaa64.efi.signed"},
}

// knownLoaders returns all loaders that have a name of their own.
func knownLoaders() []loader {
	all := slices.Concat(alternatives, afterShim)
	for _, firmware := range loaders {
		all = append(all, firmware...)
	}
	return slices.AppendSeq(all, maps.Values(signed))
}

// fileName returns the name of the loader's file in a folder.
func (k loader) fileName() string { return cmp.Or(k.file, k.name) }

// alternatives are further files that a machine's quirks may name.
var alternatives = []loader{
	{"ipxe.efi", debianIPXE, "ipxe", "UEFI machines, with iPXE's own drivers", ""},
	{"ipxe.pxe", debianIPXE, "ipxe", "BIOS machines, with iPXE's own drivers", ""},
	{"undionly.kkpxe", debianIPXE, "ipxe", "BIOS machines that lose their network", ""},
}

// Loaders finds boot loaders: in Dir if that is set and has them, or else where
// Debian's packages put them. TFTP serves it as a file system. It contains only
// the names that DHCP may hand out.
type Loaders struct {
	Dir string
	// Root is the folder in which Debian's packages are installed; "" is "/".
	Root string
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
	all := knownLoaders()
	i := slices.IndexFunc(all, func(l loader) bool { return strings.EqualFold(l.name, name) })
	if i < 0 {
		return loader{}, false
	}
	return all[i], true
}

// Check returns an error for each boot loader that is missing: those for BIOS and
// for UEFI on amd64, which Debian has packages of, and those that the machines'
// files ask for.
func (l Loaders) Check(machines []provision.Spec) []error {
	var missing []error
	for _, firmware := range []dhcp.Firmware{dhcp.BIOS, dhcp.EFIX64} {
		if _, err := l.first(firmware); err != nil {
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
		if _, err := l.path(m.Quirks.BootFile); err != nil {
			missing = append(missing, fmt.Errorf("%s cannot boot with the quirk of its file: %w", m.MAC, err))
		}
	}
	return missing
}

// CheckARM64 returns which boot loader UEFI machines of arm64 get, or an error if
// there is none.
func (l Loaders) CheckARM64() (name string, err error) {
	known, err := l.first(dhcp.EFIARM64)
	return known.name, err
}

// first returns the loader for a firmware: the first of its list that is there. The
// error tells how to get each of them.
func (l Loaders) first(firmware dhcp.Firmware) (loader, error) {
	var missing []error
	for _, known := range loaders[firmware] {
		_, err := l.path(known.name)
		if err == nil {
			return known, nil
		}
		missing = append(missing, err)
	}
	if len(missing) == 0 {
		return loader{}, fmt.Errorf("no boot loader is known for its firmware (%s)", firmware)
	}
	return loader{}, fmt.Errorf("%s cannot boot: %w", loaders[firmware][0].purpose, joined(missing))
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
func (l Loaders) checkSigned() (missing []error) {
	for _, known := range []loader{signed[dhcp.EFIX64], afterShim[0]} {
		if _, err := l.path(known.name); err != nil {
			missing = append(missing, fmt.Errorf("%s cannot boot: %w", known.purpose, err))
		}
	}
	return missing
}

// Present returns, sorted, the names of the boot files that can be served now:
// the known ones and those that the machines' own files name.
func (l Loaders) Present(machines []provision.Spec) []string {
	var names []string
	for _, known := range knownLoaders() {
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

// nextStep returns the file that a client boots next. An iPXE that can fetch and
// start a kernel gets its script, and any other client gets a boot loader.
func (c *Chain) nextStep(mac provision.MAC, client dhcp.Client, spec *provision.Spec) (string, error) {
	if bootsUnified(client, spec) {
		return c.unified(client, spec)
	}
	if client.Kind == dhcp.OwnIPXE || client.Kind == dhcp.IPXE && takesScript(client) {
		return dialect.ScriptURL(c.Base(client.Server), mac), nil
	}
	switch {
	case spec.Quirks.BootFile != "":
	case client.Firmware == dhcp.UBoot:
		return dialect.UBootScript, nil
	case client.Firmware == dhcp.RaspberryPi && client.Kind == dhcp.PXE:
		return dialect.PiName(mac, dialect.PiFirmware), nil
	}
	name, err := c.loaderFor(client, spec)
	if err != nil {
		return "", err
	}
	if _, err := c.Loaders.path(name); err != nil {
		return "", err
	}
	switch client.Kind {
	case dhcp.HTTPBoot:
		return c.firmwareBase(client.Server, spec) + loaderPath + name, nil
	case dhcp.IPXE: // an option ROM that gets no script: because of option 43 it needs a URL
		return "tftp://" + urlHost(c.TFTP(client.Server)) + "/" + name, nil
	default:
		return name, nil
	}
}

// urlHost is an address as it stands in a URL: that of IPv6 in brackets (RFC 3986,
// 3.2.2).
func urlHost(a netip.Addr) string {
	if a.Is6() {
		return "[" + a.String() + "]"
	}
	return a.String()
}

// takesScript says whether an iPXE can do what a script says. On BIOS it must know
// the kernel's format, which some option ROMs do not. On UEFI, the firmware starts
// the kernel.
func takesScript(client dhcp.Client) bool {
	return client.HTTP && (client.BzImage || client.Firmware != dhcp.BIOS)
}

// loaderFor returns the name of the boot loader for a client without a script.
func (c *Chain) loaderFor(client dhcp.Client, spec *provision.Spec) (string, error) {
	if spec.Quirks.BootFile != "" {
		return spec.Quirks.BootFile, nil
	}
	if spec.SecureBoot == provision.ByOwner && client.Firmware.UEFI() {
		return "", errors.New("with \"secureBoot\": \"owner\" it boots by UEFI HTTP Boot only: choose \"UEFI HTTPv4\" in the firmware's boot menu, and put it before PXE")
	}
	if spec.SecureBoot == provision.ByShim && client.Firmware.UEFI() {
		known, ok := signed[client.Firmware]
		if !ok {
			return "", fmt.Errorf("no boot loader is known for its firmware (%s)", client.Firmware)
		}
		return known.name, c.checkGRUB(client, "with \"secureBoot\"", known.name)
	}
	known, err := c.Loaders.first(client.Firmware)
	if err == nil && known.isGRUB() {
		err = c.checkGRUB(client, "as the server has no iPXE for "+client.Firmware.String()+" and would start GRUB,", known.name)
	}
	return known.name, err
}

// checkGRUB returns why GRUB would not find its configuration, and would stand at its
// prompt for ever. Reason says why the client gets GRUB, by the boot file of that name.
func (c *Chain) checkGRUB(client dhcp.Client, reason, file string) error {
	switch {
	case client.Server.Is6():
		return errors.New(reason + " it cannot boot by IPv6, for which GRUB's configuration is not made: choose IPv4 in the firmware's boot menu, on a network that has both")
	case client.Kind == dhcp.HTTPBoot:
		return errors.New(reason + " it cannot boot by UEFI HTTP Boot, since GRUB does not find its configuration then: choose \"UEFI PXEv4\" in the firmware's boot menu, and put it before HTTP")
	case c.Proxy != nil && c.Proxy(client.Server):
		return errors.New(reason + " it cannot boot beside another DHCP server, since GRUB would ask that one for its configuration: let this server give the addresses; or, if that one names this server as next-server, set \"quirks\": {\"bootFile\": \"" + file + "\"}")
	}
	return nil
}
