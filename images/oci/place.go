package oci

import (
	"errors"
	"fmt"
	"strings"

	"cloudlets/images"
	"cloudlets/images/filelist"
)

var (
	errAbsent = errors.New("it does not exist in this or a lower layer")
	errLong   = fmt.Errorf("has a path of more than %d bytes, which cannot be opened", maxPath)
)

// place is a directory and the length of its path.
type place struct {
	files  *filelist.List
	dir    uint32
	length int
}

// find returns the directory at p. It follows symbolic links within the image.
// If create is set, it makes missing directories.
func (f *flattener) find(p string, layer int, create bool) (place, error) {
	at := place{files: f.List}
	todo, links := strings.Split(p, "/"), 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		if at.step(part) {
			continue
		}
		child, ok := f.Find(at.dir, part)
		if !ok {
			if !create {
				return place{}, errAbsent
			}
			if err := f.imply(&at, part, layer); err != nil {
				return place{}, err
			}
			continue
		}
		file := f.File(f.Original(child))
		switch kind := f.Kind(file); {
		case kind == images.Directory:
			at.enter(child, part)
		case kind != images.Symlink:
			return place{}, fmt.Errorf("is in %s, which is not a directory", part)
		case links == maxSymlinks:
			return place{}, fmt.Errorf("leads through more than %d symbolic links", maxSymlinks)
		default:
			links++
			todo = append(at.follow(f.Target(file)), todo...)
		}
	}
	return at, nil
}

// imply makes a directory that no layer contains but that a path needs, and
// enters it.
func (f *flattener) imply(at *place, name string, layer int) error {
	if at.length+1+len(name) > maxPath {
		return errLong
	}
	if err := f.charge(filelist.Cost+int64(len(name)), 0); err != nil {
		return err
	}
	dir, err := f.append(at.dir, name, filelist.ImpliedDirectory(name), 0, position(layer, 0))
	at.enter(dir, name)
	return err
}

// step handles the parts of a path that need no lookup, and reports whether
// part is one of them.
func (a *place) step(part string) bool {
	if part == ".." && a.dir != 0 {
		a.length -= 1 + len(a.files.Name(a.dir))
		a.dir = a.files.File(a.dir).Dir
	}
	return part == "" || part == "." || part == ".."
}

func (a *place) enter(dir uint32, name string) {
	a.dir = dir
	a.length += 1 + len(name)
}

// follow returns the parts of a symbolic link's target. If the target is
// absolute, it continues at the image's root.
func (a *place) follow(link string) []string {
	if strings.HasPrefix(link, "/") {
		a.dir, a.length = 0, 0
	}
	return strings.Split(link, "/")
}
