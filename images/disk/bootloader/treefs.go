package bootloader

import (
	"bytes"
	"io"
	"io/fs"
	"path"
	"time"

	"cloudlets/images"
)

// maxLoader is the size in bytes of the largest file that is read from an image.
// Boot loaders' files are smaller. The limit keeps an untrusted image from
// filling this program's memory.
const maxLoader = 16 * mib

// treeFS is an image as an [fs.FS] in which only regular files can be opened.
// Symbolic links are followed within the image.
type treeFS struct{ tree images.Tree }

var (
	_ fs.ReadFileFS = treeFS{}
	_ fs.StatFS     = treeFS{}
)

// Stat describes the file to which a name leads, after symbolic links.
func (t treeFS) Stat(name string) (fs.FileInfo, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "stat", Path: name, Err: fs.ErrInvalid}
	}
	real, err := images.Resolve(t.tree, "/"+name)
	if err != nil {
		return nil, err
	}
	e, err := t.tree.Entry(real)
	if err != nil {
		return nil, err
	}
	return treeInfo{e, path.Base(name)}, nil
}

// ReadFile reads a file of at most [maxLoader] bytes.
func (t treeFS) ReadFile(name string) ([]byte, error) {
	if !fs.ValidPath(name) {
		return nil, &fs.PathError{Op: "read", Path: name, Err: fs.ErrInvalid}
	}
	return images.ReadFile(t.tree, "/"+name, maxLoader)
}

// Open reads the whole file into memory.
func (t treeFS) Open(name string) (fs.File, error) {
	info, err := t.Stat(name)
	if err != nil {
		return nil, err
	}
	b, err := t.ReadFile(name)
	if err != nil {
		return nil, err
	}
	return &treeFile{bytes.NewReader(b), info}, nil
}

type treeFile struct {
	io.Reader
	info fs.FileInfo
}

func (f *treeFile) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f *treeFile) Close() error               { return nil }

// treeInfo presents an entry as an [fs.FileInfo].
type treeInfo struct {
	entry images.Entry
	name  string
}

func (i treeInfo) Name() string       { return i.name }
func (i treeInfo) Size() int64        { return i.entry.Size }
func (i treeInfo) ModTime() time.Time { return i.entry.ModTime }
func (i treeInfo) IsDir() bool        { return i.entry.Type == images.Directory }
func (i treeInfo) Sys() any           { return nil }

// Mode distinguishes only regular files, directories and other files, because the
// search for boot loaders needs no more.
func (i treeInfo) Mode() fs.FileMode {
	mode := fs.FileMode(i.entry.Mode & 0o777)
	switch i.entry.Type {
	case images.Regular, images.HardLink:
		return mode
	case images.Directory:
		return mode | fs.ModeDir
	default:
		return mode | fs.ModeIrregular
	}
}
