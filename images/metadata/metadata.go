// Package metadata is the file /.cloudlet/metadata: what a revision control
// system, or a user who is not root, loses of an image's files.
//
// Such a repository keeps the content of regular files, whether their owner
// may execute them, and symbolic links. The metadata file keeps the rest:
// numeric owners, whole modes, extended attributes (capabilities and ACLs
// among them), empty directories, devices, FIFOs, and which names are hard
// links. It is text in the manner of mtree(5): a header, then a line for each
// file that is not the default, sorted by the bytes of its path.
//
//	#cloudlet-metadata 1
//	/dev/null type=char device=1,3 mode=0666
//	/etc/shadow gid=42 mode=0640
//	/usr/bin/perl5.36.0 link=/usr/bin/perl
//	/var/empty type=dir
//
// The default is owner 0:0, no extended attributes, and mode 0755 for
// directories and for files that their owner may execute, else 0644. So the
// change of one file's owner is a change of one line, and two such changes
// merge. For the same reason times are not kept: the files of a revision have
// the revision's own.
//
// [Collect] and [Scan] make a [File] from what there is, [Apply] makes a
// directory be as a File says, [Wrap] shows one as if it were.
package metadata

import (
	"errors"
	"slices"
	"strings"

	"cloudlets/images"
)

// Path is where an image keeps its metadata. The file is bookkeeping and no
// part of the image.
const Path = "/.cloudlet/metadata"

// Record is what the metadata file says of one path.
type Record struct {
	// Path is as in [images.Entry].
	Path string
	// Type is 0 for what the repository keeps: a regular file, a symbolic
	// link, a directory with something in it. It is Directory for one with
	// nothing in it that the repository keeps, or CharDevice, BlockDevice,
	// FIFO or HardLink.
	Type images.Type
	// Link is the path of the file that a HardLink is another name of. All
	// else that is said of the file is in the record of that path.
	Link string
	// Major and Minor number a device.
	Major, Minor uint32
	UID, GID     uint32
	// Mode is the mode, 0o7777, where HasMode says that it is not the default.
	Mode    uint32
	HasMode bool
	// Xattrs are extended attributes: full name to raw value.
	Xattrs map[string]string
}

// File is what a metadata file says. The zero value says that everything is
// the default. A File does not change.
type File struct {
	records []Record // sorted by path
}

// ErrConflict says that the metadata file holds the marks of a merge that
// nobody has resolved yet.
var ErrConflict = errors.New("resolve the merge in " + Path + ": it holds conflict marks")

// Records lists what the file says, sorted by path.
func (f File) Records() []Record { return slices.Clone(f.records) }

// Lookup is the record of a path.
func (f File) Lookup(p string) (Record, bool) {
	i, ok := slices.BinarySearchFunc(f.records, p, func(r Record, p string) int { return strings.Compare(r.Path, p) })
	if !ok {
		return Record{}, false
	}
	return f.records[i], true
}

// newFile sorts records into a file.
func newFile(records []Record) File {
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.Path, b.Path) })
	return File{records: records}
}

// isNode says whether the file is one that a repository cannot keep at all,
// and that has no content: a device or a FIFO.
func isNode(t images.Type) bool {
	return t == images.CharDevice || t == images.BlockDevice || t == images.FIFO
}

// defaultMode is the mode of a file that has none of its own recorded, by
// what it is and the mode that the repository shows.
func defaultMode(t images.Type, shown uint32) uint32 {
	switch {
	case t == images.Symlink:
		return 0o777
	case t == images.Directory, t == images.Regular && shown&0o100 != 0:
		return 0o755
	}
	return 0o644
}

// recordOf is what must be recorded of an entry, and whether anything must.
// A directory's being empty and a hard link are the caller's to know.
func recordOf(e *images.Entry) (Record, bool) {
	r := Record{Path: e.Path, UID: e.UID, GID: e.GID, Xattrs: e.Xattrs}
	if isNode(e.Type) {
		r.Type, r.Major, r.Minor = e.Type, e.Major, e.Minor
	}
	if e.Mode != defaultMode(e.Type, e.Mode) && e.Type != images.Symlink {
		r.Mode, r.HasMode = e.Mode, true
	}
	return r, r.Type != 0 || r.UID != 0 || r.GID != 0 || r.HasMode || len(r.Xattrs) > 0
}

// put gives an entry what the record says of owner, mode and attributes.
func (r *Record) put(e *images.Entry) {
	e.UID, e.GID, e.Xattrs = r.UID, r.GID, r.Xattrs
	e.Mode = defaultMode(e.Type, e.Mode)
	if r.HasMode && e.Type != images.Symlink {
		e.Mode = r.Mode
	}
}

// entry is the file that a record alone makes: a directory, a device, a FIFO.
func (r *Record) entry() images.Entry {
	e := images.Entry{Path: r.Path, Type: r.Type, Major: r.Major, Minor: r.Minor}
	r.put(&e)
	return e
}
