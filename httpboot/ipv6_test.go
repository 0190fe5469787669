package httpboot

import (
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
)

// TestBootByIPv6: URLs have the server's IPv6 address in brackets, and Secure Boot, for
// which GRUB's configuration names no such address, is refused with its reason.
func TestBootByIPv6(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	own := netip.MustParseAddr("fd77::1")
	b.Chain.Base = func(netip.Addr) string { return "http://[fd77::1]" }
	b.Chain.TFTP = func(own netip.Addr) netip.Addr { return own }
	for want, c := range map[string]dhcp.Client{
		"http://[fd77::1]/boot/" + string(node1) + "/script": {Kind: dhcp.IPXE, HTTP: true, BzImage: true, Firmware: dhcp.EFIX64},
		"http://[fd77::1]" + loaderPath + "snponly.efi":      {Kind: dhcp.HTTPBoot, Firmware: dhcp.EFIX64},
		"tftp://[fd77::1]/snponly.efi":                       {Kind: dhcp.IPXE, Firmware: dhcp.EFIX64},
		"snponly.efi":                                        {Kind: dhcp.PXE, Firmware: dhcp.EFIX64},
	} {
		c.MAC, c.Server = node1.HardwareAddr(), own
		if got := b.Boot(t.Context(), c); got.File != want {
			t.Errorf("%s boots %q (%s), want %q", c.Kind, got.File, got.Reason, want)
		}
	}
	b.change(node1, func(s *provision.Spec) { s.SecureBoot = provision.ByShim })
	got := b.Boot(t.Context(), dhcp.Client{MAC: node1.HardwareAddr(), Server: own, Kind: dhcp.PXE, Firmware: dhcp.EFIX64})
	if got.File != "" || !strings.Contains(got.Reason, `with "secureBoot" it cannot boot by IPv6`) {
		t.Errorf("with Secure Boot it boots %q (%s)", got.File, got.Reason)
	}
	b.addARM64()
	b.change(node1, func(s *provision.Spec) { s.SecureBoot, s.Image = "", arm64Image })
	b.Loaders.Root = t.TempDir() // what this host has installed does not count
	for _, ipxe := range []string{"snponly-arm64.efi", "ipxe-arm64.efi"} {
		must(t, os.Remove(filepath.Join(b.dir, "assets", ipxe)))
	}
	got = b.Boot(t.Context(), dhcp.Client{MAC: node1.HardwareAddr(), Server: own, Kind: dhcp.PXE, Firmware: dhcp.EFIARM64})
	if got.File != "" || !strings.Contains(got.Reason, "no iPXE for") || strings.Contains(got.Reason, "secureBoot") {
		t.Errorf("by GRUB, without Secure Boot, it boots %q (%s)", got.File, got.Reason)
	}
}

// TestTwoAddressesOfIPv6: a machine has an address of its own by SLAAC beside that of
// DHCPv6, and asks from either. Only a host that has another machine's address is
// foreign.
func TestTwoAddressesOfIPv6(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	b.startsAt(node1, "fd77::5")
	b.change(node2, func(*provision.Spec) {})
	b.startsAt(node2, "fd77::6")
	slaac := netip.MustParseAddr("fd77::5054:ff:fe00:1")
	b.tftpFile(slaac, ubootName(node1))
	if stage := b.state(node1).Stage; stage != provision.StageKernel || strings.Contains(b.trace(node1), "warning") {
		t.Errorf("it is in the stage %s:\n%s", stage, b.trace(node1))
	}
	for _, addr := range []netip.Addr{slaac, netip.MustParseAddr("fd77::5")} {
		if at, _ := b.At(addr); at != node1 {
			t.Errorf("at %s is %q", addr, at)
		}
	}
	b.tftpFile(netip.MustParseAddr("fd77::6"), ubootName(node1))
	b.wantTrace(node1, "asks from fd77::6", "DHCP gave fd77::5 to this machine")
}
