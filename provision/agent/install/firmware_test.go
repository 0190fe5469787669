package install

import (
	"encoding/binary"
	"errors"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/google/uuid"

	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/provision"
	"cloudlets/provision/bootorder"
	"cloudlets/provision/hardware/hardwaretest"
)

// TestBIOSThatStartsAnotherDiskIsToldOfBeforeTheWrite: the machine's BIOS told the
// kernel of the first drive, and the plan names the second disk by its serial.
func TestBIOSThatStartsAnotherDiskIsToldOfBeforeTheWrite(t *testing.T) {
	for name, c := range map[string]struct {
		first  int // the disk that BIOS starts
		warned bool
	}{"another": {0, true}, "the same": {1, false}} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			disks := []*loopDisk{newLoopDisk(t, b.dir, diskSize/2), newLoopDisk(t, b.dir, diskSize)}
			b.use(t, disks...)
			sys := hardwaretest.NewSys(t)
			for _, d := range disks {
				sys.Disk(t, "virtual/block/"+d.info.Name, map[string]string{"size": strconv.FormatInt(d.info.Size/512, 10)})
			}
			sys.Write(t, filepath.Join("firmware/edd/int13_dev80", "sectors"), strconv.FormatInt(disks[c.first].info.Size/512, 10)+"\n")
			b.job.Sys = sys.FS()
			b.job.Plan.Disk.MinSize = diskSize
			b.install(t)
			warned := false
			for _, e := range b.events {
				if e.Stage == provision.StagePartition {
					break // what is said later is too late
				}
				warned = warned || strings.Contains(e.Text, "BIOS starts "+disks[0].info.Name) && strings.Contains(e.Reason, "no bootable device")
			}
			if warned != c.warned {
				t.Errorf("warned: %t, want %t; events %+v", warned, c.warned, b.events)
			}
		})
	}
}

// TestFirmwareThatCannotStartTheDisk is refused before the disk is written. No machine of
// arm64 has a BIOS: one that did not start by UEFI has U-Boot, which starts the disk.
func TestFirmwareThatCannotStartTheDisk(t *testing.T) {
	for _, c := range []struct {
		bits    string // of UEFI; "" is none
		arch    bootloader.Arch
		sector  int64
		refused string
	}{
		{"", bootloader.AMD64, 512, ""},
		{"", bootloader.AMD64, 4096, "sectors of 4096 bytes, which BIOS cannot boot from"},
		{"64", bootloader.AMD64, 4096, ""},
		{"32", bootloader.AMD64, 512, "of 32 bits"},
		{"", bootloader.ARM64, 512, ""},
		{"", bootloader.ARM64, 4096, ""},
		{"64", bootloader.ARM64, 512, ""},
	} {
		sys := fstest.MapFS{}
		if c.bits != "" {
			sys["firmware/efi/fw_platform_size"] = &fstest.MapFile{Data: []byte(c.bits + "\n")}
		}
		err := checkFirmware(sys, disk.Layout{Arch: c.arch, Sector: c.sector})
		if refused := err != nil; refused != (c.refused != "") || refused && !strings.Contains(err.Error(), c.refused) {
			t.Errorf("UEFI %q, %s, sectors of %d bytes: %v; want %q", c.bits, c.arch, c.sector, err, c.refused)
		}
	}
}

// TestBootEntry: a plan that asks for it gets an entry for the ESP that was written, and
// a firmware that refuses it costs a warning and not the install.
func TestBootEntry(t *testing.T) {
	for name, c := range map[string]struct {
		wanted, uefi bool
		broken       error
		variable     string // that was made
		says, reason string
	}{
		"made":             {wanted: true, uefi: true, variable: "Boot0000", says: "the firmware's boot entry Boot0000 starts tiny from "},
		"not wanted":       {uefi: true},
		"BIOS":             {wanted: true, says: "no boot entry is made", reason: "did not start by UEFI"},
		"without efivarfs": {wanted: true, uefi: true, broken: errors.New("mount efivarfs: no such device"), says: "warning: the firmware has no boot entry", reason: "no such device"},
	} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			d := newLoopDisk(t, b.dir, diskSize)
			b.use(t, d)
			sys := hardwaretest.NewSys(t)
			sys.Disk(t, "virtual/block/"+d.info.Name, map[string]string{"size": strconv.FormatInt(d.info.Size/512, 10)})
			if c.uefi {
				sys.Write(t, "firmware/efi/fw_platform_size", "64\n")
			}
			b.job.Sys = sys.FS()
			b.job.Plan.BootEntry = c.wanted
			variables, open := bootorder.Dir(t.TempDir()), 0
			b.job.Variables = func() (bootorder.Variables, func() error, error) {
				open++
				return variables, func() error { open--; return nil }, c.broken
			}
			b.install(t)
			data, err := variables.Read("Boot0000")
			if made := err == nil; made != (c.variable != "") {
				t.Errorf("an entry was made: %t", made)
			}
			if c.variable != "" && open != 0 {
				t.Error("the variables are still in use")
			}
			if c.variable != "" {
				wantEntryOfESP(t, data, d)
			}
			if c.says == "" {
				return
			}
			if !slices.ContainsFunc(b.events, func(e provision.Event) bool {
				return strings.HasPrefix(e.Text, c.says) && strings.Contains(e.Reason, c.reason)
			}) {
				t.Errorf("nothing says %q because of %q: %+v", c.says, c.reason, b.events)
			}
		})
	}
}

// wantEntryOfESP compares an entry with the disk's partition table, as sgdisk reads it.
func wantEntryOfESP(t *testing.T, data []byte, d *loopDisk) {
	t.Helper()
	o := must[bootorder.Option](t)(bootorder.ParseOption(data))
	drive := o.Path[0].Data
	table := tool(t, "gdisk", "sgdisk", "--info", strconv.Itoa(int(drive[0])), d.device)
	guid := uuid.UUID{drive[23], drive[22], drive[21], drive[20], drive[25], drive[24], drive[27], drive[26]}
	copy(guid[8:], drive[28:36])
	for _, want := range []string{
		"(EFI system partition)", "Partition unique GUID: " + strings.ToUpper(guid.String()),
		"First sector: " + strconv.FormatUint(binary.LittleEndian.Uint64(drive[4:]), 10) + " ",
		"Partition size: " + strconv.FormatUint(binary.LittleEndian.Uint64(drive[12:]), 10) + " sectors",
	} {
		if !strings.Contains(table, want) {
			t.Errorf("sgdisk does not say %q, but:\n%s", want, table)
		}
	}
	if o.Description != "cloudlets: tiny" || o.Attributes != bootorder.Active {
		t.Errorf("the entry is %q with attributes %x", o.Description, o.Attributes)
	}
}
