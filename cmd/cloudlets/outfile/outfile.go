// Package outfile has the file that a verb writes: its flags, whether it may be written, and
// that it appears only when it is complete.
package outfile

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images/atomicfile"
)

// Flags say where a verb writes its output.
type Flags struct {
	Out   string // a file's name, or "-" for standard output
	Force bool   // an existing file is replaced
}

// Add adds the flags to a verb.
func (f *Flags) Add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.Out, "out", "o", "-", "the `file` to write, or - for standard output")
	cmd.Flags().BoolVarP(&f.Force, "force", "f", false, "replace an existing file")
	_ = cmd.MarkFlagFilename("out")
}

// Write calls make with standard output, or with a file that gets its name only
// when it is complete.
func (f *Flags) Write(cmd *cobra.Command, make func(context.Context, io.Writer) error) error {
	if f.Out != "-" {
		return f.File(cmd.Context(), make)
	}
	out := cmd.OutOrStdout()
	if stdio.IsTerminal(out) {
		return exit.With(errors.New("these bytes are not for a terminal: give --out FILE, or send them on with | or >"), exit.Usage)
	}
	stdio.Widen(out)
	// Standard output may be a file with content, opened in append mode. Hide
	// the *os.File, so that make does not seek in it or truncate it.
	return make(cmd.Context(), struct{ io.Writer }{out})
}

// File makes the output file. It appears only when it is complete and durable.
func (f *Flags) File(ctx context.Context, make func(context.Context, io.Writer) error) error {
	if err := f.MayWrite(); err != nil {
		return err
	}
	// Unlike a file of [os.CreateTemp], this one leaves the mode to the user's umask.
	err := atomicfile.Write(f.Out, 0o666, func(file *os.File) error { return make(ctx, file) })
	switch {
	case err == nil:
		return nil
	case !isDirectory(filepath.Dir(f.Out)):
		return fmt.Errorf("write %s: there is no folder %s: make it first", f.Out, filepath.Dir(f.Out))
	}
	return fmt.Errorf("write %s: %w", f.Out, err)
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// MayWrite refuses to replace a file without --force, and to replace anything
// that is not a regular file.
func (f *Flags) MayWrite() error {
	info, err := os.Lstat(f.Out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return CheckDeviceName(f.Out)
	case err != nil:
		return fmt.Errorf("write %s: %w", f.Out, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("write %s: it is there already, and is not a regular file: choose another name", f.Out)
	case !f.Force:
		return fmt.Errorf("write %s: it is there already; --force replaces it", f.Out)
	}
	return nil
}

// MayMake refuses to make a folder under a name that exists.
func MayMake(folder string) error {
	_, err := os.Lstat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return CheckDeviceName(folder)
	case err != nil:
		return fmt.Errorf("write %s: %w", folder, err)
	}
	return fmt.Errorf("write %s: it is there already, and a folder replaces nothing: remove it, or choose another name", folder)
}

// CheckDeviceName refuses to make a file where the kernel has its devices: the
// person means a device that is not there, and a file would fill the memory.
func CheckDeviceName(name string) error {
	dir, err := filepath.Abs(filepath.Dir(name))
	if err != nil {
		return nil //nolint:nilerr // writing the file says why
	}
	if real, err := filepath.EvalSymlinks(dir); err == nil {
		dir = real
	}
	const memory = "/dev/shm" // the one place there for files
	if dir != "/dev" && !strings.HasPrefix(dir, "/dev/") || dir == memory || strings.HasPrefix(dir, memory+"/") {
		return nil
	}
	return fmt.Errorf("write %s: there is no device %s: \"cloudlets disk --list\" lists those that a disk can be written to", name, filepath.Join(dir, filepath.Base(name)))
}
