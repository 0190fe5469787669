package tarball

import (
	"cmp"
	"errors"
	"fmt"
	"path"
	"slices"
	"strings"
	"sync"

	"cloudlets/images"
	"cloudlets/images/bytesize"
	"cloudlets/images/filelist"
)

// maxIndex bounds the memory of an index in bytes. It is enough for ten million
// files; a small compressed tarball can list far more.
const maxIndex = 1 << 30

// indexer makes an index of an archive's entries, in their order.
type indexer struct {
	index
	memory, maxMemory int64
	size, maxSize     int64
	manifestAt        int64
	unsettled         bool   // some file is gone
	nextACL           string // of the next entry, see solarisACL
	remarks           remarks

	// latest is the path of the directory that the latest entry is in, and
	// latestFile is its number.
	latest     string
	latestFile uint32
}

func newIndexer(maxSize int64) *indexer {
	return &indexer{maxMemory: maxIndex, maxSize: maxSize, index: index{List: filelist.New()}}
}

// add adds the entry whose header begins at offset at.
func (x *indexer) add(e images.Entry, at int64) error {
	name := path.Base(e.Path)
	if err := x.charge(filelist.Cost+int64(len(name)+len(e.Link)), e.Size); err != nil {
		return err
	}
	var of uint32
	if e.Type == images.HardLink {
		var err error
		if of, err = x.link(&e); err != nil {
			return err
		}
	}
	f, err := x.describe(e, of, at)
	if err != nil {
		return err
	}
	if e.Path == "/" {
		return x.replace(0, f, e)
	}
	dir, err := x.directory(path.Dir(e.Path), len(name), at)
	if err != nil {
		return err
	}
	if i, ok := x.Find(dir, name); ok {
		return x.replace(i, f, e)
	}
	x.Add(f, dir, name)
	x.latest, x.latestFile = path.Dir(e.Path), dir
	return nil
}

// charge counts memory and content in bytes, and refuses what is too much.
func (x *indexer) charge(memory, size int64) error {
	if x.memory += memory; x.memory > x.maxMemory {
		return fmt.Errorf("is one too many: the list of the tarball's files takes more than %s of memory", bytesize.Exact(x.maxMemory))
	}
	if x.size += size; x.size > x.maxSize {
		return fmt.Errorf("is too much: the tarball's files are more than %s, holes included; where that is right, allow more with --max-size", bytesize.Exact(x.maxSize))
	}
	return nil
}

// link makes e a name of the file that is at e.Link at this point of the
// archive. Owner, mode and time are the file's, whatever the link's header says.
func (x *indexer) link(e *images.Entry) (of uint32, err error) {
	way := &way{index: &x.index, path: path.Dir(e.Link)}
	ok := way.follow() == nil && way.todo == ""
	if of = way.dir; ok && e.Link != "/" {
		of, ok = x.Find(way.dir, path.Base(e.Link))
	}
	if !ok {
		return 0, fmt.Errorf("is a hard link to %s, which the tarball does not hold before it", e.Link)
	}
	f := x.File(of)
	switch x.Kind(f) {
	case images.Directory:
		return 0, fmt.Errorf("is a hard link to the directory %s", e.Link)
	case images.HardLink:
		of = uint32(f.Value)
	}
	p := e.Path
	*e = filelist.LinkTo(x.Entry(of), p)
	return of, nil
}

// describe packs an entry and charges what that costs besides its texts.
func (x *indexer) describe(e images.Entry, of uint32, at int64) (filelist.File, error) {
	f, cost := x.Describe(e, of, at)
	return f, x.charge(cost, 0)
}

