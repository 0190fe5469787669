package dirtree

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"cloudlets/images"
)

// nameable says whether the host can have a file of that path: for Windows a
// backslash is a slash, and a colon begins something else.
func nameable(p string) bool { return !strings.ContainsAny(p, `\:`) }

// describe adds owner and mode, of which Windows knows neither: everything is
// root's and for all to read, and what begins as a program is one, as Cygwin
// and git have it. Hard links are files of their own.
func describe(e *images.Entry, root *os.Root, info fs.FileInfo) (inode, error) {
	e.Link = filepath.ToSlash(e.Link)
	e.Mode = 0o644
	if e.Type == images.Directory {
		e.Mode = 0o755
	}
	if e.Type != images.Regular {
		return inode{}, nil
	}
	program, err := isProgram(root, e.Path, info)
	if program {
		e.Mode = 0o755
	}
	return inode{}, err
}

// isProgram says whether a file begins as Linux's programs and scripts do.
func isProgram(root *os.Root, p string, info fs.FileInfo) (bool, error) {
	f, err := openFile(root, p, info)
	if err != nil {
		return false, err
	}
	defer f.Close()
	head := make([]byte, 4)
	n, err := io.ReadFull(f, head)
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		err = nil
	}
	return string(head[:n]) == "\x7fELF" || strings.HasPrefix(string(head[:n]), "#!"), err
}
