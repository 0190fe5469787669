package install

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/md"
	"cloudlets/images/disk/slots"
	"cloudlets/images/pack"
	"cloudlets/images/target"
	"cloudlets/provision"
)

// tocPath is the file of a slot's root filesystem that has the table of contents of the
// image it was written from, so that the next update knows what need not be fetched.
const tocPath = images.Dir + "/slot/toc"

// findSlots looks for the two slots of an earlier install. If the disk has them, the
// install is an update: it writes the slot that is not the good one, and leaves the
// rest of the disk as it is.
func (i *installer) findSlots(sector int64) (found bool, err error) {
	l, err := disk.FindSlots(i.device, i.disk.Size, sector)
	if errors.Is(err, disk.ErrNoSlots) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	state, err := slots.Read(i.device, l.ESP.Offset)
	if err != nil {
		return false, i.unknownState(err)
	}
	i.layout, i.update = l.In(state.Good.Other()), &state
	return true, i.checkUpdate()
}

// unknownState is the error if the state of the slots cannot be read.
func (i *installer) unknownState(err error) error {
	return fmt.Errorf("the disk has two slots for systems, and it is not known which one is good: %w; if all that is on it may be lost, arm the install with `cloudlets install %s --wipe`", err, i.plan.MAC)
}

// checkUpdate says why the plan does not suit a disk that has two slots, of which the
// layout's Root is to be written.
func (i *installer) checkUpdate() (err error) {
	plan, l := i.plan.Target, i.layout
	if i.plan.Rollback != "" {
		return nil // nothing is written into a slot
	}
	shim := false
	if plan.Shim || i.newDisk != "" {
		if shim, err = disk.HasShim(i.trusted().device, l); err != nil {
			return err
		}
	}
	switch {
	case shim && !plan.Shim:
		return fmt.Errorf("the disk %s starts with shim, and %s %s and would get none, as the machine's file does not ask for Secure Boot: write \"secureBoot\": \"shim\" into it", i.trusted().disk, i.newDisk, i.newWhy)
	case plan.Shim && !shim:
		return fmt.Errorf("the disk starts without shim, and the machine's file asks for Secure Boot: install anew with `cloudlets install %s --wipe`, which loses what is persistent", i.plan.MAC)
	case l.Arch != plan.Arch:
		return fmt.Errorf("the disk has systems for %s, and the image is for %s", l.Arch, plan.Arch)
	case l.Root.Room() < plan.RootSize:
		return fmt.Errorf("slot %s has %s, and the image needs %s: use a smaller image, or install anew with `cloudlets install %s --wipe`, which loses what is persistent",
			l.Slot, bytesize.Decimal(l.Root.Room()), bytesize.Decimal(plan.RootSize), i.plan.MAC)
	case (plan.Persistent > 0 || plan.Keep) && l.Persistent.Size == 0:
		return fmt.Errorf("the machine's file asks for a persistent partition, and the disk has none: take \"persistent\" out of it, or install anew with `cloudlets install %s --wipe`", i.plan.MAC)
	}
	return nil
}

// partitionUpdate makes the filesystem of the slot that is written. From here on that
// slot is not on trial any more, whatever it was.
func (i *installer) partitionUpdate(ctx context.Context) error {
	if err := i.writeState(slots.Accepted(i.update.Good)); err != nil {
		return err
	}
	if err := i.clearNew(ctx); err != nil {
		return err
	}
	if i.Running == nil {
		if err := i.addPartitions(); err != nil {
			return err
		}
	}
	if err := i.makeMirrors(i.layout.Root); err != nil {
		return err
	}
	if err := i.keepMirror(ctx, i.layout.Other); err != nil {
		return err
	}
	return i.makeRoot(ctx)
}

// store opens the files of the good slot. It is nil if there is none, or it is not known
// what they are; then everything is fetched. Done ends its use.
func (i *installer) store(ctx context.Context) (s *pack.Store, done func()) {
	if i.update == nil {
		return nil, func() {}
	}
	s, done, err := i.openStore(ctx)
	if err != nil {
		i.tell(provision.Event{Kind: provision.KindLog, Text: "everything is fetched, though the disk has a system already", Reason: err.Error()})
		return nil, func() {}
	}
	return s, done
}

func (i *installer) openStore(ctx context.Context) (*pack.Store, func(), error) {
	dir := filepath.Join(filepath.Dir(i.Target), "oldroot")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, nil, err
	}
	if err := i.mountGood(ctx, dir); err != nil {
		return nil, nil, err
	}
	detach := func() {
		if err := Unmount(dir); err != nil {
			i.Log.Warn("the old slot stays mounted", "error", err)
		}
	}
	s, err := storeOf(dir)
	if err != nil {
		detach()
		return nil, nil, err
	}
	return s, func() { s.Close(); detach() }, nil
}

// mountGood shows the good slot in a directory. If that is the running system, it is seen
// there without what is mounted on it.
func (i *installer) mountGood(ctx context.Context, dir string) error {
	if i.Running != nil {
		return bindRoot(dir)
	}
	device, err := i.volume(ctx, i.layout.Other)
	if err != nil {
		return err
	}
	if err := unix.Mount(device, dir, i.plan.Target.Filesystem, unix.MS_RDONLY|unix.MS_NOATIME|unix.MS_NODEV|unix.MS_NOSUID|unix.MS_NOEXEC, ""); err != nil {
		return fmt.Errorf("mount %s: %w", device, err)
	}
	return nil
}

