// Package hardware finds a machine's disks in /sys: their names, models, serial
// numbers, and how they are attached. It opens no device and changes nothing.
// Start reading at [Disks].
package hardware

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"

	"cloudlets/images/lazyregexp"
	"cloudlets/provision"
)

// notDisks matches the names of hardware on which no system is installed: optical
// drives, floppies, bare flash, memory that keeps its contents, the small areas of an
// eMMC.
var notDisks = lazyregexp.New(`^(sr|fd|mtdblock|ubiblock|pmem|dcssblk|rbd)\d|^mmcblk\d+(boot|gp|rpmb)`)

// isDisk says whether a block device is a disk of the machine. The kernel keeps what
// only software makes (loop, dm, md, nbd, nullb, pktcdvd, zram and the like) apart from
// hardware. The hidden members of a multipath device are not disks either.
func isDisk(sys fs.FS, name string) bool {
	place := findDevice(sys, name).path
	return !notDisks().MatchString(name) &&
		!strings.HasPrefix(place, "devices/virtual/block/") && !strings.HasPrefix(place, "devices/virtual/ublk") &&
		Attribute(sys, "block/"+name+"/hidden") != "1"
}

// Disks lists a machine's disks. It leaves out disks without a medium, and those
// that are part of another device.
func Disks(sys fs.FS) ([]provision.DiskInfo, error) {
	names, err := fs.ReadDir(sys, "block")
	if err != nil {
		return nil, fmt.Errorf("list disks: %w", err)
	}
	var disks []provision.DiskInfo
	for _, name := range names {
		if !isDisk(sys, name.Name()) {
			continue
		}
		if d := Disk(sys, name.Name()); d.Size > 0 {
			disks = append(disks, d)
		}
	}
	return disks, nil
}

// Disk describes the disk that the kernel calls name, such as "sda". If there is
// no such disk, its size is 0. Disk does not read what is on it.
func Disk(sys fs.FS, name string) provision.DiskInfo {
	dir := "block/" + name
	sectors, _ := strconv.ParseInt(Attribute(sys, dir+"/size"), 10, 64)
	device := findDevice(sys, name)
	transport := device.transport()
	return provision.DiskInfo{
		Name: name, Size: sectors * 512, // the unit is always 512 bytes, whatever the disk's sectors are
		Model:      first(Attribute(sys, dir+"/device/model"), Attribute(sys, dir+"/device/name")),
		Serial:     serialOf(sys, dir, device),
		WWN:        first(Attribute(sys, dir+"/device/wwid"), Attribute(sys, dir+"/wwid")),
		Rotational: Attribute(sys, dir+"/queue/rotational") == "1" && transport != "virtio",
		Removable:  Attribute(sys, dir+"/removable") == "1" || isCard(sys, name),
		ReadOnly:   Attribute(sys, dir+"/ro") == "1",
		Transport:  transport,
		ByPath:     device.byPath(),
	}
}

// isCard says whether a disk is a memory card. The kernel calls only the drive
// removable, and a card's controller is none.
func isCard(sys fs.FS, name string) bool {
	return Attribute(sys, "block/"+name+"/device/type") == "SD" || strings.HasPrefix(name, "mspblk")
}

func serialOf(sys fs.FS, dir string, device device) string {
	return first(device.usbSerial(), Attribute(sys, dir+"/serial"), Attribute(sys, dir+"/device/serial"), vpdSerial(sys, dir))
}

// vpdSerial returns the serial number of a SCSI disk. It is in page 0x80 of the
// vital product data, after a header of four bytes whose last one is the length
// (SPC-4, 7.8.13).
func vpdSerial(sys fs.FS, dir string) string {
	page, err := fs.ReadFile(sys, dir+"/device/vpd_pg80")
	if err != nil || len(page) < 4 {
		return ""
	}
	text := page[4:]
	return strings.Trim(string(text[:min(len(text), int(page[3]))]), " \x00")
}

// DevicePath returns the device file of a disk. /sys writes the slash of
// "cciss/c0d0" as an exclamation mark.
func DevicePath(name string) string {
	return filepath.Join("/dev", strings.ReplaceAll(name, "!", "/"))
}

var endsInDigit = lazyregexp.New(`[0-9]$`)

// PartitionPath returns the device file of a disk's partition, such as
// /dev/sda3 or /dev/nvme0n1p3.
func PartitionPath(name string, number int) string {
	if endsInDigit().MatchString(name) {
		name += "p"
	}
	return DevicePath(fmt.Sprintf("%s%d", name, number))
}

// Attribute reads a small file of /sys. It returns "" if there is none.
func Attribute(sys fs.FS, name string) string {
	data, err := fs.ReadFile(sys, name)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(strings.Trim(string(data), "\x00"))
}

func first(values ...string) string {
	for _, v := range values {
		if v != "" {
			return v
		}
	}
	return ""
}
