package imagetest

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"

	"cloudlets/images"
)

// Tree is a tree in memory, which tests use instead of a directory.
type Tree map[string]images.File

var _ images.Tree = Tree{}

// NewTree makes a tree from a line for each file: "/dir/", "/link -> target",
// "/file = content". Missing parent directories are added.
func NewTree(lines ...string) Tree {
	t := Tree{"/": {Entry: images.Entry{Path: "/", Type: images.Directory, Mode: 0o755}}}
	for _, line := range lines {
		e := images.Entry{Type: images.Regular, Mode: 0o644, ModTime: time.Unix(1e9, 0).UTC()}
		name, content, _ := strings.Cut(line, " = ")
		if from, to, ok := strings.Cut(line, " -> "); ok {
			name, e.Type, e.Link = from, images.Symlink, to
		}
		if strings.HasSuffix(name, "/") {
			e.Type, e.Mode = images.Directory, 0o755
		}
		e.Path, e.Size = path.Clean(name), int64(len(content))
		for dir := path.Dir(e.Path); dir != "/"; dir = path.Dir(dir) {
			if _, ok := t[dir]; !ok {
				t[dir] = images.File{Entry: images.Entry{Path: dir, Type: images.Directory, Mode: 0o755}}
			}
		}
		t[e.Path] = images.File{Entry: e, Content: []byte(content)}
	}
	return t
}

// Entry describes the file at a path.
func (t Tree) Entry(p string) (images.Entry, error) {
	f, ok := t[p]
	if !ok {
		return images.Entry{}, &fs.PathError{Op: "entry", Path: p, Err: fs.ErrNotExist}
	}
	return f.Entry, nil
}

// ReadDir lists a directory, sorted.
func (t Tree) ReadDir(p string) ([]images.Entry, error) {
	var list []images.Entry
	for name, f := range t {
		if name != "/" && path.Dir(name) == p {
			list = append(list, f.Entry)
		}
	}
	slices.SortFunc(list, func(a, b images.Entry) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

// Open opens a regular file for reading.
func (t Tree) Open(p string) (io.ReadCloser, error) {
	f, ok := t[p]
	if !ok || f.Type != images.Regular {
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(string(f.Content))), nil
}

// Executable makes files of a tree executable, and returns the tree.
func Executable(tree Tree, paths ...string) Tree {
	for _, p := range paths {
		f := tree[p]
		f.Mode = 0o755
		tree[p] = f
	}
	return tree
}

// Programs returns a tree with an init, a shell and a few commands.
func Programs() Tree {
	tree := NewTree(
		"/usr/bin/bash = x", "/usr/bin/ls = x", "/usr/sbin/mount = x", "/usr/bin/notes = x", "/opt/tool = x",
		"/bin -> usr/bin", "/sbin -> usr/sbin", "/usr/sbin/init -> ../lib/systemd/systemd", "/usr/lib/systemd/systemd = x", "/usr/bin/away -> /nowhere",
	)
	tree["/usr/bin/sh"] = images.File{Entry: images.Entry{Path: "/usr/bin/sh", Type: images.HardLink, Link: "/usr/bin/bash", Mode: 0o755}}
	return Executable(tree, "/usr/bin/bash", "/usr/bin/ls", "/usr/sbin/mount", "/usr/lib/systemd/systemd", "/opt/tool")
}
