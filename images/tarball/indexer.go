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
)

// maxIndex bounds the memory of an index in bytes. It is enough for ten million
// files; a small compressed tarball can list far more.
const maxIndex = 1 << 30

// fileCost is about how many bytes of memory a file takes besides its texts.
const fileCost = 72

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
	x := &indexer{maxMemory: maxIndex, maxSize: maxSize, index: index{names: newNameTable()}}
	x.files.Add(x.describe(impliedDirectory("/"), 0, 0))
	return x
}

// add adds the entry whose header begins at offset at.
func (x *indexer) add(e images.Entry, at int64) error {
	name := path.Base(e.Path)
	if err := x.charge(fileCost+int64(len(name)+len(e.Link)), e.Size); err != nil {
		return err
	}
	var of uint32
	if e.Type == images.HardLink {
		var err error
		if of, err = x.link(&e); err != nil {
			return err
		}
	}
	f := x.describe(e, of, at)
	if err := x.charge(0, 0); err != nil { // what is described may have cost more
		return err
	}
	if e.Path == "/" {
		return x.replace(0, f, e)
	}
	dir, err := x.directory(path.Dir(e.Path), len(name), at)
	if err != nil {
		return err
	}
	if i, ok := x.find(dir, name); ok {
		return x.replace(i, f, e)
	}
	x.append(f, dir, name)
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
		of, ok = x.find(way.dir, path.Base(e.Link))
	}
	if !ok {
		return 0, fmt.Errorf("is a hard link to %s, which the tarball does not hold before it", e.Link)
	}
	f := x.file(of)
	switch x.kind(f) {
	case images.Directory:
		return 0, fmt.Errorf("is a hard link to the directory %s", e.Link)
	case images.HardLink:
		of = uint32(f.value)
	}
	p := e.Path
	*e = linkTo(x.entry(of), p)
	return of, nil
}

// describe packs an entry without its path. For a hard link, of is the file
// that it is a name of.
func (x *indexer) describe(e images.Entry, of uint32, at int64) member {
	f := member{at: at, seconds: e.ModTime.Unix(), nanos: uint32(e.ModTime.Nanosecond())}
	switch e.Type {
	case images.Regular:
		f.value = e.Size
	case images.Symlink:
		f.value = int64(x.texts.Add(e.Link))
	case images.HardLink:
		f.value = int64(of)
	}
	var cost int64
	f.traits, cost = x.traits.add(&e)
	x.memory += cost
	return f
}

// replace puts a file in the place of file i. A directory that comes again
// stays, and takes over the new mode, owner and time.
func (x *indexer) replace(i uint32, f member, e images.Entry) error {
	old := x.file(i)
	kind := x.kind(old)
	switch {
	case e.Type == images.HardLink && (f.value == int64(i) || kind == images.HardLink && f.value == old.value):
		return nil // a link to itself changes nothing
	case e.Type == images.Directory && kind == images.Directory:
		old.traits, old.seconds, old.nanos = f.traits, f.seconds, f.nanos
		return nil
	case e.Path == "/":
		return errors.New("makes the root something other than a directory")
	case kind == images.Directory && old.value != 0:
		return fmt.Errorf("takes the place of the directory %s, in which there are files", e.Path)
	}
	old.gone, x.unsettled = true, true
	x.latest = "" // it may have been reached through what is gone
	f.name = old.name
	*x.names.slot(&x.index, old.dir, path.Base(e.Path)) = x.put(f, old.dir)
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
	if real := len(x.path(way.dir)) + len(way.todo) + name; way.links > 0 && real > maxPath {
		return 0, fmt.Errorf("has a path of more than %d bytes behind its symbolic links", maxPath)
	}
	dir := way.dir
	for name, rest := "", way.todo; rest != ""; {
		name, rest, _ = strings.Cut(rest, "/")
		if err := x.charge(fileCost+int64(len(name)), 0); err != nil {
			return 0, err
		}
		dir = x.append(x.describe(impliedDirectory(name), 0, at), dir, name)
	}
	return dir, nil
}

// append adds a file whose name is new in its directory, and returns its
// number.
func (x *indexer) append(f member, dir uint32, name string) uint32 {
	f.name = x.texts.Add(name)
	i := x.put(f, dir)
	x.names.add(&x.index, i)
	return i
}

// put adds a file to a directory.
func (x *indexer) put(f member, dir uint32) uint32 {
	i := uint32(x.files.Len())
	in := x.file(dir)
	f.dir, f.next = dir, uint32(in.value)
	in.value = int64(i)
	x.files.Add(f)
	return i
}

// finish is the index, once there are no more entries.
func (x *indexer) finish() *index {
	x.leaveOutBookkeeping()
	if x.unsettled {
		x.inherit()
		x.reorder()
	}
	if i, ok := x.lookup(images.ManifestPath); !ok || x.kind(x.file(i)) != images.Regular || x.file(i).at != x.manifestAt {
		x.manifest = nil
	}
	x.traits.numbers = nil
	index := x.index
	index.canonical = sync.OnceValue(index.sort)
	return &index
}

// leaveOutBookkeeping marks bookkeeping as gone: it is not part of the image.
func (x *indexer) leaveOutBookkeeping() {
	found := false
	for _, p := range images.BookkeepingPaths() {
		if i, ok := x.lookup(p); ok {
			x.file(i).gone, found = true, true
		}
	}
	if !found {
		return
	}
	x.unsettled = true
	for i := 1; i < x.files.Len(); i++ { // a directory is before what is in it
		if f := x.files.At(i); x.file(f.dir).gone {
			f.gone = true
		}
	}
}

// inherit makes the first hard link to each file that is gone that file.
func (x *indexer) inherit() {
	heirs := map[int64]int64{}
	for i := range x.files.Len() {
		f := x.files.At(i)
		if f.gone || x.kind(f) != images.HardLink || !x.file(uint32(f.value)).gone {
			continue
		}
		if heir, ok := heirs[f.value]; ok {
			f.value = heir
			continue
		}
		heirs[f.value] = int64(i)
		dead := x.file(uint32(f.value))
		f.at, f.value, f.traits, f.seconds, f.nanos = dead.at, dead.value, dead.traits, dead.seconds, dead.nanos
	}
}

// reorder makes the order of a walk without the files that are gone: that of
// the archive, with each directory before what is in it.
func (x *indexer) reorder() {
	var sorted []uint32
	for i := range x.files.Len() {
		if !x.files.At(i).gone {
			sorted = append(sorted, uint32(i))
		}
	}
	slices.SortStableFunc(sorted, func(a, b uint32) int { return cmp.Compare(x.file(a).at, x.file(b).at) })
	x.order = make([]uint32, 0, len(sorted))
	placed := make([]bool, x.files.Len())
	var place func(i uint32)
	place = func(i uint32) {
		if placed[i] {
			return
		}
		if i != 0 {
			place(x.file(i).dir)
		}
		placed[i] = true
		x.order = append(x.order, i)
	}
	for _, i := range sorted {
		place(i)
	}
}
