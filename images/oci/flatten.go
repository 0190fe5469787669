package oci

import (
	"errors"
	"fmt"
	"path"
	"strings"
	"time"

	"cloudlets/images"
	"cloudlets/images/bounded"
)

// Marks in a layer (OCI Image Format, "Image Layer Filesystem Changeset").
const (
	// whiteoutPrefix begins the name of a file that says that the rest of
	// its name is gone.
	whiteoutPrefix = ".wh."
	// opaqueName says that whatever lower layers have in the directory is gone.
	opaqueName = ".wh..wh..opq"
	// aufsPrefix begins what AUFS keeps for itself.
	aufsPrefix = ".wh..wh."
)

const (
	// maxMemory bounds what the list of an image's files takes, in bytes.
	maxMemory = 1 << 30
	// fileCost is about what a file costs there beside its texts.
	fileCost = 400
	// maxHeaders is more than the headers of so many files take in a
	// tarball, in bytes.
	maxHeaders = 8 << 30
	// maxSymlinks is how many symbolic links one path may lead through.
	maxSymlinks = 40
	// maxPath is the longest path that can be opened, in bytes.
	maxPath = 4095
)

// file is what a name stands for. Hard links are several names for one file,
// which stays when the layers above replace or remove one of them.
type file struct {
	images.Entry
	layer, at int // where its content is
}

// node is a name in the image's tree.
type node struct {
	file     *file
	layer    int // the latest that names it
	children map[string]*node
}

func (n *node) isDir() bool { return n.file.Type == images.Directory }

// flattener puts layers on top of each other, the lowest first.
type flattener struct {
	root            *node
	memory, maxSize int64
	size            int64 // of all files
}

func newFlattener(maxSize int64) *flattener {
	return &flattener{root: impliedDirectory(0), maxSize: maxSize}
}

// impliedDirectory is one that no layer names.
func impliedDirectory(layer int) *node {
	e := images.Entry{Type: images.Directory, Mode: 0o755, ModTime: time.Unix(0, 0).UTC()}
	return &node{file: &file{Entry: e}, layer: layer, children: map[string]*node{}}
}

// add puts one entry of a layer on top.
func (f *flattener) add(e images.Entry, layer, at int) error {
	if err := f.charge(e); err != nil {
		return err
	}
	dir, base := path.Split(e.Path)
	switch {
	case e.Path == "/":
		f.root.file, f.root.layer = &file{Entry: e, layer: layer, at: at}, layer
		return nil
	case base == opaqueName:
		return f.hideAll(dir, layer)
	case strings.Contains(e.Path, "/"+aufsPrefix):
		return nil
	case strings.HasPrefix(base, whiteoutPrefix):
		return f.hide(dir, base[len(whiteoutPrefix):], layer)
	}
	parent, length, err := f.find(dir, layer, true)
	if err != nil {
		return err
	}
	if length+1+len(base) > maxPath {
		return errLong
	}
	return f.put(parent, base, e, layer, at)
}

// charge counts what an entry takes.
func (f *flattener) charge(e images.Entry) error {
	f.memory += fileCost + int64(len(e.Path)+len(e.Link))
	for name, value := range e.Xattrs {
		f.memory += fileCost/2 + int64(len(name)+len(value))
	}
	if f.memory > maxMemory {
		return fmt.Errorf("is one too many: the list of the image's files takes more than %d bytes of memory", maxMemory)
	}
	if f.size += e.Size; f.size > f.maxSize {
		return bounded.TooLarge(f.maxSize)
	}
	return nil
}

// put gives a name in a directory to an entry. A directory that is there
// keeps what is in it; everything else goes.
func (f *flattener) put(parent *node, base string, e images.Entry, layer, at int) error {
	if e.Type == images.HardLink {
		target, err := f.target(e.Link)
		if err != nil {
			return err
		}
		parent.children[base] = &node{file: target, layer: layer}
		return nil
	}
	n := &node{file: &file{Entry: e, layer: layer, at: at}, layer: layer}
	if n.isDir() {
		n.children = map[string]*node{}
		if old := parent.children[base]; old != nil && old.isDir() {
			n.children = old.children
		}
	}
	parent.children[base] = n
	return nil
}

