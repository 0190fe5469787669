package vdisk

import (
	"fmt"
	"strings"
)

// XenType is how Xen runs a domain, as xl.cfg(5) names it.
type XenType string

// The types of domains.
const (
	XenPVH XenType = "pvh" // starts the kernel itself, in hardware's virtualisation
	XenPV  XenType = "pv"  // starts the kernel itself, without
	XenHVM XenType = "hvm" // starts the disk by a BIOS
)

// XenDomain is a virtual machine of Xen's. Its files are named relative to
// where xl is run.
type XenDomain struct {
	Name string
	Type XenType
	Disk string // a raw disk
	// Kernel, RAMDisk and Cmdline are not looked at for XenHVM. RAMDisk may be
	// empty.
	Kernel, RAMDisk, Cmdline string
	Memory                   int // in MiB
}

// Config is the domain's configuration, a file after xl.cfg(5).
func (d XenDomain) Config() ([]byte, error) {
	var b strings.Builder
	line := func(key, value string) { fmt.Fprintf(&b, "%s = '%s'\n", key, value) }
	for _, text := range []string{d.Name, d.Disk, d.Kernel, d.RAMDisk, d.Cmdline} {
		if strings.ContainsFunc(text, func(r rune) bool { return r < ' ' || r == '\'' || r == '\\' || r == 0x7f }) {
			return nil, fmt.Errorf("describe the Xen domain %q: %q has characters that its configuration cannot hold", d.Name, text)
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
