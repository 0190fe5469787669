package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strconv"
	"time"

	"github.com/google/uuid"
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/heap"
	"cloudlets/cmd/cloudlets/imageflags"
	"cloudlets/cmd/cloudlets/outfile"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/target"
)

// diskFlags say what disk is made.
type diskFlags struct {
	image    imageflags.Image
	config   imageflags.Config
	out      outfile.Flags
	format   string
	compress string
	bucket   string
	entry    string
	cmdline  string
	id       string
	assets   string
	size     imageflags.Size
	free     roomFlag
	dryRun   bool
	asJSON   bool
	outlive  outliveFlags
	slots    slotFlags
	secure   secureBootFlags
	device   deviceFlags
	pointers bool // Git LFS pointers are taken as files
}

func diskCommand() *cobra.Command {
	var f diskFlags
	cmd := &cobra.Command{
		Use: "disk IMAGE --out FILE [--config C] [--format F]", Short: "Make a disk that boots: for a virtual machine, a cloud or a USB stick", Args: exit.ExactArgs(1),
		Long: `Make a disk from an image and a configuration. It boots by BIOS and by UEFI, and
has one partition table, boot loaders, the image's own kernels, and its files on
ext4. This needs no root, no mount and no virtual machine. The same image and
configuration give the same bytes: identifiers and times come from the content,
unless you give --uuid or SOURCE_DATE_EPOCH.

With --slots 2 the disk has room for two systems. "cloudlets disk IMAGE --out FILE --update"
then writes the other one: the disk's next start tries it, and goes back by itself if it does
not prove itself. Persistent data stay. In a running system, "cloudlets update" does the same.

If --out is a device, such as a USB disk or a card, cloudlets shows what is on
it, and overwrites it only after you type the device's name.

` + formatTable(),
		Example: `  cloudlets disk debian-12.tar --config @web1.json --env hostname=web1 --out web1.qcow2
  cloudlets disk web@v1.2 --format vmdk --out - | ssh esx1 'cat > web.vmdk'
  cloudlets disk debian-12.tar --size 8GiB --out debian.img
  cloudlets disk debian-12.tar --out live.iso
  sudo cloudlets disk web@v2 --out /dev/sdX --keep-persistent
  sudo cloudlets disk web@v1 --out /dev/sdX --slots 2 --persistent-partition 4GiB
  sudo cloudlets disk web@v2 --out /dev/sdX --update`,
		RunE: func(cmd *cobra.Command, args []string) error { return f.run(cmd, args) },
	}
	f.add(cmd)
	cmd.Flags().StringVar(&f.format, "format", "", "the `format`; by default the one that the file's name ends in, or else raw")
	cmd.Flags().StringVar(&f.compress, "compress", "", "compress a qcow2 with zlib or zstd; compress the files of an iso with zstd, lz4 or none; by default the best that its kernels read")
	cmd.Flags().StringVar(&f.bucket, "bucket", "", "with --format ec2, the S3 `bucket` that you will upload the disk to")
	f.out.Add(cmd)
	f.out.Out, cmd.Flags().Lookup("out").DefValue = "", "" // a disk is too large for standard output to be the default
	f.device.add(cmd)
	_ = cmd.RegisterFlagCompletionFunc("format", cobra.FixedCompletions(formatNames(), cobra.ShellCompDirectiveNoFileComp))
	_ = cmd.RegisterFlagCompletionFunc("compress", cobra.FixedCompletions(allCompressions(), cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

func rawCommand() *cobra.Command {
	f := diskFlags{format: "raw"}
	cmd := &cobra.Command{
		Use: "raw IMAGE OUT [--config C]", Short: "Make a raw disk: short for disk --format raw", Args: exit.ExactArgs(2),
		Long:    "Make a raw disk that boots by BIOS and by UEFI. It is short for \"cloudlets disk\nIMAGE --format raw --out OUT\".",
		Example: "  cloudlets raw debian-12.tar debian.img --config @web1.json --size 4GiB",
		RunE: func(cmd *cobra.Command, args []string) error {
			f.out.Out = args[1]
			return f.run(cmd, args)
		},
	}
	f.add(cmd)
	cmd.Flags().BoolVarP(&f.out.Force, "force", "f", false, "replace the file if it is there")
	return cmd
}

// defaultFree is the space in bytes that a system needs for its logs and keys
// when it first starts. On a disk without it services fail.
const defaultFree = 250_000_000

func (f *diskFlags) add(cmd *cobra.Command) {
	f.free = defaultFree
	f.addSystem(cmd)
	cmd.Flags().Var(&f.size, "size", "the disk's size, such as 8GiB; by default as small as possible, plus --free")
	cmd.Flags().Var(&f.free, "free", "the free space on a disk without --size, in each slot; may be 0")
	cmd.Flags().StringVar(&f.id, "uuid", "", "derive all identifiers from this `UUID`")
	f.outlive.add(cmd)
	f.slots.add(cmd)
	f.secure.add(cmd)
	cmd.MarkFlagsMutuallyExclusive("size", "free")
}

// addSystem adds the flags for what is put on a disk.
func (f *diskFlags) addSystem(cmd *cobra.Command) {
	f.image.Add(cmd)
	f.config.Add(cmd)
	cmd.Flags().StringVar(&f.entry, "entry", "", "the kernel entry point; by default the manifest's default")
	cmd.Flags().StringVar(&f.cmdline, "cmdline", "", "`words` to add to the kernel's command line")
	cmd.Flags().StringVar(&f.assets, "assets", "", "a `folder` with boot loaders, if they are not where Debian installs them, and with cloudlets-arm64 for arm64 machines")
	cmd.Flags().BoolVar(&f.dryRun, "dry-run", false, "say what would be made, and make nothing")
	cmd.Flags().BoolVar(&f.asJSON, "json", false, "print what was made as JSON, to standard error if the disk goes to standard output")
	cmd.Flags().BoolVar(&f.pointers, "lfs-pointers", false, "make the disk even if Git LFS pointers are in the place of files")
	_ = cmd.MarkFlagDirname("assets")
}

// run makes a disk.
func (f *diskFlags) run(cmd *cobra.Command, args []string) error {
	heap.Save()
	format, err := f.chosenFormat()
	if err != nil {
		return err
	}
	if err := f.checkFlags(cmd, format); err != nil {
		return err
	}
	if isDevice(f.out.Out) {
		return f.toDevice(cmd, args, format)
	}
	if f.slots.update {
		return f.updateFile(cmd, args, format)
	}
	if err := f.checkOutput(format); err != nil {
		return err
	}
	if isFiles(format) {
		if f.secure.given() && format.Name != "iso" {
			return errNotSigned(format.Name)
		}
		return f.image.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
			// A tarball is written in one pass, to a pipe too.
			return f.config.OnSystem(cmd, im, format.Name, f.checkPointers(imageflags.PointersBefore), func(s target.System) error {
				return f.makeFiles(cmd, s, format)
			})
		})(cmd, args)
	}
	options, err := f.options(format)
	if err != nil {
		return err
	}
	return f.image.OnImage(func(cmd *cobra.Command, im *images.Image, _ []string) error {
		return f.onSystem(cmd, im, func(s target.System) error { return f.make(cmd, s, format, options) })
	})(cmd, args)
}

// onSystem is [imageflags.Config.OnSystem]. What do makes walks the files before
// it writes any.
func (f *diskFlags) onSystem(cmd *cobra.Command, im *images.Image, do func(target.System) error) error {
	return f.config.OnSystem(cmd, im, "disk", f.checkPointers(imageflags.PointersInWalk), do)
}

// checkPointers returns how to look for Git LFS pointers, if they are not allowed.
func (f *diskFlags) checkPointers(how imageflags.PointerCheck) imageflags.PointerCheck {
	if f.pointers {
		return imageflags.PointersAllowed
	}
	return how
}

// checkOutput makes every check of the output that needs no image.
func (f *diskFlags) checkOutput(format vdisk.Format) error {
	switch {
	case f.out.Out == "" && !f.dryRun:
		return exit.With(errors.New("say where the disk goes: --out FILE, or --out - for standard output"), exit.Usage)
	case f.out.Out == "-" && !format.Streams:
		return exit.With(fmt.Errorf("the format %s cannot be streamed: write it to a file", format.Name), exit.Usage)
	case f.out.Out == "" || f.out.Out == "-":
		return nil
	case f.dryRun:
		if _, err := os.Lstat(f.out.Out); err == nil {
			return nil
		}
		return outfile.CheckDeviceName(f.out.Out)
	case isFolder(format):
		return outfile.MayMake(f.out.Out)
	case format.Name == "ec2":
		if err := (&outfile.Flags{Out: f.importFile(), Force: f.out.Force}).MayWrite(); err != nil {
			return err
		}
	}
	return f.out.MayWrite()
}

func (f *diskFlags) options(format vdisk.Format) (target.Options, error) {
	o := target.Options{
		EntryPoint: f.entry, Size: int64(f.size), Free: int64(f.free), Cmdline: f.cmdline, Round: format.RoundSize,
		Grow: f.outlive.grow, Persistent: int64(f.outlive.partition), Program: f.program,
	}
	if f.slots.slots == 2 {
		o.Slots, o.Timeout = true, target.MenuTimeout
	}
	if format.Name == "ec2" {
		o.Console = ec2Console
	}
	if f.size > 0 {
		o.Round = nil
		right, err := format.RoundSize(o.Size)
		if err != nil {
			return o, exit.With(fmt.Errorf("--size %s: %w", bytesize.Exact(o.Size), err), exit.Usage)
		}
		if right != o.Size {
			return o, exit.With(fmt.Errorf("--size %d: the size of a disk in the format %s must be a multiple of %s: take %d", o.Size, format.Name, bytesize.Exact(format.Align), right), exit.Usage)
		}
	}
	var err error
	if o.ID, o.Time, err = f.identity(); err != nil {
		return o, err
	}
	if o.SecureBoot, err = f.secure.load(); err != nil {
		return o, exit.With(err, exit.Usage)
	}
	return o, nil
}

// identity returns the identifier and the time that the flags and the
// environment give. Zero values mean that they come from the content.
func (f *diskFlags) identity() (id uuid.UUID, at time.Time, err error) {
	if f.id != "" {
		if id, err = uuid.Parse(f.id); err != nil {
			return id, at, exit.With(fmt.Errorf("--uuid %s: %w", f.id, err), exit.Usage)
		}
	}
	at, err = sourceDate()
	return id, at, err
}

// sourceDate returns the time of a reproducible build if the environment has
// one (reproducible-builds.org/specs/source-date-epoch), or else the zero time.
func sourceDate() (time.Time, error) {
	text := os.Getenv("SOURCE_DATE_EPOCH")
	if text == "" {
		return time.Time{}, nil
	}
	seconds, err := strconv.ParseInt(text, 10, 64)
	if err != nil {
		return time.Time{}, exit.With(fmt.Errorf("SOURCE_DATE_EPOCH is %q: it must be a number of seconds since 1970", text), exit.Usage)
	}
	return time.Unix(seconds, 0).UTC(), nil
}

func (f *diskFlags) make(cmd *cobra.Command, s target.System, format vdisk.Format, o target.Options) error {
	d, err := f.plan(cmd, &s, o)
	if err != nil {
		return err
	}
	if err := checkCloud(s, d, format.Name); err != nil {
		return err
	}
	f.warn(cmd, d.Notices)
	loaders, err := f.loaders(cmd.Context(), s, d)
	if err != nil {
		return err
	}
	if !f.dryRun {
		if err := f.write(cmd, d, format, loaders); err != nil {
			return err
		}
	}
	if err := f.tell(cmd, s, d, format.Name); err != nil || format.Name != "ec2" || f.dryRun || f.out.Out == "-" {
		return err
	}
	return f.writeImport(cmd, s)
}

// plan plans a disk. The system of one with two slots has more files, see forSlot.
func (f *diskFlags) plan(cmd *cobra.Command, s *target.System, o target.Options) (*target.Disk, error) {
	if o.Slots {
		var err error
		if *s, o.Cmdline, err = f.forSlot(cmd, *s, o.Cmdline); err != nil {
			return nil, err
		}
	}
	return target.NewDisk(cmd.Context(), *s, o)
}

// loaders finds the boot loaders that a disk needs.
func (f *diskFlags) loaders(ctx context.Context, s target.System, d *target.Disk) (bootloader.Files, error) {
	return bootloader.Assets{Dir: f.assets, Tree: s.Tree}.LoadNamed(ctx, d.LoaderNames()...)
}

// write writes the disk in the chosen format.
func (f *diskFlags) write(cmd *cobra.Command, d *target.Disk, format vdisk.Format, loaders bootloader.Files) error {
	show := stdio.NewProgress(cmd.ErrOrStderr(), "writing "+f.out.Out, d.Size())
	defer show.End()
	return f.out.Write(cmd, func(ctx context.Context, w io.Writer) error {
		to, err := vdisk.New(format.Name, w, d.Size(), vdisk.Options{ID: d.ID, Time: d.Time, Compression: vdisk.Compression(f.compress)})
		if err != nil {
			return err
		}
		if err := d.Write(ctx, show.Watch(to), loaders); err != nil {
			return err
		}
		return to.Close()
	})
}
