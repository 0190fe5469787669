package fat

import (
	"fmt"
	"io/fs"
	"path"
	"sort"
	"strings"
)

// maxFileSize is the largest length that fits into 32 bits.
const maxFileSize = 1<<32 - 1

// node is a file or a directory of the filesystem.
type node struct {
	name     string
	dir      bool
	file     File
	parent   *node
	children []*node // sorted by name
	short    shortName
	long     []uint16 // the long name in UTF-16; nil if the short name is the real name
	cluster  uint32   // the first cluster; 0 if there is none
}

// buildTree makes the directories that the files' paths imply.
func buildTree(files []File) (*node, error) {
	root := &node{dir: true}
	dirs := map[string]*node{".": root}
	seen := map[string]bool{}
	for _, f := range files {
		if err := checkFile(f); err != nil {
			return nil, err
		}
		if seen[f.Path] {
			return nil, fmt.Errorf("lay out FAT filesystem: there are two files %q", f.Path)
		}
		seen[f.Path] = true
		parent := mkdirs(dirs, path.Dir(f.Path))
		parent.children = append(parent.children, &node{name: path.Base(f.Path), file: f, parent: parent})
	}
	for name, d := range dirs {
		if seen[name] {
			return nil, fmt.Errorf("lay out FAT filesystem: %q is both a file and a directory", name)
		}
		sort.Slice(d.children, func(i, j int) bool { return d.children[i].name < d.children[j].name })
	}
	return root, nameAll(root, ".")
}

func checkFile(f File) error {
	switch {
	case !fs.ValidPath(f.Path) || f.Path == ".":
		return fmt.Errorf("lay out FAT filesystem: %q is not a relative path of a file, like \"EFI/BOOT/BOOTX64.EFI\"", f.Path)
	case f.Size < 0 || f.Size > maxFileSize:
		return fmt.Errorf("lay out FAT filesystem: %q has %d bytes, but a file on FAT has 0 to %d", f.Path, f.Size, int64(maxFileSize))
	case f.Open == nil:
		return fmt.Errorf("lay out FAT filesystem: %q has no content to open", f.Path)
	}
	return nil
}

func mkdirs(dirs map[string]*node, name string) *node {
	if d, ok := dirs[name]; ok {
		return d
	}
	parent := mkdirs(dirs, path.Dir(name))
	d := &node{name: path.Base(name), dir: true, parent: parent}
	parent.children = append(parent.children, d)
	dirs[name] = d
	return d
}

// nameAll assigns the names on disk to everything below a directory.
func nameAll(dir *node, at string) error {
	byFold := map[string]string{}
	for _, c := range dir.children {
		where := path.Join(at, c.name)
		if err := checkName(c.name); err != nil {
			return fmt.Errorf("lay out FAT filesystem: %q: %w", where, err)
		}
		key := fold(c.name)
		if other, ok := byFold[key]; ok {
			return fmt.Errorf("lay out FAT filesystem: %q and %q differ only in case, which FAT ignores: rename one", path.Join(at, other), where)
		}
		byFold[key] = c.name
	}
	shorten(dir.children, byFold)
	if dir.slots() > maxSlots {
		return fmt.Errorf("lay out FAT filesystem: the directory %q has too many files for FAT: distribute them over several directories", at)
	}
	for _, c := range dir.children {
		if !c.dir {
			continue
		}
		if err := nameAll(c, path.Join(at, c.name)); err != nil {
			return err
		}
	}
	return nil
}

// slots counts the 32-byte entries of a directory: its children with their long
// names, and the root's label or another directory's "." and "..".
func (n *node) slots() int64 {
	count := int64(2)
	if n.parent == nil {
		count = 1
	}
	for _, c := range n.children {
		count += 1 + int64(longSlots(c.long))
	}
	return count
}

// fold maps names that differ only in case to the same text.
func fold(name string) string { return strings.ToLower(strings.ToUpper(name)) }
