package main

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cloudlets/images/atomicfile"

	"github.com/klauspost/compress/zstd"
	"github.com/mattn/go-isatty"
	"github.com/spf13/cobra"
	"github.com/ulikunitz/xz"
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
	if isTerminal(out) {
		return codedError{errors.New("these bytes are not for a terminal: give --out FILE, or send them on with | or >"), exitUsage}
	}
	widen(out)
	// Standard output may be a file with content, opened in append mode. Hide
	// the *os.File, so that make does not seek in it or truncate it.
	return make(cmd.Context(), struct{ io.Writer }{out})
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
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
		return nil
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
		return nil
	case err != nil:
		return fmt.Errorf("write %s: %w", folder, err)
	}
	return fmt.Errorf("write %s: it is there already, and a folder replaces nothing: remove it, or choose another name", folder)
}

// finish makes a file durable.
func finish(f *os.File) error { return errors.Join(f.Sync(), f.Close()) }

// compressed calls make with a writer that compresses as the ending of a file's
// name says.
func compressed(ctx context.Context, name string, w io.Writer, make func(context.Context, io.Writer) error) error {
	press, err := compressor(name, w)
	if err != nil {
		return err
	}
	if press == nil {
		return make(ctx, w)
	}
	return errors.Join(make(ctx, press), press.Close())
}

// withoutCompression is a name without the ending of a compressed file:
// "x.tar" for "x.tar.zst" and for "x.tzst".
func withoutCompression(name string) string {
	base, ext := strings.TrimSuffix(name, filepath.Ext(name)), filepath.Ext(name)
	switch ext {
	case ".gz", ".zst", ".xz", ".bz2":
		return base
	case ".tgz", ".tzst", ".txz", ".tbz2":
		return base + ".tar"
	}
	return name
}

// compressor returns a writer that compresses as a name's ending says, or nil if
// the name has no such ending.
func compressor(name string, w io.Writer) (io.WriteCloser, error) {
	switch strings.ToLower(filepath.Ext(name)) {
	case ".gz", ".tgz":
		return gzip.NewWriter(w), nil
	case ".zst", ".tzst":
		return zstd.NewWriter(w)
	case ".xz", ".txz":
		return xz.NewWriter(w)
	case ".bz2", ".tbz2":
		return nil, errors.New("bzip2 is read but not written; let the name end in .zst, .gz or .xz")
	}
	return nil, nil
}
