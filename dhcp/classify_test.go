package dhcp_test

import (
	"net"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"

	"cloudlets/dhcp"
	"cloudlets/dhcp/dhcptest"
)

func TestClassifyRealClients(t *testing.T) {
	const uuid = "01020304-0506-0708-090a-0b0c0d0e0f10" // what QEMU was told with -uuid
	for _, want := range []struct {
		packet   string
		kind     dhcp.Kind
		firmware dhcp.Firmware
		http     bool
		uuid     string
		class    string
		addr     string
	}{
		{"bios-pxe-discover", dhcp.PXE, dhcp.BIOS, false, uuid, "", ""},
		{"bios-pxe-no-uuid", dhcp.PXE, dhcp.BIOS, false, "", "", ""},
		{"bios-pxe-bootitem", dhcp.PXE, dhcp.BIOS, false, uuid, "", "10.77.0.100"},
		{"dhclient-discover", dhcp.Plain, dhcp.NoFirmware, false, "", "", ""},
		{"udhcpc-discover", dhcp.Plain, dhcp.NoFirmware, false, "", "", ""},
		{"ipxe-rom-discover", dhcp.IPXE, dhcp.BIOS, true, uuid, "iPXE", ""},
		{"ipxe-rom-request", dhcp.IPXE, dhcp.BIOS, true, uuid, "iPXE", "10.77.0.100"},
		{"ipxe-snponly-discover", dhcp.IPXE, dhcp.EFIX64, true, uuid, "iPXE", ""},
		{"ipxe-undionly-discover", dhcp.IPXE, dhcp.BIOS, true, uuid, "iPXE", ""},
		{"ovmf-http-discover", dhcp.HTTPBoot, dhcp.EFIX64, false, uuid, "", ""},
		{"ovmf-pxe-discover", dhcp.PXE, dhcp.EFIX64, false, uuid, "", ""},
		{"ovmf-pxe-4011", dhcp.PXE, dhcp.EFIX64, false, uuid, "", "10.77.0.54"},
		{"own-ipxe-discover", dhcp.OwnIPXE, dhcp.BIOS, true, uuid, "cloudlets", ""},
		{"raspberrypi-discover", dhcp.PXE, dhcp.RaspberryPi, false, "34495052-5052-3449-5250-493452504934", "", ""},
		{"uboot-discover", dhcp.PXE, dhcp.UBoot, false, "", "", ""},
		{"uboot-request", dhcp.PXE, dhcp.UBoot, false, "", "", "10.77.0.100"},
	} {
		t.Run(want.packet, func(t *testing.T) {
			c := dhcptest.SampleNamed(t, want.packet).Req.Client
			addr := ""
			if c.Addr.IsValid() {
				addr = c.Addr.String()
			}
			if c.Kind != want.kind || c.Firmware != want.firmware || c.HTTP != want.http {
				t.Errorf("got %v on %v with HTTP %v, want %v on %v with HTTP %v",
					c.Kind, c.Firmware, c.HTTP, want.kind, want.firmware, want.http)
			}
			if c.UUID != want.uuid {
				t.Errorf("UUID %q, want %q", c.UUID, want.uuid)
			}
			if c.UserClass != want.class || addr != want.addr {
				t.Errorf("user class %q and address %q, want %q and %q", c.UserClass, addr, want.class, want.addr)
			}
		})
	}
}

func TestClassifyHostnameAndVendor(t *testing.T) {
	c := dhcptest.SampleNamed(t, "udhcpc-discover").Req.Client
	if c.Hostname != "box" || c.VendorClass != "udhcp test" || c.MAC.String() != "52:54:00:00:00:03" {
		t.Errorf("hostname %q, vendor class %q, MAC %s", c.Hostname, c.VendorClass, c.MAC)
	}
}

// TestClassifyFeatures: what iPXE says of itself in option 175, as it was captured.
func TestClassifyFeatures(t *testing.T) {
	for name, bzImage := range map[string]bool{"ipxe-rom-discover": true, "ipxe-undionly-discover": true, "ipxe-snponly-discover": false} {
		if c := dhcptest.SampleNamed(t, name).Req.Client; !c.HTTP || c.BzImage != bzImage {
			t.Errorf("%s: HTTP %t, bzImage %t; want HTTP, and bzImage %t", name, c.HTTP, c.BzImage, bzImage)
		}
	}
}

