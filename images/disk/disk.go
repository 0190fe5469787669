// Package disk makes disks that machines boot from: a partition table, an EFI
// system partition, boot loaders for BIOS and UEFI, and room for a root
// filesystem. It also tells what is on a disk already.
//
// A [Layout] is where everything goes, a pure function of the disk's size. An
// [Installer] writes it in the order that keeps a failure from looking like
// success: what makes the disk bootable is written last, after all else was
// read back. [Identify] says what is on a disk now, so that nobody
// overwrites what they did not mean to.
//
// Everything works on a [Device], which may be a block device or an ordinary
// file, and needs no root.
package disk

import "io"

// Device is a disk or an image file of one. Accesses are in whole logical
// sectors. *os.File is one.
type Device interface {
	io.ReaderAt
	io.WriterAt
	// Sync returns when everything written is on stable storage.
	Sync() error
}

// Arch is a processor architecture, by Go's name for it.
type Arch string

// The architectures that there are boot loaders for.
const (
	AMD64 Arch = "amd64"
	ARM64 Arch = "arm64"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)
