package httpboot

import (
	"errors"
	"fmt"
	"net/netip"

	"cloudlets/dhcp"
	"cloudlets/httpboot/dialect"
	"cloudlets/httpboot/loaders"
	"cloudlets/provision"
)

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
	if _, err := c.Loaders.Path(name); err != nil {
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
		known, ok := loaders.Signed(client.Firmware)
		if !ok {
			return "", fmt.Errorf("no boot loader is known for its firmware (%s)", client.Firmware)
		}
		return known.Name, c.checkGRUB(client, "with \"secureBoot\"", known.Name)
	}
	known, err := c.Loaders.First(client.Firmware)
	if err == nil && known.IsGRUB() {
		err = c.checkGRUB(client, "as the server has no iPXE for "+client.Firmware.String()+" and would start GRUB,", known.Name)
	}
	return known.Name, err
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
