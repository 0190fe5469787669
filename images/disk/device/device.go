//go:build linux

// Package device writes a whole disk to a real device, e.g. a USB stick or a memory
// card, and makes sure that it is the intended device.
//
// A disk is written only after a person has armed it. One function enforces this
// rule: only [Arm] makes an [Armed], and only an Armed can write. Arm refuses devices
// that are in use, hold the running system or are not removable. It shows what will
// be lost and asks a person to confirm. Then it checks that the device it opened is
// the one that was shown.
//
// There is one exception, for a system that updates itself: with [Policy.Running] Arm
// takes the disk of the running system, and no other one, and the caller's consent may be
// that the person ran the update. Only one slot of the disk can be written then, which
// must not be in use, and the state that says which slot is started.
//
// [Armed.Write] first erases both ends of the device, and writes the first MiB last,
// after everything else was read back. An interrupted write therefore leaves a device
// that no firmware can boot.
package device

import (
	"strings"
	"unicode"

	"cloudlets/images/bytesize"
)

// Disk describes a disk, as the caller's listing of the machine's disks does.
type Disk struct {
	// Name is the kernel's name, e.g. "sdb".
	Name string
	// Model and Serial are given by the manufacturer. They are empty if unknown.
	Model, Serial string
	// Transport is how it is attached, e.g. "usb", "nvme" or "mmc". It is empty if
	// unknown.
	Transport string
	// Size is in bytes. It is 0 for a drive without a medium.
	Size int64
	// Removable says that its medium can be removed.
	Removable bool
	ReadOnly  bool
}

// Facts holds everything that is known about a device before it is written.
type Facts struct {
	Disk
	// Path is the device's file, e.g. "/dev/sdb", even if it was given by a link.
	Path string
	// Number is its device number, as in stat(2).
	Number uint64
	// Sequence is a number that the kernel gives to each disk that appears and never
	// reuses. It is 0 if the kernel does not support this.
	Sequence uint64
	// Sector is the size of its logical sectors in bytes.
	Sector int64
	// Whole is the file of the disk to which a partition belongs. It is empty for a
	// whole disk.
	Whole string
	// Uses lists what the device and everything on it is currently used for.
	Uses []Use
	// Contents describes in one line what is on it, e.g. "GPT with 2 partitions: …".
	Contents string
}

// Use is a current use of a device.
type Use struct {
	// What describes the use, e.g. "/dev/sdb1 is mounted on /media/stick".
	What string
	// Remedy is the command that ends the use, e.g. "umount /media/stick".
	Remedy string
	// System says that the running system depends on it.
	System bool
}

// Capacity returns the size in bytes of a disk that fills the device. It counts only
// whole sectors.
func (f Facts) Capacity() int64 {
	if f.Sector <= 0 {
		return f.Size
	}
	return f.Size / f.Sector * f.Sector
}

// Portable reports whether the device or its medium is made to be removed.
func (f Facts) Portable() bool { return f.Removable || f.Transport == "usb" }

// String describes a device so that a person can distinguish it from others.
func (f Facts) String() string {
	parts := []string{f.Path}
	if f.Model != "" {
		parts = append(parts, plain(f.Model))
	}
	if f.Serial != "" {
		parts = append(parts, "serial "+plain(f.Serial))
	}
	return strings.Join(append(parts, bytesize.Decimal(f.Size)), ", ")
}

// plain makes texts that a device reports safe for a terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
