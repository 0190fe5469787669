package vdisk

import (
	"fmt"
	"math"
	"strings"
)

// Format is one kind of container.
type Format struct {
	// Name is what a person calls it by: "qcow2".
	Name string
	// Extension is what its files' names end with, dot included.
	Extension string
	// Description says in a line what takes it.
	Description string
	// Streams tells that it can be written to a pipe.
	Streams bool
	// Disk tells that a hypervisor uses the file itself as a disk, where the
	// others are archives that one is imported from.
	Disk bool
	// Align is what a disk's size must be a multiple of, in bytes: what the
	// format asks for, or those that take it.
	Align int64
	// MaxSize is the size of the largest disk that it holds, in bytes.
	MaxSize int64

	cell   int // bytes that are stored or left out as one
	create func(target, Options) (container, error)
}

const defaultCell = 64 * kib

// Formats returns all formats, in the order in which a person is shown them.
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

// Lookup returns the format of that name. The error for an unknown one lists
// those that there are.
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

// RoundSize returns the smallest size that the format takes and that is no
// less than size: what a disk is to be made as large as.
func RoundSize(format string, size int64) (int64, error) {
	f, err := Lookup(format)
	if err != nil {
		return 0, err
	}
	return f.RoundSize(size)
}

// RoundSize returns the smallest size that f takes and that is no less than
// size, in bytes.
func (f Format) RoundSize(size int64) (int64, error) {
	if size > f.MaxSize {
		return 0, f.checkSize(size)
	}
	return max(f.Align, roundUp(size, f.Align)), nil
}

// checkSize refuses what RoundSize does not return.
func (f Format) checkSize(size int64) error {
	if size > f.MaxSize {
		return fmt.Errorf("it would be too large: %s holds disks of up to %d bytes", f.Name, f.MaxSize)
	}
	if right, _ := f.RoundSize(size); right != size {
		return fmt.Errorf("its size must be a whole multiple of %d bytes: make it %d bytes", f.Align, right)
	}
	return nil
}

// roundUp returns the smallest multiple of unit that is no less than n.
func roundUp(n, unit int64) int64 {
	return (n + unit - 1) / unit * unit
}

// pieces returns how many pieces of the given size n takes.
func pieces(n, size int64) int64 {
	return (n + size - 1) / size
}
