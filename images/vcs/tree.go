package vcs

import (
	"cmp"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"
	"time"

	"cloudlets/images"
)

// node is one file of a revision.
type node struct {
	entry images.Entry
	// object is git's hash of the content. offset is the position of the
	// content in Mercurial's archive.
	object string
	offset int64
}

// tree holds the files of a revision as the repository keeps them: owned by
// root, with default modes and the time of the revision.
type tree struct {
	nodes    map[string]*node
	children map[string][]string // of each directory; sorted by sort
	time     time.Time
	open     func(n *node) (io.ReadCloser, error)
	same     func(a, b *node) (bool, error) // reports whether two files have the same content
}

func newTree(at time.Time) *tree {
	t := &tree{nodes: map[string]*node{}, children: map[string][]string{}, time: at}
	t.nodes["/"] = &node{entry: images.Entry{Path: "/", Type: images.Directory, Mode: 0o755, ModTime: at}}
	return t
}

// add adds a file and the directories that lead to it.
func (t *tree) add(n *node) error {
	p := n.entry.Path
	n.entry.ModTime = t.time
	if _, ok := t.nodes[p]; ok {
		return fmt.Errorf("the revision contains %s twice", p)
	}
	up := path.Dir(p)
	above, ok := t.nodes[up]
	if !ok {
		above = &node{entry: images.Entry{Path: up, Type: images.Directory, Mode: 0o755}}
		if err := t.add(above); err != nil {
			return err
		}
	}
	if above.entry.Type != images.Directory {
		return fmt.Errorf("the revision contains %s in %s, which is not a directory", p, up)
	}
	t.nodes[p] = n
	t.children[up] = append(t.children[up], p)
	return nil
}

// sort sorts the directories. Call it after all files were added.
func (t *tree) sort() {
	for _, list := range t.children {
		slices.SortFunc(list, cmp.Compare[string])
	}
}

func (t *tree) find(p string) (*node, error) {
	n, ok := t.nodes[path.Clean("/"+p)]
	if !ok {
		return nil, fmt.Errorf("look at %s: %w", p, fs.ErrNotExist)
	}
	return n, nil
}

// Entry describes the file at a path.
func (t *tree) Entry(p string) (images.Entry, error) {
	n, err := t.find(p)
	if err != nil {
		return images.Entry{}, err
	}
	return n.entry, nil
}

// ReadDir lists a directory, sorted.
func (t *tree) ReadDir(p string) ([]images.Entry, error) {
	n, err := t.find(p)
	if err != nil {
		return nil, err
	}
	if n.entry.Type != images.Directory {
		return nil, fmt.Errorf("list %s: it is not a directory", p)
	}
	names := t.children[n.entry.Path]
	entries := make([]images.Entry, len(names))
	for i, name := range names {
		entries[i] = t.nodes[name].entry
	}
	return entries, nil
}

// Open opens a regular file for reading.
func (t *tree) Open(p string) (io.ReadCloser, error) {
	n, err := t.find(p)
	if err != nil {
		return nil, err
	}
	if n.entry.Type != images.Regular {
		return nil, fmt.Errorf("open %s: it is not a regular file", p)
	}
	r, err := t.open(n)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", p, err)
	}
	return r, nil
}

// Same reports whether two files have the same content.
func (t *tree) Same(p, q string) (bool, error) {
	a, err := t.find(p)
	if err != nil {
		return false, err
	}
	b, err := t.find(q)
	if err != nil {
		return false, err
	}
	return t.same(a, b)
}
