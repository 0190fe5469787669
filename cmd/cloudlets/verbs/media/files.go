package media

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images"
	"cloudlets/images/atomicfile"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/tarball"
	"cloudlets/images/target"
)

// makeFiles makes the formats of fileFormats.
func (f *diskFlags) makeFiles(cmd *cobra.Command, s target.System, format vdisk.Format) error {
	write := tarball.Write
	switch format.Name {
	case "kernel":
		return f.makeKernel(cmd, s)
	case "iso":
		return f.makeISO(cmd, s)
	case "xen":
		raw, err := vdisk.Lookup("raw")
		if err != nil {
			return err
		}
		return f.makeXen(cmd, s, raw)
	case "cpio":
		write = func(ctx context.Context, w io.Writer, _ images.Source) error { return target.WriteRAMDisk(ctx, w, s) }
	}
	if err := f.writeFiles(cmd, func(ctx context.Context, w io.Writer) error { return write(ctx, w, s.Source) }); err != nil {
		return err
	}
	return f.tellFiles(cmd, s, format.Name)
}

// writeFiles writes one file. A dry run makes the same bytes and discards them,
// to see whether the file can be made.
func (f *diskFlags) writeFiles(cmd *cobra.Command, write func(context.Context, io.Writer) error) error {
	if f.dryRun {
		return write(cmd.Context(), io.Discard)
	}
	return f.out.Write(cmd, func(ctx context.Context, w io.Writer) error { return stdio.Compress(ctx, f.out.Out, w, write) })
}

// makeKernel makes a folder with kernel, RAM disk and command line, for direct
// boot.
func (f *diskFlags) makeKernel(cmd *cobra.Command, s target.System) error {
	boot, err := target.DirectBoot(cmd.Context(), s, f.entry, f.cmdline)
	if err != nil {
		return err
	}
	f.warn(cmd, boot.Notices)
	if !f.dryRun {
		err = f.folder(func(dir string) error {
			for _, name := range boot.Files() {
				if err := stdio.WriteNew(filepath.Join(dir, name), func(w io.Writer) error { return boot.Write(w, name) }); err != nil {
					return err
				}
			}
			return nil
		})
	}
	if err != nil {
		return err
	}
	return f.tellFiles(cmd, s, "kernel")
}

// folder fills a temporary folder with files that are durable, and renames it when it is
// complete.
func (f *diskFlags) folder(fill func(dir string) error) (err error) {
	temp, err := os.MkdirTemp(filepath.Dir(f.out.Out), "."+filepath.Base(f.out.Out)+".part-*")
	if err != nil {
		return fmt.Errorf("write %s: %w", f.out.Out, err)
	}
	defer func() {
		if err != nil {
			err = errors.Join(fmt.Errorf("write %s: %w", f.out.Out, err), os.RemoveAll(temp))
		}
	}()
	if err := fill(temp); err != nil {
		return err
	}
	if err := os.Chmod(temp, 0o755); err != nil {
		return err
	}
	return atomicfile.CommitFolder(temp, f.out.Out)
}