// target is the file that a hard link names, as the layers are so far.
func (f *flattener) target(link string) (*file, error) {
	dir, base := path.Split(link)
	parent, _, err := f.find(dir, 0, false)
	if err != nil && !errors.Is(err, errAbsent) {
		return nil, err
	}
	if err != nil || parent.children[base] == nil {
		return nil, fmt.Errorf("is a hard link to %s, which no layer so far has", link)
	}
	if n := parent.children[base]; !n.isDir() {
		return n.file, nil
	}
	return nil, fmt.Errorf("is a hard link to the directory %s", link)
}

// hide takes away what lower layers have under a name.
func (f *flattener) hide(dir, base string, layer int) error {
	if base == "" || base == "." || base == ".." {
		return fmt.Errorf("removes %q, which is no name", base)
	}
	parent, _, err := f.find(dir, layer, false)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err != nil {
		return err
	}
	if n := parent.children[base]; n != nil && !n.prune(layer) {
		delete(parent.children, base)
	}
	return nil
}

// hideAll takes away what lower layers have in a directory.
func (f *flattener) hideAll(dir string, layer int) error {
	n, _, err := f.find(dir, layer, false)
	if errors.Is(err, errAbsent) {
		return nil
	}
	if err == nil {
		n.pruneChildren(layer)
	}
	return err
}

// prune takes away what is of a layer lower than the given one, and tells
// whether anything is left. It does not matter whether the mark came before
// or after what the layer itself has there.
func (n *node) prune(layer int) bool {
	n.pruneChildren(layer)
	return n.layer == layer || len(n.children) > 0
}

func (n *node) pruneChildren(layer int) {
	for name, child := range n.children {
		if !child.prune(layer) {
			delete(n.children, name)
		}
	}
}

var (
	errAbsent = errors.New("no layer so far has it")
	errLong   = fmt.Errorf("has a path of more than %d bytes, which cannot be opened", maxPath)
)

// find is the directory at p, symbolic links followed within the image, and
// the length of its path. With create, what is missing is made.
func (f *flattener) find(p string, layer int, create bool) (n *node, length int, err error) {
	at := place{nodes: []*node{f.root}}
	todo, links := strings.Split(p, "/"), 0
	for len(todo) > 0 {
		part := todo[0]
		todo = todo[1:]
		if at.step(part) {
			continue
		}
		child := at.dir().children[part]
		switch {
		case child == nil && !create:
			return nil, 0, errAbsent
		case child == nil && at.length+1+len(part) > maxPath:
			return nil, 0, errLong
		case child == nil:
			if err := f.charge(images.Entry{Path: part}); err != nil {
				return nil, 0, err
			}
			child = impliedDirectory(layer)
			at.dir().children[part] = child
			at.enter(child, part)
		case child.isDir():
			at.enter(child, part)
		case child.file.Type != images.Symlink:
			return nil, 0, fmt.Errorf("is in %s, which is not a directory", part)
		case links == maxSymlinks:
			return nil, 0, fmt.Errorf("leads through more than %d symbolic links", maxSymlinks)
		default:
			links++
			todo = append(at.follow(child.file.Link), todo...)
		}
	}
	return at.dir(), at.length, nil
}

// place is a directory and those above it.
type place struct {
	nodes   []*node
	lengths []int // of the names of all but the root
	length  int   // of the whole path
}

func (a *place) dir() *node { return a.nodes[len(a.nodes)-1] }

// step takes the parts of a path that need no name.
func (a *place) step(part string) bool {
	if part == ".." && len(a.lengths) > 0 {
		last := len(a.lengths) - 1
		a.length -= 1 + a.lengths[last]
		a.nodes, a.lengths = a.nodes[:last+1], a.lengths[:last]
	}
	return part == "" || part == "." || part == ".."
}

func (a *place) enter(n *node, name string) {
	a.nodes, a.lengths = append(a.nodes, n), append(a.lengths, len(name))
	a.length += 1 + len(name)
}

// follow gives the parts of a symbolic link's target, which begins at the
// image's root if it is absolute.
func (a *place) follow(link string) []string {
	if strings.HasPrefix(link, "/") {
		*a = place{nodes: a.nodes[:1]}
	}
	return strings.Split(link, "/")
}
