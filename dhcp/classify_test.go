package dhcp

import (
	"net"
	"testing"

	"github.com/insomniacslk/dhcp/dhcpv4"
)

func TestClassifyRealClients(t *testing.T) {
	const uuid = "01020304-0506-0708-090a-0b0c0d0e0f10" // what QEMU was told with -uuid
	for _, want := range []struct {
		packet   string
		kind     Kind
		firmware Firmware
		http     bool
		uuid     string
		class    string
		addr     string
	}{
		{"bios-pxe-discover", PXE, BIOS, false, uuid, "", ""},
		{"bios-pxe-no-uuid", PXE, BIOS, false, "", "", ""},
		{"bios-pxe-bootitem", PXE, BIOS, false, uuid, "", "10.77.0.100"},
		{"dhclient-discover", Plain, NoFirmware, false, "", "", ""},
		{"udhcpc-discover", Plain, NoFirmware, false, "", "", ""},
		{"ipxe-rom-discover", IPXE, BIOS, true, uuid, "iPXE", ""},
		{"ipxe-rom-request", IPXE, BIOS, true, uuid, "iPXE", "10.77.0.100"},
		{"ipxe-snponly-discover", IPXE, EFIX64, true, uuid, "iPXE", ""},
		{"ipxe-undionly-discover", IPXE, BIOS, true, uuid, "iPXE", ""},
		{"ovmf-http-discover", HTTPBoot, EFIX64, false, uuid, "", ""},
		{"ovmf-pxe-discover", PXE, EFIX64, false, uuid, "", ""},
		{"ovmf-pxe-4011", PXE, EFIX64, false, uuid, "", "10.77.0.54"},
		{"own-ipxe-discover", OwnIPXE, BIOS, true, uuid, "cloudlets", ""},
		{"raspberrypi-discover", PXE, RaspberryPi, false, "34495052-5052-3449-5250-493452504934", "", ""},
		{"uboot-discover", PXE, UBoot, false, "", "", ""},
		{"uboot-request", PXE, UBoot, false, "", "", "10.77.0.100"},
	} {
		t.Run(want.packet, func(t *testing.T) {
			c := sampleNamed(t, want.packet).req.Client
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
	c := sampleNamed(t, "udhcpc-discover").req.Client
	if c.Hostname != "box" || c.VendorClass != "udhcp test" || c.MAC.String() != "52:54:00:00:00:03" {
		t.Errorf("hostname %q, vendor class %q, MAC %s", c.Hostname, c.VendorClass, c.MAC)
	}
}

// TestClassifyFeatures: what iPXE says of itself in option 175, as it was captured.
func TestClassifyFeatures(t *testing.T) {
	for name, bzImage := range map[string]bool{"ipxe-rom-discover": true, "ipxe-undionly-discover": true, "ipxe-snponly-discover": false} {
		if c := sampleNamed(t, name).req.Client; !c.HTTP || c.BzImage != bzImage {
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
		kind        Kind
		firmware    Firmware
	}{
		{"user class with length prefix", pxe, map[uint8]string{93: "\x00\x00", 77: "\x04iPXE"}, IPXE, BIOS},
		{"user class in a list", pxe, map[uint8]string{93: "\x00\x00", 77: "\x03abc\x09cloudlets"}, OwnIPXE, BIOS},
		{"iPXE ROM without user class", pxe, map[uint8]string{93: "\x00\x00", 175: "\x13\x01\x01"}, IPXE, BIOS},
		{"ours counts before HTTPClient", "HTTPClient", map[uint8]string{93: "\x00\x10", 77: "cloudlets"}, OwnIPXE, EFIX64},
		{"HTTPClient counts before iPXE", "HTTPClient", map[uint8]string{93: "\x00\x10", 77: "iPXE"}, HTTPBoot, EFIX64},
		{"no architecture is no boot client", pxe, map[uint8]string{77: "iPXE"}, Plain, NoFirmware},
		{"architecture alone is no boot client", "MSFT 5.0", map[uint8]string{93: "\x00\x07"}, Plain, NoFirmware},
		{"first known architecture", pxe, map[uint8]string{93: "\x00\x63\x00\x0b\x00\x07"}, PXE, EFIARM64},
		{"unknown architecture", pxe, map[uint8]string{93: "\x00\x63"}, PXE, NoFirmware},
		{"half an architecture", pxe, map[uint8]string{93: "\x00"}, PXE, NoFirmware},
		{"ia32", pxe, map[uint8]string{93: "\x00\x06"}, PXE, EFIIA32},
		{"EBC means x64", pxe, map[uint8]string{93: "\x00\x07"}, PXE, EFIX64},
		{"x64 as 9", pxe, map[uint8]string{93: "\x00\x09"}, PXE, EFIX64},
		{"arm32", pxe, map[uint8]string{93: "\x00\x0a"}, PXE, EFIARM32},
		{"U-Boot on a PC", "U-Boot", map[uint8]string{93: "\x00\x00"}, PXE, UBoot},
		{"U-Boot as a PXE client", pxe, map[uint8]string{93: "\x00\x15"}, PXE, UBoot},
		{"UEFI of U-Boot", "PXEClient:Arch:00011:UNDI:003000", map[uint8]string{93: "\x00\x0b"}, PXE, EFIARM64},
		{"HTTP arm64", "HTTPClient:Arch:00019", map[uint8]string{93: "\x00\x13"}, HTTPBoot, EFIARM64},
	} {
		t.Run(test.name, func(t *testing.T) {
			p := &dhcpv4.DHCPv4{ClientHWAddr: []byte{0x52, 0x54, 0, 0, 0, 1}, Options: dhcpv4.Options{60: []byte(test.vendorClass)}}
			for code, value := range test.options {
				p.Options[code] = []byte(value)
			}
			if c := Classify(p); c.Kind != test.kind || c.Firmware != test.firmware {
				t.Errorf("got %v on %v, want %v on %v", c.Kind, c.Firmware, test.kind, test.firmware)
			}
		})
	}
}

func TestRaspberryPiWithUEFIIsUEFI(t *testing.T) {
	p := sampleNamed(t, "raspberrypi-discover").req.Packet
	p.Options[93] = []byte{0, 11}
	if f := Classify(p).Firmware; f != EFIARM64 {
		t.Errorf("a Raspberry Pi that runs UEFI is classified as %v", f)
	}
}

func TestForeignTextIsMadePrintable(t *testing.T) {
	p := sampleNamed(t, "udhcpc-discover").req.Packet
	p.Options[12] = []byte("a\x1b[2Jb\n\xff\x00")
	if got := Classify(p).Hostname; got != "a?[2Jb??" {
		t.Errorf("hostname %q still has control characters", got)
	}
}

// TestRaspberryPiPrefixes are those of all models that boot from the network.
func TestRaspberryPiPrefixes(t *testing.T) {
	for _, prefix := range []string{"b8:27:eb", "dc:a6:32", "e4:5f:01", "28:cd:c1", "d8:3a:dd", "2c:cf:67", "88:a2:9e"} {
		p := sampleNamed(t, "raspberrypi-discover").req.Packet
		p.ClientHWAddr, _ = net.ParseMAC(prefix + ":00:00:01")
		if f := Classify(p).Firmware; f != RaspberryPi {
			t.Errorf("%s is taken for %v", prefix, f)
		}
	}
}
