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
	// fileCost is roughly the memory for a file in that list, without its
	// texts.
	fileCost = 400
	// maxHeaders is an upper bound for the size of the headers of so many files
	// in a tarball, in bytes.
	maxHeaders = 8 << 30
	// maxSymlinks is the maximum number of symbolic links in one path.
	maxSymlinks = 40
	// maxPath is the maximum length of a path that can be opened, in bytes.
	maxPath = 4095
)

// file is the file to which a name refers. Hard links are several names of one
// file. The file stays when a higher layer replaces or removes one of its
// names.
type file struct {
	images.Entry
	layer, at int // the position of its content
}

// node is a name in the image's tree.
type node struct {
	file     *file
	layer    int // the last layer with this name
	children map[string]*node
}

func (n *node) isDir() bool { return n.file.Type == images.Directory }

// flattener puts layers on top of each other, from the lowest to the highest.
type flattener struct {
	root            *node
	memory, maxSize int64
	size            int64 // of all files
}

func newFlattener(maxSize int64) *flattener {
	return &flattener{root: impliedDirectory(0), maxSize: maxSize}
}

// impliedDirectory returns a directory that no layer contains but that a path
// needs.
func impliedDirectory(layer int) *node {
	e := images.Entry{Type: images.Directory, Mode: 0o755, ModTime: time.Unix(0, 0).UTC()}
	return &node{file: &file{Entry: e}, layer: layer, children: map[string]*node{}}
}

// add adds one entry of a layer on top.
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

// charge counts the memory and the size of an entry.
func (f *flattener) charge(e images.Entry) error {
	f.memory += fileCost + int64(len(e.Path)+len(e.Link))
	for name, value := range e.Xattrs {
		f.memory += fileCost/2 + int64(len(name)+len(value))
	}
	if f.memory > maxMemory {
		return fmt.Errorf("exceeds a limit: the list of the image's files takes more than %d bytes of memory", maxMemory)
	}
	if f.size += e.Size; f.size > f.maxSize {
		return bounded.TooLarge(f.maxSize)
	}
	return nil
}

// put gives an entry a name in a directory. If a directory replaces a
// directory, the contents stay; otherwise the old file is dropped.
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

// target returns the file that a hard link names, according to the layers so
// far.
func (f *flattener) target(link string) (*file, error) {
	dir, base := path.Split(link)
	parent, _, err := f.find(dir, 0, false)
	if err != nil && !errors.Is(err, errAbsent) {
		return nil, err
	}
	if err != nil || parent.children[base] == nil {
		return nil, fmt.Errorf("is a hard link to %s, which does not exist in this or a lower layer", link)
	}
	if n := parent.children[base]; !n.isDir() {
		return n.file, nil
	}
	return nil, fmt.Errorf("is a hard link to the directory %s", link)
}

// hide removes what lower layers have under a name.
func (f *flattener) hide(dir, base string, layer int) error {
	if base == "" || base == "." || base == ".." {
		return fmt.Errorf("removes %q, which is not a valid name", base)
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

// hideAll removes what lower layers have in a directory.
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

// prune removes everything from layers lower than the given one, and reports
// whether anything is left. So it does not matter whether the layer's own files
// come before or after the mark.
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
	errAbsent = errors.New("it does not exist in this or a lower layer")
	errLong   = fmt.Errorf("has a path of more than %d bytes, which cannot be opened", maxPath)
)

// find returns the directory at p and the length of its path. It follows
// symbolic links within the image. If create is set, it makes missing
// directories.
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

// place is a directory and the directories above it.
type place struct {
	nodes   []*node
	lengths []int // of the names of all but the root
	length  int   // of the whole path
}

func (a *place) dir() *node { return a.nodes[len(a.nodes)-1] }

// step handles the parts of a path that need no lookup, and reports whether
// part is one of them.
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

// follow returns the parts of a symbolic link's target. If the target is
// absolute, it continues at the image's root.
func (a *place) follow(link string) []string {
	if strings.HasPrefix(link, "/") {
		*a = place{nodes: a.nodes[:1]}
	}
	return strings.Split(link, "/")
}
