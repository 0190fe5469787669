// Package bootloader makes what starts the kernels of a disk or a CD: the boot
// loaders' own files, and the menus that they show. It writes no disk; package disk
// puts what it makes into partitions. Loaders that machines fetch from the network are
// package httpboot/loaders.
//
// [Assets] finds the boot loaders' [Files] in Debian's packages or in an image. A
// [Menu] is told to each boot loader in its own language: to GRUB for BIOS, and to
// systemd-boot, shim's GRUB or a program that the machine's owner signed for UEFI, as
// [SecureBoot] says. A disk with two slots has one menu in each of them, see
// [SlotMenu].
package bootloader

// Arch is a processor architecture, by Go's name for it.
type Arch string

// The architectures for which there are boot loaders.
const (
	AMD64 Arch = "amd64"
	ARM64 Arch = "arm64"
)

const mib = 1 << 20
