package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images/atomicfile"

	"github.com/spf13/cobra"
)

// outFlags say where a verb writes its output.
type outFlags struct {
	out   string
	force bool
}

func (f *outFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVarP(&f.out, "out", "o", "-", "the `file` to write, or - for standard output")
	cmd.Flags().BoolVarP(&f.force, "force", "f", false, "replace an existing file")
	_ = cmd.MarkFlagFilename("out")
}

// write calls make with standard output, or with a file that gets its name only
// when it is complete.
func (f *outFlags) write(cmd *cobra.Command, make func(context.Context, io.Writer) error) error {
	if f.out != "-" {
		return f.file(cmd.Context(), make)
	}
	out := cmd.OutOrStdout()
	if stdio.IsTerminal(out) {
		return codedError{errors.New("these bytes are not for a terminal: give --out FILE, or send them on with | or >"), exitUsage}
	}
	stdio.Widen(out)
	// Standard output may be a file with content, opened in append mode. Hide
	// the *os.File, so that make does not seek in it or truncate it.
	return make(cmd.Context(), struct{ io.Writer }{out})
}

// file makes the output file. It appears only when it is complete and durable.
func (f *outFlags) file(ctx context.Context, make func(context.Context, io.Writer) error) error {
	if err := f.mayWrite(); err != nil {
		return err
	}
	// Unlike a file of [os.CreateTemp], this one leaves the mode to the user's umask.
	err := atomicfile.Write(f.out, 0o666, func(file *os.File) error { return make(ctx, file) })
	switch {
	case err == nil:
		return nil
	case !isDirectory(filepath.Dir(f.out)):
		return fmt.Errorf("write %s: there is no folder %s: make it first", f.out, filepath.Dir(f.out))
	}
	return fmt.Errorf("write %s: %w", f.out, err)
}

func isDirectory(name string) bool {
	info, err := os.Stat(name)
	return err == nil && info.IsDir()
}

// mayWrite refuses to replace a file without --force, and to replace anything
// that is not a regular file.
func (f *outFlags) mayWrite() error {
	info, err := os.Lstat(f.out)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkDeviceName(f.out)
	case err != nil:
		return fmt.Errorf("write %s: %w", f.out, err)
	case !info.Mode().IsRegular():
		return fmt.Errorf("write %s: it is there already, and is not a regular file: choose another name", f.out)
	case !f.force:
		return fmt.Errorf("write %s: it is there already; --force replaces it", f.out)
	}
	return nil
}

// mayMake refuses to make a folder under a name that exists.
func mayMake(folder string) error {
	_, err := os.Lstat(folder)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return checkDeviceName(folder)
	case err != nil:
		return fmt.Errorf("write %s: %w", folder, err)
	}
	return fmt.Errorf("write %s: it is there already, and a folder replaces nothing: remove it, or choose another name", folder)
}

// checkDeviceName refuses to make a file where the kernel has its devices: the
// person means a device that is not there, and a file would fill the memory.
func checkDeviceName(name string) error {
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
