package hardware

import (
	"cmp"
	"encoding/hex"
	"io/fs"
	"net"
	"net/netip"
	"strings"

	"cloudlets/provision"
)

// PCI lists the devices of the PCI bus, except bridges between its parts.
func PCI(sys fs.FS) []provision.PCIDevice {
	const dir = "bus/pci/devices"
	names, _ := fs.ReadDir(sys, dir)
	var all []provision.PCIDevice
	for _, name := range names {
		number := func(file string) string {
			return strings.TrimPrefix(Attribute(sys, dir+"/"+name.Name()+"/"+file), "0x")
		}
		class := number("class") // of three bytes; the last one is the programming interface
		if len(class) != 6 || strings.HasPrefix(class, "06") {
			continue
		}
		all = append(all, provision.PCIDevice{Address: name.Name(), Class: class[:4], ID: number("vendor") + ":" + number("device")})
	}
	return all
}

// UEFIBits is "32" or "64" for a machine that started by UEFI, and "" for BIOS.
func UEFIBits(sys fs.FS) string { return Attribute(sys, "firmware/efi/fw_platform_size") }

// BMC is the address of the machine's management controller, if its firmware tells: in
// the Redfish record of an SMBIOS structure of type 42 (DMTF DSP0270, section 8). It is ""
// otherwise.
func BMC(sys fs.FS) string {
	entries, _ := fs.Glob(sys, "firmware/dmi/entries/42-*/raw")
	for _, file := range entries {
		raw, err := fs.ReadFile(sys, file)
		if err != nil {
			continue
		}
		if at := redfishAddress(raw); at != "" {
			return at
		}
	}
	return ""
}

// redfishAddress reads a structure of type 42. After its header of four bytes come the
// interface's type, the length of its data, these, the number of protocol records, and
// the records: type, length, data.
func redfishAddress(raw []byte) string {
	if len(raw) < 6 || raw[0] != 42 {
		return ""
	}
	rest := raw[min(len(raw), 6+int(raw[5])):]
	if len(rest) == 0 {
		return ""
	}
	records := int(rest[0])
	rest = rest[1:]
	for ; records > 0 && len(rest) >= 2 && len(rest) >= 2+int(rest[1]); records-- {
		kind, data := rest[0], rest[2:2+int(rest[1])]
		rest = rest[2+int(rest[1]):]
		// A UUID of 16 bytes; assignment, format, address and mask of the host, of
		// 1, 1, 16 and 16; discovery, format and address of the service, of 1, 1 and 16.
		const format, address = 16 + 34 + 1, 16 + 34 + 2
		if kind != 4 || len(data) < address+16 {
			continue
		}
		switch data[format] {
		case 1:
			return usable(netip.AddrFrom4([4]byte(data[address : address+4])))
		case 2:
			return usable(netip.AddrFrom16([16]byte(data[address : address+16])))
		}
	}
	return ""
}

func usable(a netip.Addr) string {
	if a.IsUnspecified() {
		return ""
	}
	return a.String()
}

// ParseLLDP reads what a switch says of itself (IEEE 802.1AB): the payload of one frame.
// system is its name, or else its chassis; port is the port's identifier.
func ParseLLDP(payload []byte) (system, port string, ok bool) {
	var chassis, name string
	for len(payload) >= 2 {
		kind, length := payload[0]>>1, int(payload[0]&1)<<8|int(payload[1])
		if len(payload) < 2+length {
			return "", "", false
		}
		value := payload[2 : 2+length]
		payload = payload[2+length:]
		switch kind {
		case 0:
			return cmp.Or(name, chassis), port, port != "" && cmp.Or(name, chassis) != ""
		case 1:
			chassis = lldpID(value, 4)
		case 2:
			port = lldpID(value, 3)
		case 5:
			name = provision.Printable(string(value))
		}
	}
	return "", "", false // it has no end
}

// lldpID reads an identifier: its kind in one byte, one of which is a MAC, and then itself.
func lldpID(value []byte, mac byte) string {
	switch {
	case len(value) < 2:
		return ""
	case value[0] == mac && len(value) == 7:
		return net.HardwareAddr(value[1:]).String()
	}
	text := string(value[1:])
	if provision.Printable(text) != text {
		return hex.EncodeToString(value[1:])
	}
	return text
}
