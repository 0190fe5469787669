package media

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/layers"
	"cloudlets/images/target"
	"cloudlets/provision/netconfig"
	"cloudlets/provision/running"
)

// Disks with two slots, without a server: how one is made, and updated in place.

// slotFlags say that a disk has two slots, or that one of them is written.
type slotFlags struct {
	slots         int
	update        bool
	withoutServer bool
}

func (f *slotFlags) add(cmd *cobra.Command) {
	cmd.Flags().IntVar(&f.slots, "slots", 1, "2 makes room for two systems, so that --update can write one beside the other")
	cmd.Flags().BoolVar(&f.update, "update", false, "write the system into the other slot of a disk that has two, and keep all else")
	_ = cmd.RegisterFlagCompletionFunc("slots", cobra.FixedCompletions([]cobra.Completion{"1", "2"}, cobra.ShellCompDirectiveNoFileComp))
	f.addWithoutServer(cmd)
}

// addWithoutServer adds the flag for systems that a server installed.
func (f *slotFlags) addWithoutServer(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.withoutServer, "without-server", false, "update a system that a server installed, although the new one lacks what the server gave it: its network, its words for the kernel, and what cloud-init is told")
}

// notForUpdates are the flags that say how a disk is made anew.
var notForUpdates = []string{"slots", "size", "free", "uuid", "persistent-partition", "keep-persistent", "force", "compress", "bucket", "secure-boot-key"}

// check refuses flags that contradict each other.
func (f *slotFlags) check(cmd *cobra.Command, format vdisk.Format, o outliveFlags) error {
	fail := func(text string, args ...any) error { return exit.With(fmt.Errorf(text, args...), exit.Usage) }
	switch {
	case f.slots != 1 && f.slots != 2:
		return fail("--slots %d: a disk has one slot or two", f.slots)
	case f.slots == 2 && isFiles(format):
		return fail("--slots is for disks with a boot loader: the format %s has none that chooses between systems", format.Name)
	case f.slots == 2 && o.grow && o.partition == 0 && !o.keep:
		return fail("--slots 2 with --grow needs --persistent-partition: that grows, and slots stay as they are")
	case f.withoutServer && !f.update:
		return fail("--without-server is about the system that --update replaces: leave it out")
	case !f.update:
		return nil
	}
	for _, name := range notForUpdates {
		if cmd.Flags().Changed(name) {
			return fail("--%s says how a disk is made anew, and --update keeps it as it is: leave it out", name)
		}
	}
	return nil
}

// refuseFormat refuses formats that cannot be changed in place.
func refuseFormat(file, format string) error {
	return fmt.Errorf("%s is a disk in the format %s, which is not changed in place: convert it, with `qemu-img convert -O raw %[1]s disk.img`, update disk.img, and convert that back", file, format)
}

// signatures are how files of disk formats begin, by the names that the formats have here.
var signatures = []struct{ begins, format string }{
	{"QFI\xfb", "qcow2"}, {"KDMV", "vmdk"}, {"# Disk DescriptorFile", "vmdk"}, {"vhdxfile", "vhdx"}, {"conectix", "vhd"}, {"<<< ", "vdi"}, {"\x1f\x8b", "gzip"}, {"(\xb5/\xfd", "zstd"},
}

// updateFile updates a raw disk in a file.
func (f *diskFlags) updateFile(cmd *cobra.Command, args []string, format vdisk.Format) error {
	if f.out.Out == "" || f.out.Out == "-" {
		return exit.With(errors.New("say which disk is updated: --out FILE or --out /dev/sdX"), exit.Usage)
	}
	if format.Name != "raw" {
		return refuseFormat(f.out.Out, format.Name)
	}
	mode := os.O_RDWR
	if f.dryRun {
		mode = os.O_RDONLY
	}
	file, err := os.OpenFile(f.out.Out, mode, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("update %s: %w: make a disk with two slots first, with --slots 2 in the place of --update", f.out.Out, fs.ErrNotExist)
	}
	if err != nil {
		return fmt.Errorf("update a disk: %w", err)
	}
	defer file.Close()
	if !f.dryRun {
		if err := lockDisk(file); err != nil {
			return err
		}
	}
	on, err := f.slotsOf(file)
	if err != nil {
		return err
	}
	return f.update(cmd, args, on, file, func(_ *target.Update, write func(disk.Device) error) error {
		return errors.Join(write(file), file.Close())
	})
}