func TestClassifyByOptions(t *testing.T) {
	const pxe = "PXEClient:Arch:00000"
	for _, test := range []struct {
		name        string
		vendorClass string
		options     map[uint8]string
		kind        dhcp.Kind
		firmware    dhcp.Firmware
	}{
		{"user class with length prefix", pxe, map[uint8]string{93: "\x00\x00", 77: "\x04iPXE"}, dhcp.IPXE, dhcp.BIOS},
		{"user class in a list", pxe, map[uint8]string{93: "\x00\x00", 77: "\x03abc\x09cloudlets"}, dhcp.OwnIPXE, dhcp.BIOS},
		{"iPXE ROM without user class", pxe, map[uint8]string{93: "\x00\x00", 175: "\x13\x01\x01"}, dhcp.IPXE, dhcp.BIOS},
		{"ours counts before HTTPClient", "HTTPClient", map[uint8]string{93: "\x00\x10", 77: "cloudlets"}, dhcp.OwnIPXE, dhcp.EFIX64},
		{"HTTPClient counts before iPXE", "HTTPClient", map[uint8]string{93: "\x00\x10", 77: "iPXE"}, dhcp.HTTPBoot, dhcp.EFIX64},
		{"no architecture is no boot client", pxe, map[uint8]string{77: "iPXE"}, dhcp.Plain, dhcp.NoFirmware},
		{"architecture alone is no boot client", "MSFT 5.0", map[uint8]string{93: "\x00\x07"}, dhcp.Plain, dhcp.NoFirmware},
		{"first known architecture", pxe, map[uint8]string{93: "\x00\x63\x00\x0b\x00\x07"}, dhcp.PXE, dhcp.EFIARM64},
		{"unknown architecture", pxe, map[uint8]string{93: "\x00\x63"}, dhcp.PXE, dhcp.NoFirmware},
		{"half an architecture", pxe, map[uint8]string{93: "\x00"}, dhcp.PXE, dhcp.NoFirmware},
		{"ia32", pxe, map[uint8]string{93: "\x00\x06"}, dhcp.PXE, dhcp.EFIIA32},
		{"EBC means x64", pxe, map[uint8]string{93: "\x00\x07"}, dhcp.PXE, dhcp.EFIX64},
		{"x64 as 9", pxe, map[uint8]string{93: "\x00\x09"}, dhcp.PXE, dhcp.EFIX64},
		{"arm32", pxe, map[uint8]string{93: "\x00\x0a"}, dhcp.PXE, dhcp.EFIARM32},
		{"U-Boot on a PC", "U-Boot", map[uint8]string{93: "\x00\x00"}, dhcp.PXE, dhcp.UBoot},
		{"U-Boot as a PXE client", pxe, map[uint8]string{93: "\x00\x15"}, dhcp.PXE, dhcp.UBoot},
		{"UEFI of U-Boot", "PXEClient:Arch:00011:UNDI:003000", map[uint8]string{93: "\x00\x0b"}, dhcp.PXE, dhcp.EFIARM64},
		{"HTTP arm64", "HTTPClient:Arch:00019", map[uint8]string{93: "\x00\x13"}, dhcp.HTTPBoot, dhcp.EFIARM64},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &dhcpv4.DHCPv4{ClientHWAddr: []byte{0x52, 0x54, 0, 0, 0, 1}, Options: dhcpv4.Options{60: []byte(test.vendorClass)}}
			for code, value := range test.options {
				p.Options[code] = []byte(value)
			}
			if c := dhcp.Classify(p); c.Kind != test.kind || c.Firmware != test.firmware {
				t.Errorf("got %v on %v, want %v on %v", c.Kind, c.Firmware, test.kind, test.firmware)
			}
		})
	}
}

// TestArchitectureOfUBoot: U-Boot tells its architecture by option 93 or by its vendor
// class.
func TestArchitectureOfUBoot(t *testing.T) {
	for _, test := range []struct{ vendorClass, arch, want string }{
		{"U-Boot.armv8", "\x00\x16", "arm64"},
		{"PXEClient:Arch:00022", "\x00\x16", "arm64"},
		{"HTTPClient:Arch:00024", "\x00\x18", "arm64"},
		{"U-Boot.armv8", "\x00\x00", "arm64"},
		{"U-Boot.armv7", "\x00\x15", "arm"},
		{"HTTPClient:Arch:00023", "\x00\x17", "arm"},
		{"U-Boot.arm", "\x00\x00", "arm"},
		{"U-Boot", "\x00\x00", ""},
		{"PXEClient:Arch:00011", "\x00\x0b", ""},
	} {
		p := &dhcpv4.DHCPv4{ClientHWAddr: []byte{0x52, 0x54, 0, 0, 0, 1}, Options: dhcpv4.Options{60: []byte(test.vendorClass), 93: []byte(test.arch)}}
		if c := dhcp.Classify(p); c.Arch != test.want {
			t.Errorf("%s with option 93 = %x is for %q, want %q", test.vendorClass, test.arch, c.Arch, test.want)
		}
	}
}

func TestRaspberryPiWithUEFIIsUEFI(t *testing.T) {
	p := dhcptest.SampleNamed(t, "raspberrypi-discover").Req.Packet
	p.Options[93] = []byte{0, 11}
	if f := dhcp.Classify(p).Firmware; f != dhcp.EFIARM64 {
		t.Errorf("a Raspberry Pi that runs UEFI is classified as %v", f)
	}
}

func TestForeignTextIsMadePrintable(t *testing.T) {
	p := dhcptest.SampleNamed(t, "udhcpc-discover").Req.Packet
	p.Options[12] = []byte("a\x1b[2Jb\n\xff\x00")
	if got := dhcp.Classify(p).Hostname; got != "a?[2Jb??" {
		t.Errorf("hostname %q still has control characters", got)
	}
}

// TestRaspberryPiPrefixes are those of all models that boot from the network.
func TestRaspberryPiPrefixes(t *testing.T) {
	for _, prefix := range []string{"b8:27:eb", "dc:a6:32", "e4:5f:01", "28:cd:c1", "d8:3a:dd", "2c:cf:67", "88:a2:9e"} {
		p := dhcptest.SampleNamed(t, "raspberrypi-discover").Req.Packet
		p.ClientHWAddr, _ = net.ParseMAC(prefix + ":00:00:01")
		if f := dhcp.Classify(p).Firmware; f != dhcp.RaspberryPi {
			t.Errorf("%s is taken for %v", prefix, f)
		}
	}
}
