package vdisk

import (
	"fmt"
	"math"
	"strings"
)

// Format describes a container format.
type Format struct {
	// Name is the name by which a person selects it, e.g. "qcow2".
	Name string
	// Extension is the end of its files' names, with the dot.
	Extension string
	// Description says in one line which programs or clouds use it.
	Description string
	// Streams says that it can be written to a pipe.
	Streams bool
	// Disk says that a hypervisor uses the file itself as a disk. Other formats are
	// archives from which a disk is imported.
	Disk bool
	// Align is the unit in bytes of a disk's size. It is required by the format or by
	// the programs that use it.
	Align int64
	// MaxSize is the size in bytes of the largest disk that it can hold.
	MaxSize int64

	cell   int // size in bytes of a cell, see batch
	create func(target, Options) (container, error)
}

const defaultCell = 64 * kib

// Formats returns all formats in the order in which they are listed for a person.
func Formats() []Format {
	return []Format{
		{
			Name: "raw", Extension: ".raw", Description: "the disk as it is, for everything",
			Streams: true, Disk: true, Align: sector, MaxSize: math.MaxInt64 - math.MaxInt64%sector,
			cell: defaultCell, create: newRaw,
		},
		{
			Name: "qcow2", Extension: ".qcow2", Description: "QEMU, KVM, libvirt, Proxmox, OpenStack",
			Disk: true, Align: sector, MaxSize: 1 << 60,
			cell: qcow2Cluster, create: newQcow2,
		},
		{
			Name: "vmdk", Extension: ".vmdk", Description: "VMware, for import into ESXi and vSphere (streamOptimized)",
			Streams: true, Disk: true, Align: sector, MaxSize: 2 * tib,
			cell: vmdkGrain, create: newVMDKStream,
		},
		{
			Name: "vmdk-sparse", Extension: ".vmdk", Description: "VMware Workstation and Fusion, VirtualBox (monolithicSparse)",
			Disk: true, Align: sector, MaxSize: 2 * tib,
			cell: vmdkGrain, create: newVMDKSparse,
		},
		{
			Name: "vdi", Extension: ".vdi", Description: "VirtualBox",
			Disk: true, Align: sector, MaxSize: 64 * tib,
			cell: defaultCell, create: newVDI,
		},
		{
			Name: "vhd", Extension: ".vhd", Description: "Hyper-V, XenServer (dynamic)",
			Disk: true, Align: sector, MaxSize: vhdMaxSize,
			cell: defaultCell, create: newVHDDynamic,
		},
		{
			Name: "vhd-fixed", Extension: ".vhd", Description: "Azure (fixed size)",
			Streams: true, Disk: true, Align: mib, MaxSize: vhdMaxSize,
			cell: defaultCell, create: newVHDFixed,
		},
		{
			Name: "vhdx", Extension: ".vhdx", Description: "Hyper-V of Windows Server 2012 and later",
			Disk: true, Align: mib, MaxSize: 64 * tib,
			cell: defaultCell, create: newVHDX,
		},
		{
			Name: "ova", Extension: ".ova", Description: "a virtual machine for VMware, VirtualBox, Proxmox and others",
			Align: sector, MaxSize: 2 * tib,
			cell: vmdkGrain, create: newOVA,
		},
		{
			Name: "gce", Extension: ".tar.gz", Description: "Google Compute Engine",
			Streams: true, Align: gib, MaxSize: 64 * tib,
			cell: mib, create: newGCE,
		},
		{
			Name: "ec2", Extension: ".raw", Description: "Amazon EC2, for import-snapshot and import-image",
			Streams: true, Disk: true, Align: sector, MaxSize: 64 * tib,
			cell: defaultCell, create: newRaw,
		},
	}
}

// Lookup returns the format with a name. The error for an unknown name lists all
// formats.
func Lookup(name string) (Format, error) {
	var names []string
	for _, f := range Formats() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Format{}, fmt.Errorf("unknown disk format %q: choose one of %s", name, strings.Join(names, ", "))
}

// RoundSize returns the smallest size in bytes that the named format supports and that
// is at least size. Make a disk this large.
func RoundSize(format string, size int64) (int64, error) {
	f, err := Lookup(format)
	if err != nil {
		return 0, err
	}
	return f.RoundSize(size)
}

// RoundSize returns the smallest size in bytes that f supports and that is at least
// size.
func (f Format) RoundSize(size int64) (int64, error) {
	if size > f.MaxSize {
		return 0, f.checkSize(size)
	}
	return max(f.Align, roundUp(size, f.Align)), nil
}

// checkSize returns an error for a size that RoundSize would change.
func (f Format) checkSize(size int64) error {
	if size > f.MaxSize {
		return fmt.Errorf("it is too large: %s holds disks of up to %d bytes", f.Name, f.MaxSize)
	}
	if right, _ := f.RoundSize(size); right != size {
		return fmt.Errorf("its size must be a multiple of %d bytes: make it %d bytes", f.Align, right)
	}
	return nil
}

// roundUp returns the smallest multiple of unit that is at least n.
func roundUp(n, unit int64) int64 {
	return (n + unit - 1) / unit * unit
}

// pieces returns how many pieces of the given size hold n bytes.
func pieces(n, size int64) int64 {
	return (n + size - 1) / size
}
