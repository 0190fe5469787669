package disk

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"time"

	"cloudlets/images/disk/fat"

	"github.com/google/uuid"
)

// espLabel is what the EFI system partition's filesystem is called.
const espLabel = "ESP"

// Installer writes a layout to a device in three steps, between which the
// caller fills the root partition:
//
//  1. Clear: from here on nothing is on the disk, and nothing boots.
//  2. Prepare: the ESP and GRUB's core image are written, synced and read
//     back. The disk still has no partition table.
//  3. Commit: the partition table and the first boot sector. The very last
//     write is one sector, and only with it the disk is bootable.
//
// When a step fails, or the power does, before that last write, firmware and
// operating systems find no partition table.
type Installer struct {
	dev    Device
	layout Layout
	first  []byte // the disk's first MiB, once Prepare has made it
}

// NewInstaller writes l to dev.
func NewInstaller(dev Device, l Layout) *Installer {
	return &Installer{dev: dev, layout: l}
}

// Contents are what goes to a disk beside its root filesystem.
type Contents struct {
	Loaders Loaders
	Menu    Menu
	// SecureBoot is how firmware that insists on signatures starts the menu's
	// kernels.
	SecureBoot SecureBoot
	// Time is when the ESP's files were made; see [fat.Options].
	Time time.Time
}

// Prepare writes everything that booting takes except what makes the disk
// bootable, and reads it back. The root filesystem should be complete and
// synced. Contents that cannot be installed are refused before the first
// write.
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
			return fmt.Errorf("write %s: %w", CoreImage, err)
		}
	}
	if err := i.settle(ctx, rec); err != nil {
		return err
	}
	i.first = p.first
	return nil
}

// parts are what goes to a disk beside its root filesystem, all of it checked.
type parts struct {
	files       []fat.File
	esp         fat.Options
	core, first []byte // see bootCode
}

// prepare makes the parts, or says what cannot be installed.
func (l Layout) prepare(ctx context.Context, c Contents) (p parts, err error) {
	if p.files, err = c.SecureBoot.bootFiles(ctx, l.Arch, c.Menu, c.Loaders); err != nil {
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

// bootCode is the core image, where there is one, and the first MiB.
func (l Layout) bootCode(loaders Loaders) (core, first []byte, err error) {
	if l.BIOS() {
		if core, err = l.PatchCore(loaders); err != nil {
			return nil, nil, err
		}
	}
	first, err = l.BootSector(loaders)
	return core, first, err
}

// Commit makes the disk bootable. When what it wrote reads back wrongly it
// takes the partition table away again.
func (i *Installer) Commit(ctx context.Context) error {
	if i.first == nil {
		return errors.New("make disk bootable: nothing was prepared: call Prepare first")
	}
	if err := ctx.Err(); err != nil {
		return fmt.Errorf("make disk bootable: %w", err)
	}
	err := i.commit(ctx)
	if err == nil {
		return nil
	}
	// The caller's context may be what failed: undoing must not depend on it.
	if uerr := i.layout.eraseTables(context.WithoutCancel(ctx), i.dev); uerr != nil {
		return errors.Join(fmt.Errorf("make disk bootable: %w: it may boot, and must not be trusted", err), uerr)
	}
	return fmt.Errorf("make disk bootable: %w: it was made unbootable again", err)
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

// settle makes what was written durable and compares it with what is read.
func (i *Installer) settle(ctx context.Context, rec *recorder) error {
	if err := i.dev.Sync(); err != nil {
		return fmt.Errorf("sync disk: %w", err)
	}
	if err := dropCache(i.dev); err != nil {
		return err
	}
	return rec.verify(ctx)
}

// espOptions are the ESP's filesystem; its serial number follows from the
// partition's GUID, so that no two disks have the same.
func (l Layout) espOptions(t time.Time) (fat.Options, error) {
	id, err := uuid.Parse(l.ESP.GUID)
	if err != nil {
		return fat.Options{}, fmt.Errorf("prepare EFI system partition: its GUID %q: %w", l.ESP.GUID, err)
	}
	return fat.Options{
		Label: espLabel, Serial: binary.BigEndian.Uint32(id[:4]), SectorSize: l.Sector, Time: t,
	}, nil
}

// offsetWriter writes to a part of a device.
type offsetWriter struct {
	w   io.WriterAt
	off int64
}

func (o offsetWriter) WriteAt(p []byte, off int64) (int, error) {
	return o.w.WriteAt(p, o.off+off)
}
