package media

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/target"
)

// The formats of the verb disk: which there are, how one is chosen, and which
// flags it does not take.

// fileFormats are the formats besides those of package vdisk.
func fileFormats() []vdisk.Format {
	return []vdisk.Format{
		{Name: "tar", Extension: ".tar", Description: "the configured files, as a tarball", Streams: true},
		{Name: "cpio", Extension: ".cpio", Description: "the configured files, as a RAM disk that the image's kernel boots", Streams: true},
		{Name: "kernel", Description: "a folder with vmlinuz, initrd and cmdline, for direct boot"},
		{Name: "iso", Extension: ".iso", Description: "a live system for a CD or a USB stick, which forgets all changes when it stops", Streams: true},
		{Name: "xen", Description: "a folder with a raw disk, and pvh.cfg, pv.cfg, hvm.cfg, kernel and RAM disk to run it on Xen"},
	}
}

// allFormats are the formats of package vdisk and fileFormats.
func allFormats() []vdisk.Format { return append(vdisk.Formats(), fileFormats()...) }

// isFiles says whether a format is one of fileFormats.
func isFiles(format vdisk.Format) bool {
	return slices.ContainsFunc(fileFormats(), func(f vdisk.Format) bool { return f.Name == format.Name })
}

// isFolder says whether a format is a folder with several files.
func isFolder(format vdisk.Format) bool { return format.Name == "kernel" || format.Name == "xen" }

// compresses says whether a format is compressed if its file's name ends in
// .gz, .zst or .xz.
func compresses(format vdisk.Format) bool { return format.Name == "tar" || format.Name == "cpio" }

// compressions are the values of --compress, by format.
var compressions = map[string][]string{
	"qcow2": {string(vdisk.Zlib), string(vdisk.Zstd)},
	"iso":   {string(target.LZ4), string(target.ZSTD), string(target.Uncompressed)},
}

// allCompressions are the values of --compress, each once.
func allCompressions() []string {
	all := slices.Sorted(slices.Values(slices.Concat(slices.Collect(maps.Values(compressions))...)))
	return slices.Compact(all)
}

func formatNames() (names []string) {
	for _, f := range allFormats() {
		names = append(names, f.Name)
	}
	return names
}

// formatTable is the part of the help that lists the formats.
func formatTable() string {
	var b strings.Builder
	b.WriteString("Formats:\n")
	table := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range allFormats() {
		fmt.Fprintf(table, "  %s\t%s\t%s\n", f.Name, f.Extension, f.Description)
	}
	table.Flush()
	return strings.TrimRight(b.String(), "\n")
}

// chosenFormat is the format that --format names, or else the one that the name
// of the output ends in.
func (f *diskFlags) chosenFormat() (vdisk.Format, error) {
	if f.format == "" {
		return formatOf(f.out.Out)
	}
	for _, format := range allFormats() {
		if f.format == format.Name {
			return format, nil
		}
	}
	return vdisk.Format{}, exit.With(fmt.Errorf("there is no format %q; there are %s", f.format, strings.Join(formatNames(), ", ")), exit.Usage)
}

// formatOf tells a format by a file's name. It refuses a disk whose name ends
// like that of a compressed file, since the disk would not be compressed.
func formatOf(file string) (vdisk.Format, error) {
	name := strings.ToLower(file)
	if format, ok := formatCalled(name); ok {
		return format, nil
	}
	plain := stdio.PlainName(name)
	format, ok := formatCalled(plain)
	switch {
	case ok && compresses(format):
		return format, nil
	case plain != name:
		return vdisk.Format{}, exit.With(fmt.Errorf("%s: a disk is not compressed while it is written: use --format qcow2 --compress zstd, or --out - with | zstd >", file), exit.Usage)
	}
	return vdisk.Lookup("raw")
}

func formatCalled(name string) (vdisk.Format, bool) {
	for _, format := range allFormats() {
		if format.Extension != "" && strings.HasSuffix(name, format.Extension) {
			return format, true
		}
	}
	return vdisk.Format{}, false
}

// uselessFlags are the flags that have no effect on a format.
var uselessFlags = map[string][]string{
	"tar":    {"size", "free", "entry", "cmdline", "uuid", "assets"},
	"cpio":   {"size", "free", "entry", "cmdline", "uuid", "assets"},
	"kernel": {"size", "free", "uuid", "assets"},
	"iso":    {"size", "free"},
}

// deviceOnly are the flags that have an effect only on devices.
var deviceOnly = []string{"yes", "serial", "no-verify"}

// checkFlags refuses flags that would be ignored.
func (f *diskFlags) checkFlags(cmd *cobra.Command, format vdisk.Format) error {
	for _, name := range uselessFlags[format.Name] {
		if cmd.Flags().Changed(name) {
			return exit.With(fmt.Errorf("--%s is of no use with the format %s: leave it out", name, format.Name), exit.Usage)
		}
	}
	for _, name := range deviceOnly {
		if cmd.Flags().Changed(name) && !isDevice(f.out.Out) {
			return exit.With(fmt.Errorf("--%s is for writing to a device, and %s is not a device: leave it out", name, f.out.Out), exit.Usage)
		}
	}
	if err := f.slots.check(cmd, format, f.outlive); err != nil {
		return err
	}
	switch {
	case f.compress != "" && compressions[format.Name] == nil:
		return exit.With(fmt.Errorf("--compress is for the formats iso and qcow2, and this is %s", format.Name), exit.Usage)
	case f.compress != "" && !slices.Contains(compressions[format.Name], f.compress):
		return exit.With(fmt.Errorf("--compress %s: the format %s has no such compression; use %s", f.compress, format.Name, strings.Join(compressions[format.Name], " or ")), exit.Usage)
	case f.outlive.given() && isFiles(format) && format.Name != "xen":
		return exit.With(fmt.Errorf("--grow, --persistent-partition and --keep-persistent are for disks: the format %s has no partition to grow or to keep", format.Name), exit.Usage)
	case f.outlive.keep && !isDevice(f.out.Out):
		return exit.With(errors.New("--keep-persistent is for a device that has a persistent partition: a file is always written anew"), exit.Usage)
	case f.bucket != "" && format.Name != "ec2":
		return exit.With(fmt.Errorf("--bucket is for the format ec2, and this is %s", format.Name), exit.Usage)
	case f.out.Force && isDevice(f.out.Out):
		return exit.With(fmt.Errorf("--force is for files, and %s is a device: type its name when you are asked, or give --yes and --serial", f.out.Out), exit.Usage)
	}
	return nil
}
