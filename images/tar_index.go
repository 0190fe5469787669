package images

import (
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
)

// tarIndex is what is in a tarball in the end.
type tarIndex struct {
	// files are in the order of a walk, the root first.
	files  []tarFile
	byPath map[string]int32
	// manifest is the content of the file at ManifestPath, where there is
	// one, it is a regular file and not too long: nil is none.
	manifest []byte
}

// tarFile is one file of a tarball.
type tarFile struct {
	Entry
	at int64 // where in the archive its header begins

	// What follows matters only while the index is made.
	file  int32 // of a hard link: which file it is a name of
	count int32 // of a directory: how many files are directly in it
	gone  bool  // something else has its name now
}

// lookup finds a file by its path.
func (x *tarIndex) lookup(p string) (*tarFile, bool) {
	i, ok := x.byPath[p]
	if !ok {
		return nil, false
	}
	return &x.files[i], true
}

// maxIndex bounds the memory that the list of a tarball's files may take, in
// bytes: enough for three million. A small tarball can list far more.
const maxIndex = 1 << 30

// fileCost is about what a file costs in memory beside its texts, in bytes.
const fileCost = 256

// tarIndexer makes an index of entries as they come.
type tarIndexer struct {
	tarIndex
	memory, maxMemory int64
	size, maxSize     int64
	manifestAt        int64
	unsettled         bool // an entry is gone
}

func newTarIndexer(maxSize int64) *tarIndexer {
	x := &tarIndexer{maxMemory: maxIndex, maxSize: maxSize, tarIndex: tarIndex{byPath: map[string]int32{}}}
	x.append(tarFile{Entry: impliedDirectory("/")})
	return x
}

// add takes over the entry whose header begins at an offset.
func (x *tarIndexer) add(e Entry, at int64) error {
	if err := x.charge(e); err != nil {
		return err
	}
	f := tarFile{Entry: e, at: at, file: -1}
	if e.Type == HardLink {
		if err := x.link(&f); err != nil {
			return err
		}
	}
	if i, ok := x.byPath[e.Path]; ok {
		return x.replace(i, f)
	}
	if err := x.parents(e.Path, at); err != nil {
		return err
	}
	x.append(f)
	return nil
}

// charge counts what an entry takes.
func (x *tarIndexer) charge(e Entry) error {
	x.memory += fileCost + int64(len(e.Path)+len(e.Link))
	for name, value := range e.Xattrs {
		x.memory += fileCost/2 + int64(len(name)+len(value))
	}
	if x.memory > x.maxMemory {
		return fmt.Errorf("is one too many: the list of the tarball's files takes more than %s of memory", sizeText(x.maxMemory))
	}
	if x.size += e.Size; x.size > x.maxSize {
		return fmt.Errorf("is too much: the tarball's files are more than %s, holes included; where that is right, allow more with --max-size", sizeText(x.maxSize))
	}
	return nil
}

// link makes a hard link another name of the file that has the one it names
// now. Owner, mode and time are the file's, whatever the link's header says.
func (x *tarIndexer) link(f *tarFile) error {
	i, ok := x.byPath[f.Link]
	switch {
	case !ok:
		return fmt.Errorf("is a hard link to %s, which the tarball does not hold before it", f.Link)
	case x.files[i].Type == Directory:
		return fmt.Errorf("is a hard link to the directory %s", f.Link)
	case x.files[i].Type == HardLink:
		i = x.files[i].file
	}
	p := f.Path
	f.file, f.Entry = i, x.files[i].Entry
	f.Path, f.Link, f.Type, f.Size, f.Xattrs = p, x.files[i].Path, HardLink, 0, nil
	return nil
}

