package media

import (
	"context"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/agents"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/ramdisk"
	"cloudlets/images/target"
)

// makeISO makes a live system.
func (f *diskFlags) makeISO(cmd *cobra.Command, s target.System) error {
	o := target.LiveOptions{EntryPoint: f.entry, Cmdline: f.cmdline, Assets: bootloader.Assets{Dir: f.assets}, Program: f.program, Compression: target.Compression(f.compress)}
	var err error
	if o.ID, o.Time, err = f.identity(); err != nil {
		return err
	}
	if o.SecureBoot, err = f.secure.load(); err != nil {
		return exit.With(err, exit.Usage)
	}
	i, err := f.planISO(cmd, s, o)
	if err != nil {
		return err
	}
	defer i.Close()
	f.warn(cmd, i.Notices)
	if !f.dryRun {
		if err := f.writeISO(cmd, i); err != nil {
			return err
		}
	}
	return f.tellISO(cmd, s, i)
}

// planISO plans a live image, and shows how many bytes of files are compressed.
func (f *diskFlags) planISO(cmd *cobra.Command, s target.System, o target.LiveOptions) (*target.ISO, error) {
	var show *stdio.Counter
	o.Progress = func(bytes int64) {
		if show == nil {
			show = stdio.NewCounter(cmd.ErrOrStderr(), "compressing the files of "+f.out.Out)
		}
		show.Set(0, bytes)
	}
	i, err := target.NewISO(cmd.Context(), s, o)
	if show != nil {
		show.End()
	}
	return i, err
}

func (f *diskFlags) writeISO(cmd *cobra.Command, i *target.ISO) error {
	show := stdio.NewProgress(cmd.ErrOrStderr(), "writing "+f.out.Out, i.Size())
	defer show.End()
	return f.out.Write(cmd, func(ctx context.Context, w io.Writer) error {
		to, err := vdisk.New("raw", w, i.Size(), vdisk.Options{ID: i.ID, Time: i.Time})
		if err != nil {
			return err
		}
		if err := i.Write(ctx, show.Watch(to)); err != nil {
			return err
		}
		return to.Close()
	})
}

// program opens the program that machines of an architecture will run: the one in the
// assets folder, or one that this program carries, or this program itself or one
// beside it.
func (f *diskFlags) program(arch string) (io.ReadCloser, int64, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, 0, fmt.Errorf("find this program's own file: %w", err)
	}
	found, err := ramdisk.Programs{Dir: f.assets, Self: self, Embedded: ramdisk.Carried(agents.Files())}.Find(arch)
	if err != nil {
		return nil, 0, err
	}
	r, err := found.Open()
	return r, found.Size, err
}
