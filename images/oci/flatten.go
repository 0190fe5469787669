package oci

import (
	"errors"
	"fmt"
	"path"
	"strings"

	"cloudlets/images"
	"cloudlets/images/bounded"
	"cloudlets/images/filelist"
)

// Special names in a layer (OCI Image Format, "Image Layer Filesystem
// Changeset").
const (
	// whiteoutPrefix is the prefix of a file that removes the file with the
	// rest of its name.
	whiteoutPrefix = ".wh."
	// opaqueName is a file that removes everything that lower layers have in
	// its directory.
	opaqueName = ".wh..wh..opq"
	// aufsPrefix is the prefix of AUFS's internal files.
	aufsPrefix = ".wh..wh."
)

const (
	// maxMemory is the maximum memory for the list of an image's files, in
	// bytes.
	maxMemory = 1 << 30
	// maxHeaders is room for the headers of so many files in a tarball, in bytes,
	// where few names and targets are longer than 100 bytes.
	maxHeaders = 32 << 30
	// maxSymlinks is the maximum number of symbolic links in one path.
	maxSymlinks = 40
	// maxPath is the maximum length of a path that can be opened, in bytes.
	maxPath = 4095
)

// flattener puts layers on top of each other, from the lowest to the highest.
// Hard links are several names of one file. The file stays when a higher layer
// replaces or removes one of its names.
type flattener struct {
	*filelist.List  // a file's At is its position
	memory, maxSize int64
	size            int64 // of all files
}

func newFlattener(maxSize int64) *flattener {
	return &flattener{List: filelist.New(), maxSize: maxSize}
}

// layerShift separates the two parts of a position: the last layer with the
// name, and the index of its entry in that layer. A layer of [Options.MaxSize]
// has fewer entries.
const layerShift = 40

func position(layer, at int) int64 { return int64(layer)<<layerShift | int64(at) }

// layerOf returns the last layer that has a file's name.
func layerOf(f *filelist.File) int { return int(f.At >> layerShift) }

// add adds one entry of a layer on top.
func (f *flattener) add(e images.Entry, layer, at int) error {
	dir, base := path.Split(e.Path)
	if err := f.charge(filelist.Cost+int64(len(base)+len(e.Link)), e.Size); err != nil {
		return err
	}
	switch {
	case e.Path == "/":
		return f.renew(0, e, position(layer, at))
	case base == opaqueName:
		return f.hideAll(dir, layer)
	case strings.Contains(e.Path, "/"+aufsPrefix):
		return nil
	case strings.HasPrefix(base, whiteoutPrefix):
		return f.hide(dir, base[len(whiteoutPrefix):], layer)
	}
	parent, err := f.find(dir, layer, true)
	if err != nil {
		return err
	}
	if parent.length+1+len(base) > maxPath {
		return errLong
	}
	return f.put(parent.dir, base, e, position(layer, at))
}

// charge counts the memory and the size of an entry.
func (f *flattener) charge(memory, size int64) error {
	if f.memory += memory; f.memory > maxMemory {
		return fmt.Errorf("exceeds a limit: the list of the image's files takes more than %d bytes of memory", maxMemory)
	}
	if f.size += size; f.size > f.maxSize {
		return bounded.TooLarge(f.maxSize)
	}
	return nil
}

// put gives an entry a name in a directory. If a directory replaces a
// directory, the contents stay; otherwise the old file is dropped.
func (f *flattener) put(parent uint32, base string, e images.Entry, at int64) error {
	if e.Type == images.Directory {
		if old, ok := f.Find(parent, base); ok && f.isDir(old) {
			return f.renew(old, e, at)
		}
	}
	var target uint32
	if e.Type == images.HardLink {
		var err error
		if target, err = f.target(e.Link); err != nil {
			return err
		}
	}
	_, err := f.append(parent, base, e, target, at)
	return err
}

// append adds a file to a directory. A hard link is a name of the file target.
func (f *flattener) append(parent uint32, base string, e images.Entry, target uint32, at int64) (uint32, error) {
	file, cost := f.Describe(e, target, at)
	if err := f.charge(cost, 0); err != nil {
		return 0, err
	}
	return f.Add(file, parent, base), nil
}

// renew gives a directory the attributes of an entry of the same name.
func (f *flattener) renew(dir uint32, e images.Entry, at int64) error {
	as, cost := f.Describe(e, 0, at)
	f.Renew(dir, as)
	f.File(dir).At = at
	return f.charge(cost, 0)
}

func (f *flattener) isDir(i uint32) bool { return f.Kind(f.File(i)) == images.Directory }

// target returns the file that a hard link names, according to the layers so
// far.
func (f *flattener) target(link string) (uint32, error) {
	dir, base := path.Split(link)
	parent, err := f.find(dir, 0, false)
	if err != nil && !errors.Is(err, errAbsent) {
		return 0, err
	}
	i, ok := f.Find(parent.dir, base)
	if err != nil || !ok {
		return 0, fmt.Errorf("is a hard link to %s, which does not exist in this or a lower layer", link)
	}
	if f.isDir(i) {
		return 0, fmt.Errorf("is a hard link to the directory %s", link)
	}
	return f.Original(i), nil
}

// hide removes what lower layers have under a name.
func (f *flattener) hide(dir, base string, layer int) error {
	if base == "" || base == "." || base == ".." {
		return fmt.Errorf("removes %q, which is not a valid name", base)
	}
	parent, err := f.find(dir, layer, false)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	if i, ok := f.Find(parent.dir, base); ok && !f.prune(i, layer) {
		f.File(i).Gone = true
	}
	return nil
}

// hideAll removes what lower layers have in a directory.
func (f *flattener) hideAll(dir string, layer int) error {
	at, err := f.find(dir, layer, false)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err == nil {
		f.pruneChildren(at.dir, layer)
	}
	return err
}

// prune removes everything from layers lower than the given one, and reports
// whether anything is left. So it does not matter whether the layer's own files
// come before or after the mark.
func (f *flattener) prune(i uint32, layer int) bool {
	file, inside := f.File(i), false
	if f.isDir(i) {
		f.pruneChildren(i, layer)
		inside = file.Value != 0
	}
	return layerOf(file) == layer || inside
}

func (f *flattener) pruneChildren(dir uint32, layer int) {
	f.Remove(dir, func(i uint32) bool { return !f.prune(i, layer) })
}
