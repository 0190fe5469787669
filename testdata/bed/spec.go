package bed

import (
	"fmt"
	"strconv"
)

// Arch is what processor a virtual machine has.
type Arch string

// The architectures, by Debian's names. What is not of this computer's is
// emulated.
const (
	AMD64 Arch = "amd64" // a PC; the default
	ARM64 Arch = "arm64" // QEMU's "virt" board with a Cortex-A57; UEFI or U-Boot
)

// Firmware is what a virtual machine starts with.
type Firmware string

// The firmwares, and for UEFI the way in which it boots from the network.
const (
	BIOS     Firmware = "BIOS"      // SeaBIOS, with the NIC's own iPXE ROM
	UEFI     Firmware = "UEFI"      // EDK2 (OVMF, AAVMF), by its PXE stack
	UEFIHTTP Firmware = "UEFI-HTTP" // EDK2, by HTTP Boot only
	UBoot    Firmware = "U-Boot"    // U-Boot, on arm64 only; it tries disks before the network
	UEFIv6   Firmware = "UEFI-IPv6" // EDK2, by its PXE stack over IPv6
)

// Spec says what a virtual machine is made of.
type Spec struct {
	// MAC is that of the network card by which the machine boots.
	MAC string
	// Unplugged are the MACs of further network cards, which have no cable.
	Unplugged []string
	// UUID is the SMBIOS UUID; "" is one of zeros.
	UUID string
	// Arch is AMD64 where it is empty.
	Arch     Arch
	Firmware Firmware
	// SecureBoot has the firmware, a UEFI of amd64, start only what a key of
	// Microsoft's signed.
	SecureBoot bool
	// Vars is a file with UEFI variables to start from, where the firmware's
	// own are not meant: with other keys for Secure Boot, say. It is copied.
	Vars string
	// Authorities is a file with what UEFI firmware trusts for HTTPS Boot: an EFI
	// signature list. "" is nothing.
	Authorities string
	// Kernel has QEMU start a kernel itself, without a boot loader.
	Kernel *Kernel
	// Disks are in the order in which the firmware tries them, after the network.
	Disks []Disk
	// Memory is in MiB; 0 is 1024.
	Memory int
	// Screen adds a VGA card. Nobody sees its picture, but some programs do not start
	// without one.
	Screen bool
	// DisksFirst has the firmware try the disks before the network, as a server's does.
	DisksFirst bool
	// LocalOnly leaves the network out of the boot order.
	LocalOnly bool
	// ExitOnReboot ends the machine when it resets itself.
	ExitOnReboot bool
}

// Kernel is what a direct boot starts: files, and a command line.
type Kernel struct {
	Image   string
	Initrd  string // "" for none
	Cmdline string
}

// Bus is how a disk is attached.
type Bus string

// The ways to attach a disk.
const (
	Virtio Bus = "virtio" // virtio-blk; the default
	SCSI   Bus = "scsi"   // on virtio-scsi
	AHCI   Bus = "ahci"   // SATA; on a BIOS machine IDE
	NVMe   Bus = "nvme"
	USB    Bus = "usb" // a USB stick on xHCI
)

// Disk is a virtual disk in a file, or behind a URL that QEMU knows.
type Disk struct {
	File   string
	Serial string
	// Format is one that QEMU knows, "qcow2"; "" is raw.
	Format string
	// Bus is Virtio where it is empty; a CD's is AHCI, or SCSI if it says so.
	Bus Bus
	// CD is a disk in a CD drive: read only, with sectors of 2048 bytes.
	CD bool
	// ReadOnly refuses writes.
	ReadOnly bool
	// Snapshot has writes go to a temporary file of QEMU's, for formats that
	// it only reads.
	Snapshot bool
	// Sector is how many bytes the disk's sectors have; 0 is 512. Only UEFI starts a disk
	// with sectors of 4096.
	Sector int
	// Flushes passes on what the machine asks to be flushed, to a File that is the URL of
	// a server, say. Else QEMU leaves it out, as it takes long.
	Flushes bool
}

// arguments make QEMU's command line for disk number n of a machine.
func (d Disk) arguments(n int, firmware Firmware) []string {
	id := "d" + strconv.Itoa(n)
	format := d.Format
	if format == "" {
		format = "raw"
	}
	cache := "unsafe"
	if d.Flushes {
		cache = "writeback"
	}
	drive := "if=none,format=" + format + ",discard=unmap,cache=" + cache + ",id=" + id + ",file=" + d.File
	if d.CD || d.ReadOnly {
		drive += ",readonly=on"
	}
	if d.Snapshot {
		drive += ",snapshot=on"
	}
	device := d.device(id, firmware) + ",drive=" + id + ",bootindex=" + strconv.Itoa(n+2)
	if d.Sector != 0 {
		device += fmt.Sprintf(",logical_block_size=%d,physical_block_size=%[1]d", d.Sector)
	}
	switch {
	case d.Serial != "":
		device += ",serial=" + d.Serial
	case d.Bus == NVMe:
		device += ",serial=NVME" + strconv.Itoa(n) // it must have one
	}
	return append(d.controller(id, firmware), "-drive", drive, "-device", device)
}

// controller is what a disk needs besides.
func (d Disk) controller(id string, firmware Firmware) []string {
	switch {
	case d.Bus == SCSI:
		return []string{"-device", "virtio-scsi-pci,id=bus-" + id}
	case d.Bus == USB:
		return []string{"-device", "qemu-xhci,id=bus-" + id}
	case d.onIDE() && firmware != BIOS:
		return []string{"-device", "ahci,id=bus-" + id}
	}
	return nil
}

// onIDE says that a disk is on the PC's own controller, or on one like it: IDE
// on a BIOS machine, AHCI elsewhere.
func (d Disk) onIDE() bool { return d.Bus == AHCI || d.CD && d.Bus != SCSI }

func (d Disk) device(id string, firmware Firmware) string {
	kind := "hd"
	if d.CD {
		kind = "cd"
	}
	switch {
	case d.Bus == SCSI:
		return "scsi-" + kind + ",bus=bus-" + id + ".0"
	case d.onIDE() && firmware != BIOS:
		return "ide-" + kind + ",bus=bus-" + id + ".0"
	case d.onIDE():
		return "ide-" + kind
	case d.Bus == NVMe:
		return "nvme"
	case d.Bus == USB:
		return "usb-storage,removable=on,bus=bus-" + id + ".0"
	}
	return "virtio-blk-pci"
}