// maxTOC bounds the kept table of contents, in bytes.
const maxTOC = 256 << 20

func storeOf(dir string) (*pack.Store, error) {
	root, err := os.OpenRoot(dir)
	if err != nil {
		return nil, err
	}
	defer root.Close()
	info, err := root.Lstat(tocPath[1:])
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxTOC {
		return nil, fmt.Errorf("%s is no file of a usual size (%s, %d bytes)", tocPath, info.Mode(), info.Size())
	}
	tail, err := root.ReadFile(tocPath[1:])
	if err != nil {
		return nil, err
	}
	toc, err := pack.OpenTail(tail)
	if err != nil {
		return nil, err
	}
	return pack.OpenStore(toc, dir)
}

// commitSlot gives the slot its boot menu, and makes the boot loader start it: for good if
// the disk is new, and else on trial. That is the last write of all.
func (i *installer) commitSlot(ctx context.Context) error {
	menu, files, cmdline, err := i.plan.Target.SlotMenu(i.layout)
	if err != nil {
		return err
	}
	i.kernel = i.plan.Target.Entries[0]
	i.kernel.Cmdline = cmdline
	kept := map[string][]byte{bootloader.SlotMenuPath: menu, tocPath: i.image.tail}
	if i.second != nil {
		i.kernel.Initrd = target.MirrorRAMDisk
		kept[target.MirrorRAMDisk] = i.ramdisk
	}
	if err := i.keepInSlot(kept, files); err != nil {
		return err
	}
	if i.update == nil {
		for _, m := range i.members() {
			if err := m.writer.Prepare(ctx, i.slotContents()); err != nil {
				return fmt.Errorf("%s: %w", m.disk.Name, err)
			}
		}
	}
	if err := checkpoint(i.Target); err != nil {
		return err
	}
	if err := i.wantKept(kept); err != nil {
		return err
	}
	if err := i.fillMirrors(ctx); err != nil {
		return err
	}
	if err := i.prepareNew(ctx); err != nil {
		return err
	}
	if err := i.permitted(ctx, "make "+i.names()+" bootable"); err != nil {
		return err
	}
	if err := i.wholeMirrors(md.Look); err != nil { // the permission may have taken a while
		return err
	}
	if i.update == nil {
		return i.commitDisks(ctx)
	}
	if err := i.commitNew(ctx); err != nil {
		return err
	}
	return i.writeState(i.update.OnTrial())
}

// slotContents is what starts a disk with two slots.
func (i *installer) slotContents() disk.Contents {
	return disk.Contents{
		Loaders: i.loaders, Slots: true, Menu: bootloader.Menu{Timeout: i.plan.Target.Timeout}, SecureBoot: i.plan.Target.SecureBoot(), Time: time.Unix(0, 0).UTC(),
	}
}

// keepInSlot makes the files of the slot's own, and the names by which the boot loader finds
// the image's. What the image has there goes: it may be that of another machine's disk. No
// link of the image leads them elsewhere.
func (i *installer) keepInSlot(files map[string][]byte, links []target.SlotFile) error {
	root, err := os.OpenRoot(i.Target)
	if err != nil {
		return err
	}
	defer root.Close()
	dir := path.Dir(bootloader.SlotMenuPath)[1:]
	if err := errors.Join(root.RemoveAll(dir), root.MkdirAll(dir, 0o755)); err != nil {
		return fmt.Errorf("make /%s: %w", dir, err)
	}
	for _, l := range links {
		if err := root.Link(l.Path[1:], l.Name[1:]); err != nil {
			return fmt.Errorf("give %s the name %s too: %w", l.Path, l.Name, err)
		}
	}
	for name, content := range files {
		if err := root.WriteFile(name[1:], content, 0o600); err != nil {
			return fmt.Errorf("write %s: %w", name, err)
		}
	}
	return nil
}

// wantKept reads the files of the slot's own back from the disk.
func (i *installer) wantKept(files map[string][]byte) error {
	root, err := os.OpenRoot(i.Target)
	if err != nil {
		return err
	}
	defer root.Close()
	for name, content := range files {
		if err := sameOnDisk(root, name[1:], content); err != nil {
			return fmt.Errorf("read back %s: %w", name, err)
		}
	}
	return nil
}

func sameOnDisk(root *os.Root, name string, want []byte) error {
	f, err := root.Open(name)
	if err != nil {
		return err
	}
	defer f.Close()
	// This has no effect on a filesystem in memory, which is fine.
	_ = unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED)
	got, err := io.ReadAll(f)
	if err == nil && !bytes.Equal(got, want) {
		err = errors.New("it is not what was written")
	}
	return err
}

// The kernel's requests to stop all writes to a filesystem, and to go on: FIFREEZE and
// FITHAW of include/uapi/linux/fs.h.
const (
	freeze = 0xc0045877
	thaw   = 0xc0045878
)

// checkpoint writes everything of a filesystem to its place on the device. Syncing writes
// to the journal, which a boot loader that reads the filesystem does not know.
func checkpoint(dir string) error {
	if err := syncFilesystem(dir); err != nil {
		return err
	}
	f, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, request := range []uint{freeze, thaw} {
		if err := unix.IoctlSetInt(int(f.Fd()), request, 0); err != nil {
			return fmt.Errorf("write the journal of %s back: %w", dir, err)
		}
	}
	return nil
}