// slotsOf looks at the disk in a file, by sectors of either length.
func (f *diskFlags) slotsOf(file *os.File) (on target.SlotDisk, err error) {
	info, err := file.Stat()
	if err != nil {
		return on, err
	}
	for _, sector := range []int64{512, 4096} {
		if on, err = target.ReadSlots(file, info.Size(), sector); !errors.Is(err, disk.ErrNoSlots) {
			break
		}
	}
	if !errors.Is(err, disk.ErrNoSlots) {
		return on, f.slotsError(err)
	}
	begin := make([]byte, 64)
	n, _ := file.ReadAt(begin, 0)
	for _, s := range signatures {
		if bytes.HasPrefix(begin[:n], []byte(s.begins)) {
			return on, refuseFormat(f.out.Out, s.format)
		}
	}
	return on, f.slotsError(err)
}

// slotsError says how one gets a disk that can be updated.
func (f *diskFlags) slotsError(err error) error {
	if errors.Is(err, disk.ErrNoSlots) {
		return fmt.Errorf("update %s: %w: make one that has, with --slots 2 in the place of --update; what is on this one is lost then", f.out.Out, disk.ErrNoSlots)
	}
	if err != nil {
		return fmt.Errorf("update %s: %w", f.out.Out, err)
	}
	return nil
}

// update plans the update of a disk that r reads, and has commit carry it out: commit
// calls write with the disk, once.
func (f *diskFlags) update(cmd *cobra.Command, args []string, on target.SlotDisk, r io.ReaderAt, commit func(u *target.Update, write func(disk.Device) error) error) error {
	shim, err := f.secure.load()
	if err != nil {
		return exit.With(err, exit.Usage)
	}
	o := target.Options{Grow: f.outlive.grow, Program: f.program, SecureBoot: shim, Timeout: target.MenuTimeout}
	if _, o.Time, err = f.identity(); err != nil {
		return err
	}
	if err := f.checkServer(cmd, on, r); err != nil {
		return err
	}
	return f.image.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		if err := f.likeBefore(cmd, im, on, r); err != nil {
			return err
		}
		return f.onSystem(cmd, im, func(s target.System) error {
			o.EntryPoint = f.entry
			if s, o.Cmdline, err = f.forSlot(cmd, s, f.cmdline); err != nil {
				return err
			}
			u, err := target.NewUpdate(cmd.Context(), s, o, on)
			if err != nil {
				return err
			}
			f.warn(cmd, u.Notices)
			if f.dryRun {
				return f.tellUpdate(cmd, s, u, 0)
			}
			written := int64(0)
			err = commit(u, func(dev disk.Device) (err error) {
				written, err = f.writeSlot(cmd, u, dev)
				return err
			})
			if err != nil && cmd.Context().Err() != nil {
				return exit.With(err, exit.Interrupted)
			}
			if err != nil {
				return err
			}
			return f.tellUpdate(cmd, s, u, written)
		})
	})(cmd, args)
}

// checkServer refuses a disk whose good system a server installed. The server adds files
// to the image and words to the kernel's command line, and only the server knows them: a
// system without them may be off the network, and be accepted all the same.
func (f *diskFlags) checkServer(cmd *cobra.Command, on target.SlotDisk, r io.ReaderAt) error {
	_, err := ext4.ReadFile(goodSlot(on, r), running.URLsPath, imageflags.MaxText)
	const missing = "its network, its words for the kernel, what cloud-init is told, and the service that tells the server that it runs"
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return nil
	case err != nil:
		return fmt.Errorf("look whether a server installed the system in slot %s: %w", on.State.Good, err)
	case f.slots.withoutServer:
		f.warn(cmd, []string{"a server installed the system in slot " + on.State.Good.String() + ", and the new one lacks what the server gave that one: " + missing})
		return nil
	}
	return fmt.Errorf("update %s: a server installed the system in slot %s, and the new one would lack what the server gave that one: %s: have the server update it, with `cloudlets install NAME`, or give --without-server to do without all that",
		f.out.Out, on.State.Good, missing)
}