// replace puts a file in the place of file i. A directory that comes again
// stays, and takes over the new mode, owner and time.
func (x *indexer) replace(i uint32, f filelist.File, e images.Entry) error {
	old := x.File(i)
	kind := x.Kind(old)
	switch {
	case e.Type == images.HardLink && (f.Value == int64(i) || kind == images.HardLink && f.Value == old.Value):
		return nil // a link to itself changes nothing
	case e.Type == images.Directory && kind == images.Directory:
		x.Renew(i, f)
		return nil
	case e.Path == "/":
		return errors.New("makes the root something other than a directory")
	case kind == images.Directory && old.Value != 0:
		return fmt.Errorf("takes the place of the directory %s, in which there are files", e.Path)
	}
	x.unsettled = true
	x.latest = "" // it may have been reached through what is gone
	x.Add(f, old.Dir, path.Base(e.Path))
	return nil
}

// directory finds the directory at a path, or makes it. Symbolic links in the
// path are followed within the image. It is for a name of so many bytes.
func (x *indexer) directory(p string, name int, at int64) (uint32, error) {
	if p == x.latest {
		return x.latestFile, nil
	}
	way := &way{index: &x.index, path: p}
	if err := way.follow(); err != nil {
		return 0, err
	}
	if real := len(x.Path(way.dir)) + len(way.todo) + name; way.links > 0 && real > maxPath {
		return 0, fmt.Errorf("has a path of more than %d bytes behind its symbolic links", maxPath)
	}
	dir := way.dir
	for name, rest := "", way.todo; rest != ""; {
		name, rest, _ = strings.Cut(rest, "/")
		if err := x.charge(filelist.Cost+int64(len(name)), 0); err != nil {
			return 0, err
		}
		f, err := x.describe(filelist.ImpliedDirectory(name), 0, at)
		if err != nil {
			return 0, err
		}
		dir = x.Add(f, dir, name)
	}
	return dir, nil
}

// finish is the index, once there are no more entries.
func (x *indexer) finish() *index {
	x.leaveOutBookkeeping()
	if x.unsettled {
		x.inherit()
		x.reorder()
	}
	if i, ok := x.Lookup(images.ManifestPath); !ok || x.Kind(x.File(i)) != images.Regular || x.File(i).At != x.manifestAt {
		x.manifest = nil
	}
	x.Seal()
	index := x.index
	index.canonical = sync.OnceValue(index.Sort)
	return &index
}

// leaveOutBookkeeping marks bookkeeping as gone: it is not part of the image.
func (x *indexer) leaveOutBookkeeping() {
	found := false
	for _, p := range images.BookkeepingPaths() {
		if i, ok := x.Lookup(p); ok {
			x.File(i).Gone, found = true, true
		}
	}
	if !found {
		return
	}
	x.unsettled = true
	for i := 1; i < x.Len(); i++ { // a directory is before what is in it
		if f := x.File(uint32(i)); x.File(f.Dir).Gone {
			f.Gone = true
		}
	}
}

// inherit makes the first hard link to each file that is gone that file.
func (x *indexer) inherit() {
	heirs := map[int64]int64{}
	for i := range x.Len() {
		f := x.File(uint32(i))
		if f.Gone || x.Kind(f) != images.HardLink || !x.File(uint32(f.Value)).Gone {
			continue
		}
		if heir, ok := heirs[f.Value]; ok {
			f.Value = heir
			continue
		}
		heirs[f.Value] = int64(i)
		x.Inherit(uint32(i))
	}
}

// reorder makes the order of a walk without the files that are gone: that of
// the archive, with each directory before what is in it.
func (x *indexer) reorder() {
	var sorted []uint32
	for i := range x.Len() {
		if !x.File(uint32(i)).Gone {
			sorted = append(sorted, uint32(i))
		}
	}
	slices.SortStableFunc(sorted, func(a, b uint32) int { return cmp.Compare(x.File(a).At, x.File(b).At) })
	x.order = make([]uint32, 0, len(sorted))
	placed := make([]bool, x.Len())
	var place func(i uint32)
	place = func(i uint32) {
		if placed[i] {
			return
		}
		if i != 0 {
			place(x.File(i).Dir)
		}
		placed[i] = true
		x.order = append(x.order, i)
	}
	for _, i := range sorted {
		place(i)
	}
}
