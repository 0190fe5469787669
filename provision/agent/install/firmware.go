package install

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"slices"

	"github.com/google/uuid"

	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/provision"
	"cloudlets/provision/bootorder"
	"cloudlets/provision/hardware"
)

// checkFirmware refuses a disk that this machine's firmware could not boot,
// before anything is written. BIOS reads only sectors of 512 bytes, and UEFI
// of 32 bits cannot start the boot loader, which is for 64 bits. A machine of arm64 that
// Linux knows no UEFI of has U-Boot, say, which starts the disk's boot loader too.
func checkFirmware(sys fs.FS, l disk.Layout) error {
	switch bits := hardware.UEFIBits(sys); {
	case bits == "" && l.Arch == bootloader.AMD64 && !l.BIOS():
		return fmt.Errorf("the disk has sectors of %d bytes, which BIOS cannot boot from: switch the machine's firmware to UEFI, or use another disk", l.Sector)
	case bits == "32":
		return errors.New("the machine's UEFI firmware is of 32 bits, and the boot loader for disks of 64: switch the firmware to BIOS, if it can")
	}
	return nil
}

// addBootEntry puts the disk into the boot order of UEFI firmware, if the plan asks for
// it. The disk is bootable by then, and firmware finds it without an entry as well. So a
// failure is only a warning.
func (i *installer) addBootEntry() {
	if !i.plan.BootEntry {
		return
	}
	if hardware.UEFIBits(i.Sys) == "" {
		i.tell(provision.Event{Kind: provision.KindLog, Text: "no boot entry is made", Reason: "the machine did not start by UEFI, which alone has boot entries"})
		return
	}
	name, err := i.makeBootEntry()
	if err != nil {
		i.tell(provision.Event{Kind: provision.KindLog, Text: "warning: the firmware has no boot entry for this disk; it may find the disk all the same", Reason: err.Error()})
		return
	}
	i.tell(provision.Event{Kind: provision.KindLog, Text: fmt.Sprintf("the firmware's boot entry %s starts %s from %s", name, i.plan.Image, i.disk.Name)})
}

// bootPartitions returns the GUIDs of the EFI system partitions, the one that the machine
// starts from first.
func (i *installer) bootPartitions() []string {
	var ids []string
	for _, m := range i.members() {
		ids = append(ids, m.layout.ESP.GUID)
	}
	return ids
}

func (i *installer) makeBootEntry() (name string, err error) {
	if i.Variables == nil {
		return "", errors.New("the firmware's variables cannot be reached from here")
	}
	esp := i.layout.ESP
	guid, err := uuid.Parse(esp.GUID)
	if err != nil {
		return "", fmt.Errorf("make a boot entry: %w", err)
	}
	variables, done, err := i.Variables()
	if err != nil {
		return "", err
	}
	defer func() { err = errors.Join(err, done()) }()
	return bootorder.Put(variables, bootorder.Entry{
		Title: i.plan.Image, Loader: bootloader.FallbackLoader(i.layout.Arch),
		Partition: bootorder.Partition{
			Number: uint32(esp.Number), Offset: uint64(esp.Offset / i.layout.Sector), Size: uint64(esp.Size / i.layout.Sector), GUID: guid,
		},
	})
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

func (i *installer) chosen(d provision.DiskInfo) bool {
	return slices.ContainsFunc(i.members(), func(m member) bool { return d.Name == m.disk.Name })
}

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
