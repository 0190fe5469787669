// Package disk makes disks that machines boot from: a partition table, an EFI
// system partition, boot loaders for BIOS and UEFI, and room for a root
// filesystem. It also updates such a disk in place, and finds its own partitions on a
// disk again.
//
// A [Layout] says where each part of the disk goes; it follows from the disk's
// size and the options. An [Installer] writes a layout in an order in which a
// failed installation never looks like a finished one: it writes the sectors that
// make the disk bootable last, after it has read back everything else.
// What else may be on a disk is reported by [probe.Identify], so that a person can decide
// whether to overwrite it.
//
// What the boot loaders are, and what their menus say, is in package bootloader.
//
// Everything works on a [Device], which may be a block device or an ordinary
// file. No step needs root's rights for an ordinary file.
//
// Partition tables are encoded and decoded by package partition/gpt of
// github.com/diskfs/go-diskfs. Its filesystems are not used, and packages fat,
// ext4 and iso each say why.
package disk

import "io"

// Device is a disk or a file with the image of a disk. All accesses are in whole
// logical sectors. An *os.File is a Device.
type Device interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when everything written is on stable storage.
	Sync() error
}

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)
