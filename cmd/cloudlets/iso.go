package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/vdisk"
	"cloudlets/images/target"
)

// makeISO makes a live system.
func (f *diskFlags) makeISO(cmd *cobra.Command, s target.System) error {
	o := target.LiveOptions{EntryPoint: f.entry, Cmdline: f.cmdline, Assets: disk.Assets{Dir: f.assets}, Program: f.program}
	var err error
	if o.ID, o.Time, err = f.identity(); err != nil {
		return err
	}
	if o.SecureBoot, err = f.secure.load(); err != nil {
		return codedError{err, exitUsage}
	}
	i, err := target.NewISO(cmd.Context(), s, o)
	if err != nil {
		return err
	}
	if !f.dryRun {
		if err := f.writeISO(cmd, i); err != nil {
			return err
		}
	}
	return f.tellOf(cmd, s, "iso", i.Size(), i.Identity, i.Kernels)
}

func (f *diskFlags) writeISO(cmd *cobra.Command, i *target.ISO) error {
	show := stdio.NewProgress(cmd.ErrOrStderr(), "writing "+f.out.out, i.Size())
	defer show.End()
	return f.out.write(cmd, func(ctx context.Context, w io.Writer) error {
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

// program opens the cloudlets binary that machines of an architecture will run:
// the one in the assets folder, or else this program itself.
func (f *diskFlags) program(arch string) (io.ReadCloser, int64, error) {
	if f.assets != "" {
		name := filepath.Join(f.assets, "cloudlets-"+arch)
		if _, err := os.Stat(name); !errors.Is(err, fs.ErrNotExist) {
			return openProgram(name, arch)
		}
	}
	if runtime.GOOS != "linux" || arch != runtime.GOARCH {
		return nil, 0, fmt.Errorf("the system needs cloudlets for linux/%s, and this one is for %s/%s: build it with GOOS=linux GOARCH=%[1]s, name it cloudlets-%[1]s, and give its folder as --assets",
			arch, runtime.GOOS, runtime.GOARCH)
	}
	self, err := os.Executable()
	if err != nil {
		return nil, 0, fmt.Errorf("find this program's own file: %w", err)
	}
	return openProgram(self, arch)
}

func openProgram(name, arch string) (io.ReadCloser, int64, error) {
	file, err := os.Open(name)
	if err != nil {
		return nil, 0, err
	}
	head := make([]byte, 64)
	info, err := file.Stat()
	if err == nil {
		_, err = file.ReadAt(head, 0)
	}
	if err == nil && boot.ProgramArch(head) != arch {
		err = fmt.Errorf("%s is not a Linux program for %s: build cloudlets with GOOS=linux GOARCH=%s", name, arch, arch)
	}
	if err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, info.Size(), nil
}
