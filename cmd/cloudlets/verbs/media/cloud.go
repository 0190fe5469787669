package media

import (
	"context"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/outfile"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images/boot"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/guest"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/target"
)

// ec2Console is the first serial port, whose output EC2 shows as a machine's
// console.
const ec2Console = "ttyS0,115200n8"

// bucketPlaceholder stands for the user's bucket where --bucket is not given.
const bucketPlaceholder = "YOUR-BUCKET"

// checkCloud refuses a disk for EC2 or Xen whose kernel lacks the drivers that
// it needs to start there.
func checkCloud(s target.System, d *target.Disk, format string) error {
	where, drivers := "", []string(nil)
	switch format {
	case "ec2":
		where, drivers = "Amazon EC2", []string{"ena", "nvme"}
	case "xen":
		where, drivers = "Xen", []string{"xen-blkfront", "xen-netfront"}
	}
	if where == "" {
		return nil
	}
	return boot.CheckDrivers(s.Tree, d.Kernels[0], where, drivers...)
}

// importFile is the name of the file that describes the import to EC2.
func (f *diskFlags) importFile() string {
	return strings.TrimSuffix(f.out.Out, filepath.Ext(f.out.Out)) + ".import.json"
}

// writeImport writes the description of an import beside the disk, and says
// what to do with the two.
func (f *diskFlags) writeImport(cmd *cobra.Command, s target.System) error {
	bucket := f.bucket
	if bucket == "" {
		bucket = bucketPlaceholder
	}
	key := filepath.Base(f.out.Out)
	text, err := guest.EC2Import{Description: s.Title(), Bucket: bucket, Key: key}.ImageJSON()
	if err != nil {
		return err
	}
	beside := outfile.Flags{Out: f.importFile(), Force: f.out.Force}
	if err := beside.File(cmd.Context(), func(_ context.Context, w io.Writer) error {
		_, err := w.Write(text)
		return err
	}); err != nil {
		return err
	}
	_, err = fmt.Fprintf(cmd.ErrOrStderr(), "to import it into EC2:\n  aws s3 cp %s s3://%s/%s\n  aws ec2 import-image --disk-containers file://%s\n",
		f.out.Out, bucket, key, beside.Out)
	return err
}

// xenMemory is the memory of a domain, in MiB, unless its configuration is
// changed.
const xenMemory = 1024

// makeXen makes a folder with a raw disk, and the configurations with which Xen
// runs it.
func (f *diskFlags) makeXen(cmd *cobra.Command, s target.System, raw vdisk.Format) error {
	o, err := f.options(raw)
	if err != nil {
		return err
	}
	o.Console = "hvc0"
	d, err := target.NewDisk(cmd.Context(), s, o)
	if err != nil {
		return err
	}
	if err := checkCloud(s, d, "xen"); err != nil {
		return err
	}
	loaders, err := f.loaders(cmd.Context(), s, d)
	if err != nil {
		return err
	}
	if f.dryRun {
		return f.tell(cmd, s, d, "xen")
	}
	if err := f.folder(func(dir string) error { return f.fillXen(cmd, dir, s, d, loaders) }); err != nil {
		return err
	}
	return f.tell(cmd, s, d, "xen")
}

func (f *diskFlags) fillXen(cmd *cobra.Command, dir string, s target.System, d *target.Disk, loaders bootloader.Files) error {
	show := stdio.NewProgress(cmd.ErrOrStderr(), "writing "+f.out.Out, d.Size())
	defer show.End()
	file, err := os.OpenFile(filepath.Join(dir, "disk.raw"), os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	defer file.Close()
	to, err := vdisk.New("raw", file, d.Size(), vdisk.Options{ID: d.ID, Time: d.Time})
	if err != nil {
		return err
	}
	if err := d.Write(cmd.Context(), show.Watch(to), loaders); err != nil {
		return err
	}
	if err := to.Close(); err != nil {
		return err
	}
	if err := stdio.Finish(file); err != nil {
		return err
	}
	return fillDomains(dir, s, d.Boot())
}

// fillDomains writes the kernel, the RAM disk and the configurations of the
// domain.
func fillDomains(dir string, s target.System, boot target.Boot) error {
	domain := guest.XenDomain{Name: s.Title(), Disk: "disk.raw", Memory: xenMemory, Cmdline: boot.Cmdline}
	for _, name := range boot.Files() {
		switch name {
		case "cmdline":
			continue // it is in the configurations
		case "initrd":
			domain.RAMDisk = name
		case "vmlinuz":
			domain.Kernel = name
		}
		if err := stdio.WriteNew(filepath.Join(dir, name), func(w io.Writer) error { return boot.Write(w, name) }); err != nil {
			return err
		}
	}
	for _, kind := range []guest.XenType{guest.XenPVH, guest.XenPV, guest.XenHVM} {
		domain.Type = kind
		text, err := domain.Config()
		if err != nil {
			return err
		}
		if err := stdio.WriteNew(filepath.Join(dir, string(kind)+".cfg"), func(w io.Writer) error { _, err := w.Write(text); return err }); err != nil {
			return err
		}
	}
	return nil
}
