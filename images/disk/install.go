package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/fat"
	"cloudlets/images/disk/probe"

	"github.com/google/uuid"
)

// espLabel is the label of the EFI system partition's filesystem.
const espLabel = "ESP"

// Installer writes a layout to a device in three steps, between which the
// caller fills the root partition:
//
//  1. Clear erases the old contents. The disk no longer boots.
//  2. Prepare writes, syncs and reads back the ESP and GRUB's core image. The
//     disk still has no new partition table.
//  3. Commit writes the partition table and the first boot sector. Its last
//     write is the one sector that makes the disk bootable.
//
// If a step or the power fails before that last write, the disk does not boot,
// and it has no partition table other than one that lists a kept partition.
type Installer struct {
	dev    Device
	layout Layout
	first  []byte // the disk's first MiB; nil until Prepare has succeeded
	beside bool   // another disk is bootable beside it
}

// NewInstaller returns an installer that writes l to dev.
func NewInstaller(dev Device, l Layout) *Installer {
	return &Installer{dev: dev, layout: l}
}

// NewPartInstaller returns an installer for a disk that becomes a part of a mirror, beside
// another one that is bootable. Until Commit, BIOS firmware that tries only its first disk is led
// on to the next one. Undo leaves what is in the partitions as it is.
func NewPartInstaller(dev Device, l Layout) *Installer {
	return &Installer{dev: dev, layout: l, beside: true}
}

// Contents is what is installed on a disk besides its root filesystem.
type Contents struct {
	Loaders bootloader.Files
	Menu    bootloader.Menu
	// SecureBoot selects how firmware with Secure Boot starts the menu's kernels.
	SecureBoot bootloader.SecureBoot
	// Slots installs what starts a disk with two slots. Of the menu only the timeout
	// counts then, since each slot has its own, see [bootloader.SlotMenu].
	Slots bool
	// Time is the time stamp of the ESP's files; see [fat.Options].
	Time time.Time
}

// Prepare writes the boot loaders, kernels and RAM disks and reads them back. It
// does not yet make the disk bootable. The root filesystem should be complete and
// synced before. Prepare checks the contents before its first write.
func (i *Installer) Prepare(ctx context.Context, c Contents) error {
	l := i.layout
	p, err := l.prepare(ctx, c)
	if err != nil {
		return err
	}
	rec := &recorder{dev: i.dev}
	if err := fat.Write(ctx, offsetWriter{rec, l.ESP.Offset}, l.ESP.Size, p.esp, p.files); err != nil {
		return fmt.Errorf("prepare EFI system partition: %w", err)
	}
	if len(p.core) > 0 {
		if _, err := rec.WriteAt(p.core, l.BIOSBoot.Offset); err != nil {
			return fmt.Errorf("write %s: %w", bootloader.CoreImage, err)
		}
	}
	if err := i.settle(ctx, rec); err != nil {
		return err
	}
	i.first = p.first
	return nil
}

// bootParts is the checked form of [Contents], ready to be written.
type bootParts struct {
	files       []fat.File
	esp         fat.Options
	core, first []byte // see bootCode
}

// prepare checks the contents and makes the parts to be written.
func (l Layout) prepare(ctx context.Context, c Contents) (p bootParts, err error) {
	if c.Slots {
		p.files, err = c.SecureBoot.SlotFiles(l.Arch, c.Menu.Timeout, c.Loaders)
	} else {
		p.files, err = c.SecureBoot.ESPFiles(ctx, l.Arch, c.Menu, c.Loaders)
	}
	if err != nil {
		return p, err
	}
	if p.esp, err = l.espOptions(c.Time); err != nil {
		return p, err
	}
	if err := fat.Check(l.ESP.Size, p.esp, p.files); err != nil {
		return p, fmt.Errorf("prepare EFI system partition: %w", err)
	}
	p.core, p.first, err = l.bootCode(c.Loaders)
	return p, err
}

// bootCode returns GRUB's core image, which is nil without BIOS, and the first MiB.
func (l Layout) bootCode(loaders bootloader.Files) (core, first []byte, err error) {
	if l.BIOS() {
		if core, err = l.PatchCore(loaders); err != nil {
			return nil, nil, err
		}
	}
	first, err = l.BootSector(loaders)
	return core, first, err
}

// Commit makes the disk bootable. If a write fails or reads back wrongly, Commit
// erases the partition table again.
func (i *Installer) Commit(ctx context.Context) error {
	if i.first == nil {
		return errors.New("make disk bootable: nothing is prepared: call Prepare first")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("make disk bootable: %w", err)
	}
	err := i.commit(ctx)
	if err == nil {
		return nil
	}
	// The error may be that the caller's context has ended. Undoing must work
	// all the same.
	if uerr := i.Undo(context.WithoutCancel(ctx)); uerr != nil {
		return errors.Join(fmt.Errorf("make disk bootable: %w: the disk may boot, but its contents must not be trusted: install it again", err), uerr)
	}
	return fmt.Errorf("make disk bootable: %w: the disk was made unbootable again", err)
}

func (i *Installer) commit(ctx context.Context) error {
	table, err := i.layout.Table()
	if err != nil {
		return err
	}
	sector := i.layout.Sector
	rec := &recorder{dev: i.dev}
	for _, w := range []struct {
		what  string
		bytes []byte
		off   int64
	}{
		{"backup partition table", table.Backup, table.BackupOffset},
		{"partition table", i.first[sector:], sector},
		{"boot sector", i.first[:sector], 0},
	} {
		if _, err := rec.WriteAt(w.bytes, w.off); err != nil {
			return fmt.Errorf("write %s: %w", w.what, err)
		}
		if err := i.dev.Sync(); err != nil {
			return fmt.Errorf("sync %s: %w", w.what, err)
		}
	}
	return i.settle(ctx, rec)
}

// Undo erases the partition table of a disk that Commit made bootable: something else
// failed that belongs to it.
func (i *Installer) Undo(ctx context.Context) error {
	i.first = nil
	if i.beside {
		return i.layout.leaveMark(ctx, i.dev, probe.UnfinishedPart(i.layout.BIOS()), i.layout.backupSize())
	}
	return i.layout.eraseTables(ctx, i.dev)
}

// settle syncs the device and then reads back and verifies all recorded writes.
func (i *Installer) settle(ctx context.Context, rec *recorder) error {
	if err := i.dev.Sync(); err != nil {
		return fmt.Errorf("sync disk: %w", err)
	}
	if err := dropCache(i.dev); err != nil {
		return err
	}
	return rec.verify(ctx)
}

// espOptions returns the options of the ESP's filesystem. Its serial number is
// derived from the partition's GUID, so different disks have different ones.
func (l Layout) espOptions(t time.Time) (fat.Options, error) {
	id, err := uuid.Parse(l.ESP.GUID)
	if err != nil {
		return fat.Options{}, fmt.Errorf("prepare EFI system partition: its GUID %q: %w", l.ESP.GUID, err)
	}
	return fat.Options{
		Label: espLabel, Serial: binary.BigEndian.Uint32(id[:4]), SectorSize: l.Sector, Time: t,
	}, nil
}

// offsetWriter adds off to the offset of each write.
type offsetWriter struct {
	w   io.WriterAt
	off int64
}

func (o offsetWriter) WriteAt(p []byte, off int64) (int, error) {
	return o.w.WriteAt(p, o.off+off)
}
