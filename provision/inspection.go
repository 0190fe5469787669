package provision

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
)

// Inspection is what an agent found in a stranger, a machine that no file of the site
// describes. The agent only looks: it writes to no disk.
type Inspection struct {
	Inventory
	// Card is the network card that the machine booted by.
	Card MAC `json:"card,omitempty"`
	// CPU is the name of the processor.
	CPU      string   `json:"cpu,omitempty"`
	Firmware Firmware `json:"firmware,omitzero"`
	// SecureBoot is "on", "off", or "" if the firmware does not know it.
	SecureBoot string `json:"secureBoot,omitempty"`
	// BMC is the address of the machine's management controller, as SMBIOS tells it.
	BMC string      `json:"bmc,omitempty"`
	PCI []PCIDevice `json:"pci,omitempty"`
	// Listening says that the agent still waits for what switches say of themselves.
	Listening bool `json:"listening,omitempty"`
}

// Firmware is what starts a machine.
type Firmware struct {
	Kind    string `json:"kind,omitempty"` // "uefi" or "bios"
	Vendor  string `json:"vendor,omitempty"`
	Version string `json:"version,omitempty"`
	Date    string `json:"date,omitempty"`
}

// PCIDevice is one device of the PCI bus, with the numbers by which drivers know it.
type PCIDevice struct {
	Address string `json:"address"` // "0000:00:1f.2"
	Class   string `json:"class"`   // "0300", a display controller
	ID      string `json:"id"`      // vendor and device, "10de:2204"
}

// Bounds of an inspection, since strangers may be anyone.
const (
	maxInspectionText  = 96
	maxInspectedDisks  = 32
	maxInspectedCards  = 16
	maxInspectedPCI    = 128
	maxInspectionBytes = 8 << 10
)

// Bounded returns a copy of an inspection, cut to a bounded size, with text that a
// terminal can print. It shares nothing with i.
func (i Inspection) Bounded() Inspection {
	for _, text := range []*string{
		&i.Arch, &i.Vendor, &i.Product, &i.Serial, &i.UUID, &i.CPU, &i.SecureBoot, &i.BMC,
		&i.Firmware.Kind, &i.Firmware.Vendor, &i.Firmware.Version, &i.Firmware.Date,
	} {
		*text = Cut(*text, maxInspectionText)
	}
	i.CPUs, i.Memory = max(i.CPUs, 0), max(i.Memory, 0)
	i.Disks = bounded(i.Disks, maxInspectedDisks, func(d *DiskInfo) []*string {
		return []*string{&d.Name, &d.Serial, &d.WWN, &d.Model, &d.Transport, &d.ByPath, &d.Contents}
	})
	i.Interfaces = bounded(i.Interfaces, maxInspectedCards, func(n *InterfaceInfo) []*string {
		return []*string{&n.Name, &n.MAC, &n.Driver, &n.Switch, &n.Port}
	})
	i.PCI = bounded(i.PCI, maxInspectedPCI, func(p *PCIDevice) []*string {
		return []*string{&p.Address, &p.Class, &p.ID}
	})
	for i.size() > maxInspectionBytes { // what helps least goes first
		switch {
		case len(i.PCI) > 0:
			i.PCI = i.PCI[:len(i.PCI)/2]
		case len(i.Disks) > len(i.Interfaces):
			i.Disks = i.Disks[:len(i.Disks)/2]
		default:
			i.Interfaces = i.Interfaces[:len(i.Interfaces)/2]
		}
	}
	return i
}

// bounded returns a copy of a list with at most so many elements, whose texts are cut.
func bounded[T any](list []T, most int, texts func(*T) []*string) []T {
	list = slices.Clone(list[:min(len(list), most)])
	for k := range list {
		for _, text := range texts(&list[k]) {
			*text = Cut(*text, maxInspectionText)
		}
	}
	return list
}

func (i Inspection) size() int {
	text, _ := json.Marshal(i) // these types can be marshalled
	return len(text)
}

// Attributes are what rules can ask for, by their names. Those that are not known are "".
// "disks" counts those that can take a system without being named: neither removable nor
// on USB, and each once, however many paths lead to it. Switch and port are those at the
// card by which the machine booted.
func (i Inspection) Attributes() map[string]string {
	all := map[string]string{
		"mac": string(i.Card), "arch": i.Arch, "vendor": i.Vendor, "product": i.Product, "serial": i.Serial, "uuid": i.UUID,
		"cpu": i.CPU, "cpus": "", "disks": "", "firmware": i.Firmware.Kind,
		"secureBoot": i.SecureBoot, "bmc": i.BMC, "switch": "", "port": "",
	}
	if i.CPUs > 0 {
		all["cpus"] = strconv.Itoa(i.CPUs)
	}
	if i.Arch != "" || len(i.Disks) > 0 { // else no agent has looked
		all["disks"] = strconv.Itoa(countWritable(i.Disks))
	}
	for _, card := range i.Interfaces {
		if mac, err := ParseMAC(card.MAC); err == nil && mac == i.Card {
			all["switch"], all["port"] = card.Switch, card.Port
		}
	}
	return all
}

// AttributesAfter are the attributes of a machine of which some were known before: an
// agent that installs does not look at all that an inspection looks at. What another board
// had, by the UUID, is not known of this one.
func (i Inspection) AttributesAfter(before map[string]string) map[string]string {
	all := i.Attributes()
	if all["uuid"] != "" && before["uuid"] != "" && all["uuid"] != before["uuid"] {
		return all
	}
	for name, value := range all {
		if value == "" {
			all[name] = before[name]
		}
	}
	return all
}

// InspectToken is the secret by which the agent on a stranger says what it found. It
// follows from the site's key, so that strangers cost the store nothing before they
// report. It is good for nothing else.
func InspectToken(mac MAC, key []byte) string {
	mark := hmac.New(sha256.New, key)
	fmt.Fprintf(mark, "inspect %s", mac)
	return hex.EncodeToString(mark.Sum(nil)[:16])
}
