// Package stdio has what verbs need of their standard input and output, and of
// the files that take their place: progress on a terminal, reads that can be
// interrupted, compression by a file's name, and files that are on the disk
// when they are closed.
package stdio

import (
	"errors"
	"io"
	"os"

	"github.com/mattn/go-isatty"
)

// IsTerminal says whether a writer is a terminal.
func IsTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && isatty.IsTerminal(f.Fd())
}

// WriteNew makes a file and waits until it is on the disk.
func WriteNew(name string, write func(io.Writer) error) error {
	file, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o666)
	if err != nil {
		return err
	}
	return errors.Join(write(file), Finish(file))
}

// Finish closes a file and makes it durable.
func Finish(f *os.File) error { return errors.Join(f.Sync(), f.Close()) }
