package hardware

import (
	"io/fs"
	"path"
	"strconv"
	"strings"

	"cloudlets/provision"
)

// firstDrive has what BIOS told the kernel of the drive that it starts (BIOS
// Enhanced Disk Drive Services, drive 0x80). Firmware boots from no other one.
const firstDrive = "firmware/edd/int13_dev80"

// StartedByBIOS returns those of the disks that may be the one that BIOS starts:
// they have the size, the controller and the MBR signature that BIOS told the kernel
// of at boot. Signature reads the 32 bits at byte 440 of a disk, and says whether
// it could. The result is empty on UEFI, or if BIOS told nothing that fits a disk.
func StartedByBIOS(sys fs.FS, disks []provision.DiskInfo, signature func(name string) (uint32, bool)) []provision.DiskInfo {
	drive := readDrive(sys)
	if drive == (biosDrive{}) {
		return nil
	}
	var fitting []provision.DiskInfo
	for _, d := range disks {
		if drive.fits(sys, d, signature) {
			fitting = append(fitting, d)
		}
	}
	return fitting
}

// biosDrive is what BIOS knows of a drive. Zero and "" mean unknown.
type biosDrive struct {
	sectors   int64  // of 512 bytes
	pci       string // the controller's address, "0000:00:1f.2"
	signature string // "0x1234abcd"
}

func readDrive(sys fs.FS) biosDrive {
	sectors, _ := strconv.ParseInt(Attribute(sys, firstDrive+"/sectors"), 10, 64)
	d := biosDrive{sectors: sectors, signature: Attribute(sys, firstDrive+"/mbr_signature")}
	if target, err := fs.ReadLink(sys, firstDrive+"/pci_dev"); err == nil {
		d.pci = path.Base(target)
	}
	return d
}

// fits says whether nothing that is known of a disk contradicts the drive.
func (b biosDrive) fits(sys fs.FS, d provision.DiskInfo, signature func(string) (uint32, bool)) bool {
	if b.sectors > 0 && b.sectors != d.Size/512 {
		return false
	}
	place := findDevice(sys, d.Name).path
	if b.pci != "" && place != "" && !strings.Contains(place, "/"+b.pci+"/") {
		return false
	}
	want, err := strconv.ParseUint(b.signature, 0, 32)
	if err != nil {
		return true
	}
	have, ok := signature(d.Name)
	return !ok || have == uint32(want)
}
