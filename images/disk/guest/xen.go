package guest

import (
	"fmt"
	"strings"
)

// XenType is how Xen runs a domain, see xl.cfg(5).
type XenType string

// The types of domains.
const (
	XenPVH XenType = "pvh" // Xen starts the kernel, with hardware virtualisation
	XenPV  XenType = "pv"  // Xen starts the kernel, without hardware virtualisation
	XenHVM XenType = "hvm" // a BIOS starts the disk
)

// XenDomain describes a virtual machine of Xen. Its file names are relative to the folder
// in which xl is run.
type XenDomain struct {
	Name string
	Type XenType
	Disk string // a raw disk
	// Kernel, RAMDisk and Cmdline are ignored for XenHVM. RAMDisk may be empty.
	Kernel, RAMDisk, Cmdline string
	Memory                   int // in MiB
}

// Config returns the domain's configuration file, see xl.cfg(5).
func (d XenDomain) Config() ([]byte, error) {
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "%s = '%s'\n", key, value) }
	for _, text := range []string{d.Name, d.Disk, d.Kernel, d.RAMDisk, d.Cmdline} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '\'' || r == '\\' || r == 0x7f }) {
			return nil, fmt.Errorf("describe the Xen domain %q: %q contains characters that are not possible in its configuration", d.Name, text)
		}
	}
	line("name", d.Name)
	line("type", string(d.Type))
	fmt.Fprintf(&b, "memory = %d\nvcpus = 1\n", d.Memory)
	if d.Type == XenHVM {
		line("boot", "c")
		line("serial", "pty")
	} else {
		line("kernel", d.Kernel)
		if d.RAMDisk != "" {
			line("ramdisk", d.RAMDisk)
		}
		line("cmdline", d.Cmdline)
	}
	fmt.Fprintf(&b, "disk = ['format=raw, vdev=xvda, access=rw, target=%s']\nvif = ['']\n", d.Disk)
	return []byte(b.String()), nil
}
