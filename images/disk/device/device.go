//go:build linux

// Package device writes a whole disk to a real device, a USB stick or a
// memory card, and keeps it from being the wrong one.
//
// The rule that a disk is written only when a person armed it is kept here, by
// one function: only [Arm] makes an [Armed], and only an Armed can write. It
// refuses what is in use, what holds the running system and what is not
// removable; it shows what will be lost and has a person confirm; then it
// makes sure that the device it opened is the one that was shown.
//
// [Armed.Write] erases what is at both ends of the device before all else, and
// writes the first MiB last, after everything else was read back. So a write
// that is broken off leaves a device on which no firmware finds anything.
package device

import (
	"strings"
	"unicode"

	"cloudlets/images/bytesize"
)

// Disk is what a device is, as whoever lists a machine's disks tells it.
type Disk struct {
	// Name is the kernel's: "sdb".
	Name string
	// Model and Serial are what its maker calls it; "" is not known.
	Model, Serial string
	// Transport is how it is attached: "usb", "nvme", "mmc"; "" is not known.
	Transport string
	// Size is in bytes; 0 is a drive without a medium.
	Size int64
	// Removable says that its medium can be taken out.
	Removable bool
	ReadOnly  bool
}

// Facts are all that is known of a device before it is written.
type Facts struct {
	Disk
	// Path is the device's file, "/dev/sdb", whatever it was named by.
	Path string
	// Number is its device number, as stat tells it.
	Number uint64
	// Sequence is the number that the kernel gives to each disk that appears,
	// and to no other one after it; 0 where the kernel has none.
	Sequence uint64
	// Sector is its logical sector in bytes.
	Sector int64
	// Whole is the file of the disk that it is a partition of; "" for a disk.
	Whole string
	// Card says that it is an SD card, and no memory that is soldered in.
	Card bool
	// Uses are what the device and everything on it is used for now.
	Uses []Use
	// Contents says in one line what is on it: "GPT with 2 partitions: …".
	Contents string
}

// Use is one thing that a device is used for.
type Use struct {
	// What tells it: "/dev/sdb1 is mounted on /media/stick".
	What string
	// Remedy is what ends it: "umount /media/stick".
	Remedy string
	// System says that the running system needs it.
	System bool
}

// Capacity is the size in bytes of a disk that fills the device: all its whole
// sectors.
func (f Facts) Capacity() int64 {
	if f.Sector <= 0 {
		return f.Size
	}
	return f.Size / f.Sector * f.Sector
}

// Portable says that the device, or its medium, is made to be taken away.
func (f Facts) Portable() bool { return f.Removable || f.Transport == "usb" || f.Card }

// String shows a device the way a person tells it from another.
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

// plain makes a device's own words safe for a terminal.
func plain(text string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, text)
}
