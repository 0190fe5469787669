package vdisk

import (
	"bytes"
	_ "embed"
	"encoding/xml"
	"fmt"
	"strings"
	"text/template"
)

// Machine is the virtual machine that an ova describes. The zero value stands
// for the defaults that are named.
type Machine struct {
	// Name is the machine's, and its files' in the archive: letters, digits,
	// dots, dashes and underscores. "cloudlet" by default.
	Name string
	// CPUs is their number, 1 by default.
	CPUs int
	// MemoryMiB is the memory in MiB, 1024 by default.
	MemoryMiB int
	// Firmware is "efi", the default, or "bios".
	Firmware string
	// Controller is what the disk hangs on: "scsi" (LSI Logic), the default,
	// or "sata".
	Controller string
	// NIC is the kind of network card: "e1000", the default, or "vmxnet3".
	NIC string
	// Network is the name of the network that the card is put on. The one who
	// imports the machine maps it to one of theirs. "VM Network" by default.
	Network string
}

// complete returns the machine with its defaults, or says what it cannot be.
func (m Machine) complete() (Machine, error) {
	defaults := []struct {
		field *string
		value string
	}{
		{&m.Name, "cloudlet"}, {&m.Firmware, "efi"}, {&m.Controller, "scsi"},
		{&m.NIC, "e1000"}, {&m.Network, "VM Network"},
	}
	for _, d := range defaults {
		if *d.field == "" {
			*d.field = d.value
		}
	}
	if m.CPUs == 0 {
		m.CPUs = 1
	}
	if m.MemoryMiB == 0 {
		m.MemoryMiB = 1024
	}
	return m, m.check()
}

func (m Machine) check() error {
	switch {
	case strings.Trim(m.Name, nameBytes) != "" || len(m.Name) > 80 || m.Name[0] == '.':
		return fmt.Errorf("machine name %q: use up to 80 letters, digits, dashes, underscores and dots, no dot first", m.Name)
	case m.CPUs < 1 || m.MemoryMiB < 1:
		return fmt.Errorf("machine with %d CPUs and %d MiB of memory: it needs one of each", m.CPUs, m.MemoryMiB)
	case m.Firmware != "efi" && m.Firmware != "bios":
		return fmt.Errorf("firmware %q: choose efi or bios", m.Firmware)
	case m.Controller != "scsi" && m.Controller != "sata":
		return fmt.Errorf("disk controller %q: choose scsi or sata", m.Controller)
	case m.NIC != "e1000" && m.NIC != "vmxnet3":
		return fmt.Errorf("network card %q: choose e1000 or vmxnet3", m.NIC)
	}
	return nil
}

// nameBytes is what a machine's name is made of: its files' names stand in
// the manifest, which cannot quote anything.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

func (m Machine) diskName() string {
	return m.Name + "-disk1.vmdk"
}

// ovfDisk is what a descriptor says about the disk. All sizes are in bytes.
type ovfDisk struct {
	Capacity int64
	FileSize int64 // of the container
	Stored   int64 // of what is no hole
}

//go:embed machine.ovf
var ovfText string

// descriptor returns the OVF descriptor of the complete machine.
func (m Machine) descriptor(d ovfDisk) ([]byte, error) {
	t, err := template.New("machine.ovf").Funcs(template.FuncMap{"xml": xmlText}).Parse(ovfText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Machine": m, "Disk": d, "DiskName": m.diskName(), "Hardware": vmwareHardware,
		"NIC": map[string]string{"e1000": "E1000", "vmxnet3": "VmxNet3"}[m.NIC],
	})
	return b.Bytes(), err
}

// xmlText returns s as it stands in XML, between tags or quotes.
func xmlText(s string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}
