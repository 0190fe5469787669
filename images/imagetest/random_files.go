package imagetest

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"path"
	"slices"
	"strings"
	"time"

	"cloudlets/images"
)

// RandomFiles makes files of every kind with names, owners, times and
// attributes of every kind, in canonical order.
func RandomFiles(seed uint64, n int) Files {
	r := rand.New(rand.NewPCG(seed, 0))
	dirs := []string{"/"}
	tree := Files{{Entry: images.Entry{Path: "/", Type: images.Directory, Mode: 0o755, ModTime: time.Unix(1e9, 0).UTC()}}}
	seen := map[string]bool{}
	var linkable []string
	for i := range n {
		e := images.Entry{Path: path.Join(dirs[r.IntN(len(dirs))], randomName(r)), Type: images.Type(1 + r.IntN(7)), Mode: r.Uint32N(0o10000), UID: randomID(r), GID: randomID(r), ModTime: randomTime(r)}
		if seen[e.Path] || len(e.Path) > 1500 {
			continue
		}
		seen[e.Path] = true
		f := images.File{Entry: e}
		randomKind(r, &f, linkable, i)
		switch f.Type {
		case images.Directory:
			dirs = append(dirs, f.Path)
		case images.Regular, images.FIFO, images.Symlink:
			linkable = append(linkable, f.Path)
		}
		tree = append(tree, f)
	}
	return InOrder(tree)
}

// InOrder sorts a tree in the canonical order of [images.Ordered]. The first
// name of a file with several becomes the file.
func InOrder(tree Files) Files {
	named := map[string]images.File{}
	for _, f := range tree {
		named[f.Path] = f
	}
	slices.SortFunc(tree, func(a, b images.File) int { return images.ComparePaths(a.Path, b.Path) })
	return relink(tree, named)
}

// Backwards is a tree in the opposite order. The last name of a file with
// several becomes the file.
func Backwards(tree Files) Files {
	named := map[string]images.File{}
	for _, f := range tree {
		named[f.Path] = f
	}
	tree = slices.Clone(tree)
	slices.Reverse(tree)
	return relink(tree, named)
}

// relink makes the first name of each file the file, and the others links to
// it.
func relink(tree Files, named map[string]images.File) Files {
	first := map[string]string{}
	for i, f := range tree {
		file := f.Path
		if f.Type == images.HardLink {
			file = f.Link
		}
		if name, ok := first[file]; ok {
			tree[i] = images.File{Entry: images.Entry{Path: f.Path, Type: images.HardLink, Link: name}}
			continue
		}
		first[file] = f.Path
		tree[i] = named[file]
		tree[i].Path = f.Path
	}
	return tree
}

// randomKind fills in what depends on the type of a file.
func randomKind(r *rand.Rand, f *images.File, linkable []string, i int) {
	if f.Type == images.HardLink && len(linkable) == 0 {
		f.Type = images.Regular
	}
	switch f.Type {
	case images.Regular:
		f.Content = bytes.Repeat([]byte(fmt.Sprintf("%d,", i)), r.IntN(700))
		f.Size = int64(len(f.Content))
	case images.Symlink:
		f.Mode, f.Link = 0o777, strings.Repeat("../\xe4ö", 1+r.IntN(60))
	case images.HardLink:
		f.Link = linkable[r.IntN(len(linkable))]
		return
	case images.CharDevice, images.BlockDevice:
		f.Major, f.Minor = 1+r.Uint32N(400), r.Uint32N(1<<20)
	}
	if r.IntN(3) == 0 {
		f.Xattrs = map[string]string{"trusted.b": "\x00\xff\n=", "trusted.a": strings.Repeat("long", r.IntN(300))}
	}
	if f.Type == images.Regular && r.IntN(3) == 0 {
		f.Xattrs = map[string]string{"user.empty": "", "user.a=b%3D": "=", "security.capability": CapNetRaw}
	}
}

func randomName(r *rand.Rand) string {
	switch n := r.Uint32(); r.IntN(7) {
	case 0:
		return fmt.Sprintf("-%x", n)
	case 1:
		return fmt.Sprintf("line\nend \\n %x ", n)
	case 2:
		return fmt.Sprintf("\xff\xfe%x", n)
	case 3:
		return fmt.Sprintf("größe-%x", n)
	case 4:
		return strings.Repeat("l", 80+r.IntN(160)) + fmt.Sprintf("%x", n)
	case 5:
		return strings.Repeat("\xe4", 80+r.IntN(160)) + fmt.Sprintf("%x", n)
	default:
		return fmt.Sprintf("f%x", n)
	}
}

func randomID(r *rand.Rand) uint32 {
	return []uint32{0, 7, 1000, 1<<21 - 1, 1 << 21, 1<<32 - 2}[r.IntN(6)]
}

func randomTime(r *rand.Rand) time.Time {
	seconds := []int64{0, 1, -1, -1_000_000_000, 1e9, 1 << 33}[r.IntN(6)]
	return time.Unix(seconds, []int64{0, 0, 1, 500_000_000, 999_999_999}[r.IntN(5)]).UTC()
}
