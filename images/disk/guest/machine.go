// Package guest writes what a hypervisor or a cloud has to be told beside a disk: the
// OVF descriptor of a [Machine], the configuration of a Xen domain ([XenDomain]), and the
// description of an import into EC2 ([EC2Import]). It writes no disk.
package guest

import (
	"bytes"
	_ "embed"
	"encoding/xml"
	"fmt"
	"strings"
	"text/template"
)

// Machine is the virtual machine that an ova describes. The zero value means the
// defaults stated below.
type Machine struct {
	// Name is the name of the machine and of its files in the archive. It consists of
	// letters, digits, dots, dashes and underscores. The default is "cloudlet".
	Name string
	// CPUs is the number of processors. The default is 1.
	CPUs int
	// MemoryMiB is the memory in MiB. The default is 1024.
	MemoryMiB int
	// Firmware is "efi", the default, or "bios".
	Firmware string
	// Controller is the disk's controller: "scsi" (LSI Logic), the default, or "sata".
	Controller string
	// NIC is the kind of network card: "e1000", the default, or "vmxnet3".
	NIC string
	// Network is the name of the card's network, which is mapped to an existing network
	// when the machine is imported. The default is "VM Network".
	Network string
}

// Complete returns the machine with its defaults filled in, or an error for an invalid
// machine.
func (m Machine) Complete() (Machine, error) {
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
		return fmt.Errorf("machine name %q: use up to 80 letters, digits, dashes, underscores and dots, and do not begin with a dot", m.Name)
	case m.CPUs < 1 || m.MemoryMiB < 1:
		return fmt.Errorf("machine with %d CPUs and %d MiB of memory: it needs at least one of each", m.CPUs, m.MemoryMiB)
	case m.Firmware != "efi" && m.Firmware != "bios":
		return fmt.Errorf("firmware %q: choose efi or bios", m.Firmware)
	case m.Controller != "scsi" && m.Controller != "sata":
		return fmt.Errorf("disk controller %q: choose scsi or sata", m.Controller)
	case m.NIC != "e1000" && m.NIC != "vmxnet3":
		return fmt.Errorf("network card %q: choose e1000 or vmxnet3", m.NIC)
	}
	return nil
}

// nameBytes are the characters of a machine's name. The names of its files appear in
// the archive's manifest, which cannot quote special characters.
const nameBytes = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_."

// DiskName returns the name of the disk's file in the archive.
func (m Machine) DiskName() string {
	return m.Name + "-disk1.vmdk"
}

// DiskFacts holds what a descriptor tells of the disk. All sizes are in bytes.
type DiskFacts struct {
	Capacity int64
	FileSize int64 // of the container
	Stored   int64 // of the disk without its holes
}

//go:embed machine.ovf
var ovfText string

// Descriptor returns the OVF descriptor of the complete machine.
func (m Machine) Descriptor(d DiskFacts) ([]byte, error) {
	t, err := template.New("machine.ovf").Funcs(template.FuncMap{"xml": xmlText}).Parse(ovfText)
	if err != nil {
		return nil, err
	}
	var b bytes.Buffer
	err = t.Execute(&b, map[string]any{
		"Machine": m, "Disk": d, "DiskName": m.DiskName(), "Hardware": VMwareHardware,
		"NIC": map[string]string{"e1000": "E1000", "vmxnet3": "VmxNet3"}[m.NIC],
	})
	return b.Bytes(), err
}

// xmlText escapes s for XML, between tags or in quotes.
func xmlText(s string) (string, error) {
	var b strings.Builder
	err := xml.EscapeText(&b, []byte(s))
	return b.String(), err
}

// VMwareHardware is the version of virtual hardware that disks and machines require.
// ESXi 5.5 and Workstation 10 were the first to support it.
const VMwareHardware = 10
