package agent

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"cloudlets/images/disk"
	"cloudlets/provision"
	"cloudlets/provision/hardware"
)

// checkFirmware refuses a disk that this machine's firmware could not boot,
// before anything is written. BIOS reads only sectors of 512 bytes, and UEFI
// of 32 bits cannot start the boot loader, which is for 64 bits.
func checkFirmware(sys fs.FS, l disk.Layout) error {
	switch bits := hardware.Attribute(sys, "firmware/efi/fw_platform_size"); {
	case bits == "" && !l.BIOS():
		return fmt.Errorf("the disk has sectors of %d bytes, which BIOS cannot boot from: switch the machine's firmware to UEFI, or use another disk", l.Sector)
	case bits == "32":
		return errors.New("the machine's UEFI firmware is of 32 bits, and the boot loader for disks of 64: switch the firmware to BIOS, if it can")
	}
	return nil
}

// warnOfOrder warns a person, before anything is written, if BIOS starts another
// disk than the one that is written. It is no error, since the order can be changed
// at any time and BIOS may be mistaken.
func (i *installer) warnOfOrder() {
	if i.layout.BIOS() {
		if first := hardware.StartedByBIOS(i.Sys, i.Inventory.Disks, diskSignature); len(first) > 0 && !slices.ContainsFunc(first, i.chosen) {
			i.tell(provision.Event{Kind: provision.KindLog, Text: "warning: this machine's BIOS starts " + first[0].String() + ", and the system goes to " + i.disk.String(),
				Reason: fmt.Sprintf("after a restart the machine may say that there is no bootable device: put %s first in the BIOS's order of hard disks, or install on %s", i.disk.Name, first[0].Name)})
		}
	}
}

func (i *installer) chosen(d provision.DiskInfo) bool { return d.Name == i.disk.Name }

// diskSignature reads the signature of a disk's MBR.
func diskSignature(name string) (uint32, bool) {
	f, err := os.Open(hardware.DevicePath(name))
	if err != nil {
		return 0, false
	}
	defer f.Close()
	var b [4]byte
	_, err = f.ReadAt(b[:], 440)
	return binary.LittleEndian.Uint32(b[:]), err == nil
}