// replace puts a file in the place of the one at i. A directory that comes
// again stays the same one.
func (x *tarIndexer) replace(i int32, f tarFile) error {
	old := &x.files[i]
	switch {
	case f.Type == HardLink && (f.file == i || old.Type == HardLink && f.file == old.file):
		return nil // it names itself
	case f.Type == Directory && old.Type == Directory:
		old.Entry = f.Entry
		return nil
	case f.Path == "/":
		return errors.New("makes the root something other than a directory")
	case old.Type == Directory && old.count > 0:
		return fmt.Errorf("takes the place of the directory %s, in which there are files", f.Path)
	}
	old.gone, x.unsettled = true, true
	x.byPath[f.Path] = int32(len(x.files))
	x.files = append(x.files, f)
	return nil
}

// parents sees to it that there are the directories above a path.
func (x *tarIndexer) parents(p string, at int64) error {
	var missing []string
	dir := path.Dir(p)
	for ; ; dir = path.Dir(dir) {
		f, ok := x.lookup(dir)
		if ok && f.Type != Directory {
			return fmt.Errorf("is in %s, which is not a directory", dir)
		}
		if ok {
			break
		}
		missing = append(missing, dir)
	}
	for _, dir := range slices.Backward(missing) {
		e := impliedDirectory(dir)
		if err := x.charge(e); err != nil {
			return err
		}
		x.append(tarFile{Entry: e, at: at, file: -1})
	}
	return nil
}

// append adds a file whose path is new and whose directory is there.
func (x *tarIndexer) append(f tarFile) {
	if f.Path != "/" {
		x.files[x.byPath[path.Dir(f.Path)]].count++
	}
	x.byPath[f.Path] = int32(len(x.files))
	x.files = append(x.files, f)
}

// finish is the index, once there are no more entries.
func (x *tarIndexer) finish() *tarIndex {
	for i := range x.files {
		if f := &x.files[i]; isBookkeeping(f.Path) {
			f.gone, x.unsettled = true, true
		}
	}
	if x.unsettled {
		x.inherit()
		x.reorder()
	}
	if f, ok := x.lookup(ManifestPath); !ok || f.Type != Regular || f.at != x.manifestAt {
		x.manifest = nil
	}
	return &x.tarIndex
}

// inherit lets the first hard link to a file that is gone be the file.
func (x *tarIndexer) inherit() {
	heirs := map[int32]int32{}
	for i := range x.files {
		f := &x.files[i]
		if f.gone || f.Type != HardLink || !x.files[f.file].gone {
			continue
		}
		if heir, ok := heirs[f.file]; ok {
			f.Link, f.file = x.files[heir].Path, heir
			continue
		}
		heirs[f.file] = int32(i)
		p, dead := f.Path, x.files[f.file]
		f.Entry, f.at = dead.Entry, dead.at
		f.Path = p
	}
}

// reorder leaves out what is gone, and puts the rest in the order of the
// archive again, each directory before what is in it.
func (x *tarIndexer) reorder() {
	var order []int32
	for i := range x.files {
		if !x.files[i].gone {
			order = append(order, int32(i))
		}
	}
	slices.SortStableFunc(order, func(a, b int32) int { return int(min(max(x.files[a].at-x.files[b].at, -1), 1)) })
	old, byPath := x.tarIndex, make(map[string]int32, len(order))
	x.files, x.byPath = make([]tarFile, 0, len(order)), byPath
	var place func(i int32)
	place = func(i int32) {
		p := old.files[i].Path
		if _, done := byPath[p]; done {
			return
		}
		if p != "/" {
			place(old.byPath[path.Dir(p)])
		}
		byPath[p] = int32(len(x.files))
		x.files = append(x.files, old.files[i])
	}
	for _, i := range order {
		place(i)
	}
}

// children lists for each directory what is directly in it, sorted.
func (x *tarIndex) children() map[string][]int32 {
	children := map[string][]int32{}
	for i := range x.files {
		if p := x.files[i].Path; p != "/" {
			children[path.Dir(p)] = append(children[path.Dir(p)], int32(i))
		}
	}
	for _, list := range children {
		slices.SortFunc(list, func(a, b int32) int { return strings.Compare(x.files[a].Path, x.files[b].Path) })
	}
	return children
}
