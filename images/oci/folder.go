package oci

import (
	"context"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

// folder is a bundle in a folder. Links cannot lead out of it, except for
// blobs: Bazel writes layouts whose blobs are links to its other outputs. A
// blob counts only if it has the digest by which it was asked for, so that a
// link makes nothing readable that the image does not know already.
type folder struct {
	root *os.Root
	path string
}

// Close closes the folder.
func (f folder) Close() error { return f.root.Close() }

// Open opens a file in the folder.
func (f folder) Open(_ context.Context, name string) (io.ReadCloser, int64, error) {
	stat, open := f.root.Stat, f.root.Open
	if strings.HasPrefix(name, blobsName) {
		stat, open = f.statBlob, f.openBlob
	}
	info, err := stat(name)
	if err != nil {
		return nil, 0, err
	}
	if !info.Mode().IsRegular() { // opening a FIFO would block
		return nil, 0, fmt.Errorf("%s is not a regular file", name)
	}
	file, err := open(name)
	if err != nil {
		return nil, 0, err
	}
	return file, info.Size(), nil
}

func (f folder) statBlob(name string) (fs.FileInfo, error) {
	return os.Stat(filepath.Join(f.path, filepath.FromSlash(name)))
}

func (f folder) openBlob(name string) (*os.File, error) {
	return os.Open(filepath.Join(f.path, filepath.FromSlash(name)))
}
