package images

import (
	"io"
	"io/fs"
	"path"
	"slices"
	"strings"
	"time"
)

// memTree is a tree in memory: the test's counterpart of DirSource.
type memTree map[string]File

var _ Tree = memTree{}

// newTree makes a tree of a line for each file: "/dir/", "/link -> target",
// "/file = content". Parents come by themselves.
func newTree(lines ...string) memTree {
	t := memTree{"/": {Entry: Entry{Path: "/", Type: Directory, Mode: 0o755}}}
	for _, line := range lines {
		e := Entry{Type: Regular, Mode: 0o644, ModTime: time.Unix(1e9, 0).UTC()}
		name, content, _ := strings.Cut(line, " = ")
		if from, to, ok := strings.Cut(line, " -> "); ok {
			name, e.Type, e.Link = from, Symlink, to
		}
		if strings.HasSuffix(name, "/") {
			e.Type, e.Mode = Directory, 0o755
		}
		e.Path, e.Size = path.Clean(name), int64(len(content))
		for dir := path.Dir(e.Path); dir != "/"; dir = path.Dir(dir) {
			if _, ok := t[dir]; !ok {
				t[dir] = File{Entry: Entry{Path: dir, Type: Directory, Mode: 0o755}}
			}
		}
		t[e.Path] = File{Entry: e, Content: []byte(content)}
	}
	return t
}

func (t memTree) Entry(p string) (Entry, error) {
	f, ok := t[p]
	if !ok {
		return Entry{}, &fs.PathError{Op: "entry", Path: p, Err: fs.ErrNotExist}
	}
	return f.Entry, nil
}

func (t memTree) ReadDir(p string) ([]Entry, error) {
	var list []Entry
	for name, f := range t {
		if name != "/" && path.Dir(name) == p {
			list = append(list, f.Entry)
		}
	}
	slices.SortFunc(list, func(a, b Entry) int { return strings.Compare(a.Path, b.Path) })
	return list, nil
}

func (t memTree) Open(p string) (io.ReadCloser, error) {
	f, ok := t[p]
	if !ok || f.Type != Regular {
		return nil, &fs.PathError{Op: "open", Path: p, Err: fs.ErrNotExist}
	}
	return io.NopCloser(strings.NewReader(string(f.Content))), nil
}

// program is a file of a tree that may be executed.
func withPrograms(tree memTree, paths ...string) memTree {
	for _, p := range paths {
		f := tree[p]
		f.Mode = 0o755
		tree[p] = f
	}
	return tree
}

func entryTree() memTree {
	tree := newTree(
		"/usr/bin/bash = x", "/usr/bin/ls = x", "/usr/sbin/mount = x", "/usr/bin/notes = x", "/opt/tool = x",
		"/bin -> usr/bin", "/sbin -> usr/sbin", "/usr/sbin/init -> ../lib/systemd/systemd", "/usr/lib/systemd/systemd = x", "/usr/bin/away -> /nowhere",
	)
	tree["/usr/bin/sh"] = File{Entry: Entry{Path: "/usr/bin/sh", Type: HardLink, Link: "/usr/bin/bash", Mode: 0o755}}
	return withPrograms(tree, "/usr/bin/bash", "/usr/bin/ls", "/usr/sbin/mount", "/usr/lib/systemd/systemd", "/opt/tool")
}