// goodSlot reads the partition of the good system.
func goodSlot(on target.SlotDisk, r io.ReaderAt) io.ReaderAt {
	return io.NewSectionReader(r, on.Layout.Other.Offset, on.Layout.Other.Size)
}

// forSlot adds to a system what it has on a disk without a server, so that it can be
// updated. Words are those for the kernel.
func (f *diskFlags) forSlot(cmd *cobra.Command, s target.System, words string) (target.System, string, error) {
	s, err := f.recordOptions(cmd, s)
	if err != nil {
		return s, words, err
	}
	return f.sayRuns(cmd, s, words)
}

// sayRuns adds to a system on a disk without a server what says that it runs, so that its
// trial ends well; or words for the kernel, if nothing in the image can say so.
func (f *diskFlags) sayRuns(cmd *cobra.Command, s target.System, words string) (target.System, string, error) {
	files, err := running.Alone(s.Tree)
	if errors.Is(err, running.ErrNoService) {
		f.warn(cmd, []string{"the image has none of systemd, OpenRC, sysvinit and runit, so that it cannot say when it is up: an update to it counts as good if it goes on for a minute after its init has begun"})
		return s, boot.JoinWords(target.TrialRunsWord+target.RunsByInit, words), nil
	}
	if err != nil {
		return s, words, err
	}
	files, err = netconfig.Place(s.Tree, files, func(path string) bool {
		return slices.ContainsFunc(s.Overlay, func(f images.File) bool { return f.Path == path })
	})
	if err != nil {
		return s, words, err
	}
	return withFiles(s, files), words, nil
}

// withFiles puts more files on top of a system. They are as old as its manifest, so that the
// same system gives the same disk.
func withFiles(s target.System, files images.Overlay) target.System {
	if like, err := s.Tree.Entry(images.ManifestPath); err == nil {
		for i := range files {
			files[i].ModTime = like.ModTime
		}
	}
	s.Overlay = append(append(images.Overlay{}, s.Overlay...), files...)
	s.Source = layers.Overlay(s.Source, files)
	return s
}

// writeSlot writes the slot, and shows the progress of writing and of reading back.
func (f *diskFlags) writeSlot(cmd *cobra.Command, u *target.Update, dev disk.Device) (int64, error) {
	total := 2 * u.Estimate()
	if f.device.noVerify {
		total = u.Estimate()
	}
	show := stdio.NewProgress(cmd.ErrOrStderr(), fmt.Sprintf("writing slot %s of %s", u.Slot, f.out.Out), total)
	defer show.End()
	return u.Write(cmd.Context(), dev, disk.UpdateOptions{NoVerify: f.device.noVerify, Progress: func(written, verified int64) { show.Add(written + verified) }})
}

// tellUpdate prints what was written, or would be.
func (f *diskFlags) tellUpdate(cmd *cobra.Command, s target.System, u *target.Update, written int64) error {
	m := summary{Out: f.out.Out, Format: "raw", Size: u.Size(), UUID: u.ID.String(), Image: s.Name, Entries: u.Entries, Slot: string(u.Slot)}
	for _, k := range u.Kernels {
		m.Kernels = append(m.Kernels, k.Version)
	}
	if f.asJSON {
		return printing.JSON(cmd.OutOrStdout(), m)
	}
	text := fmt.Sprintf("would write slot %s of %s with %d files of %s; slot %s stays", u.Slot, f.out.Out, u.Entries, nameOf(s), u.Slot.Other())
	if !f.dryRun {
		text = fmt.Sprintf("wrote slot %s of %s with %d files of %s, %s; the next start tries it, and slot %s stays until it has proved itself",
			u.Slot, f.out.Out, u.Entries, nameOf(s), bytesize.Decimal(written), u.Slot.Other())
	}
	_, err := fmt.Fprintln(cmd.OutOrStdout(), text)
	return err
}
