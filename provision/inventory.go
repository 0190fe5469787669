package provision

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"cloudlets/images/bytesize"
)

// Inventory is the hardware that an agent finds in its machine. The agent sends it
// with its claim.
type Inventory struct {
	Arch    string `json:"arch"` // as GOARCH: "amd64", "arm64"
	Vendor  string `json:"vendor,omitempty"`
	Product string `json:"product,omitempty"`
	Serial  string `json:"serial,omitempty"`
	UUID    string `json:"uuid,omitempty"` // of SMBIOS, as Linux shows it
	CPUs    int    `json:"cpus,omitempty"`
	// Memory is the machine's RAM in bytes.
	Memory     int64           `json:"memory,omitempty"`
	Disks      []DiskInfo      `json:"disks,omitempty"`
	Interfaces []InterfaceInfo `json:"interfaces,omitempty"`
}

// DiskInfo is one disk as the kernel shows it.
type DiskInfo struct {
	// Name is the kernel's name for it at this boot: "nvme0n1", "sda". It may
	// differ at the next boot.
	Name      string `json:"name"`
	Serial    string `json:"serial,omitempty"`
	WWN       string `json:"wwn,omitempty"`
	Model     string `json:"model,omitempty"`
	Size      int64  `json:"size"` // bytes
	Transport string `json:"transport,omitempty"`
	// ByPath is its name in /dev/disk/by-path.
	ByPath     string `json:"byPath,omitempty"`
	Rotational bool   `json:"rotational,omitempty"`
	Removable  bool   `json:"removable,omitempty"`
	ReadOnly   bool   `json:"readOnly,omitempty"`
	// Contents says for a person what is on it: "GPT with 3 partitions". It is
	// "" if the disk is empty.
	Contents string `json:"contents,omitempty"`
}

// InterfaceInfo is one network interface.
type InterfaceInfo struct {
	Name   string `json:"name"`
	MAC    string `json:"mac"`
	Driver string `json:"driver,omitempty"`
	// Speed is in Mbit/s; 0 if unknown.
	Speed int  `json:"speed,omitempty"`
	Up    bool `json:"up,omitempty"`
	// Switch and Port are what the switch at the other end of the cable says of itself
	// by LLDP.
	Switch string `json:"switch,omitempty"`
	Port   string `json:"port,omitempty"`
}

// Facts returns the inventory as an event's facts.
func (inv Inventory) Facts() map[string]string {
	facts := make(map[string]string)
	put := func(name, value string) {
		if value != "" {
			facts[name] = value
		}
	}
	put("arch", inv.Arch)
	put("product", strings.TrimSpace(inv.Vendor+" "+inv.Product))
	put("serial", inv.Serial)
	if UUIDOf(inv.UUID) != "" {
		put("uuid", inv.UUID)
	}
	put("macs", inv.macs())
	if inv.CPUs > 0 {
		put("cpus", fmt.Sprint(inv.CPUs))
	}
	if inv.Memory > 0 {
		put("memory", bytesize.Decimal(inv.Memory))
	}
	return facts
}

// macs lists the network cards, as far as a fact has room.
func (inv Inventory) macs() string {
	var macs []string
	for _, card := range inv.Interfaces {
		if mac, err := ParseMAC(card.MAC); err == nil && !slices.Contains(macs, string(mac)) {
			macs = append(macs, string(mac))
		}
	}
	slices.Sort(macs)
	const width = len("52:54:00:12:34:56 ")
	return strings.Join(macs[:min(len(macs), maxFactText/width)], " ")
}

// String describes a disk by what distinguishes it from others for a person.
func (d DiskInfo) String() string {
	parts := []string{d.Name}
	for _, p := range []struct{ name, value string }{
		{"model", d.Model}, {"serial", d.Serial}, {"wwn", d.WWN}, {"transport", d.Transport},
	} {
		if p.value != "" {
			parts = append(parts, p.name+" "+p.value)
		}
	}
	parts = append(parts, bytesize.Decimal(d.Size))
	if d.Removable {
		parts = append(parts, "removable")
	}
	if d.ReadOnly {
		parts = append(parts, "read-only")
	}
	return strings.Join(parts, ", ")
}

// Hints returns, as JSON for "disk" in a machine's file, what can be said of a disk to
// select it. A few of the hints are enough.
func (d DiskInfo) Hints() string {
	rotational := d.Rotational
	hints := DiskHints{
		Serial: strings.TrimSpace(d.Serial), WWN: d.WWN, Model: d.Model, Transport: d.Transport, ByPath: d.ByPath,
		MinSize: d.Size, MaxSize: d.Size, Rotational: &rotational,
	}
	text, err := json.Marshal(hints)
	if err != nil {
		return "{}" // a structure of texts and numbers has always a JSON form
	}
	return string(text)
}
