// Package metadata handles the file /.cloudlet/metadata. It keeps what a
// revision control system, or a user who is not root, loses of an image's
// files. (What clouds call metadata is package provision/cloudinit.)
//
// A repository keeps the content of regular files, whether their owner may
// execute them, and symbolic links. The metadata file keeps the rest: numeric
// owners, complete modes, extended attributes (including capabilities and
// ACLs), empty directories, devices, FIFOs, and which names are hard links. It
// is a text file in the style of mtree(5): a header, then one line for each
// file that differs from the default, sorted by the bytes of its path.
//
//	#cloudlet-metadata 1
//	/dev/null type=char device=1,3 mode=0666
//	/etc/shadow gid=42 mode=0640
//	/usr/bin/perl5.36.0 link=/usr/bin/perl
//	/var/empty type=dir
//
// The default is owner 0:0, no extended attributes, and a mode of 0755 for
// directories and for files that their owner may execute, or 0644 otherwise.
// Changing the owner of one file therefore changes one line, and two such
// changes can be merged. For the same reason times are not kept: all files of a
// revision have the time of the revision.
//
// [Parse] reads the text, [File.WriteTo] writes it, and [Merge] merges two branches of
// it. [Read] and [Write] do so for the image in a directory. Which records a tree needs,
// and how a tree gets what its records say, is the subject of package trees.
package metadata

import (
	"errors"
	"slices"
	"strings"

	"cloudlets/images"
)

// Path is the path of the metadata file in an image. The file is bookkeeping
// and not part of the image.
const Path = "/.cloudlet/metadata"

// Record is the metadata of one path.
type Record struct {
	// Path has the form of [images.Entry.Path].
	Path string
	// Type is 0 for a file that the repository keeps by itself: a regular file,
	// a symbolic link, or a directory that contains a kept file. It is
	// Directory for a directory without kept files, or CharDevice, BlockDevice,
	// FIFO or HardLink.
	Type images.Type
	// Link is the path of the file to which a HardLink belongs. The record of
	// that path has the rest of the file's metadata.
	Link string
	// Major and Minor are the numbers of a device.
	Major, Minor uint32
	UID, GID     uint32
	// Mode has the bits 0o7777. It is used only if HasMode is set; otherwise
	// the file has the default mode.
	Mode    uint32
	HasMode bool
	// Xattrs maps the full names of extended attributes to their raw values.
	Xattrs map[string]string
}

// File is the content of a metadata file. The zero value means that everything
// has the default. A File is immutable.
type File struct {
	records []Record // sorted by path
}

// ErrConflict means that the metadata file contains the conflict marks of a
// merge that nobody has resolved yet.
var ErrConflict = errors.New("resolve the merge in " + Path + ": it contains conflict marks")

// Records returns the records of the file, sorted by path.
func (f File) Records() []Record { return slices.Clone(f.records) }

// Lookup returns the record of a path, if there is one.
func (f File) Lookup(p string) (Record, bool) {
	i, ok := slices.BinarySearchFunc(f.records, p, func(r Record, p string) int { return strings.Compare(r.Path, p) })
	if !ok {
		return Record{}, false
	}
	return f.records[i], true
}

// New makes a file from records in any order.
func New(records []Record) File {
	slices.SortFunc(records, func(a, b Record) int { return strings.Compare(a.Path, b.Path) })
	return File{records: records}
}

// IsNode reports whether a file is a device or a FIFO. A repository cannot keep
// these at all, and they have no content.
func IsNode(t images.Type) bool {
	return t == images.CharDevice || t == images.BlockDevice || t == images.FIFO
}

// defaultMode returns the mode of a file without a recorded mode. It depends on
// the file's type and on the mode that the repository shows.
func defaultMode(t images.Type, shown uint32) uint32 {
	switch {
	case t == images.Symlink:
		return 0o777
	case t == images.Directory, t == images.Regular && shown&0o100 != 0:
		return 0o755
	}
	return 0o644
}

// RecordOf returns the record of an entry, and whether the entry needs one. It
// cannot know whether a directory is empty or a file is a hard link; the caller
// handles these.
func RecordOf(e *images.Entry) (Record, bool) {
	r := Record{Path: e.Path, UID: e.UID, GID: e.GID, Xattrs: e.Xattrs}
	if IsNode(e.Type) {
		r.Type, r.Major, r.Minor = e.Type, e.Major, e.Minor
	}
	if e.Mode != defaultMode(e.Type, e.Mode) && e.Type != images.Symlink {
		r.Mode, r.HasMode = e.Mode, true
	}
	return r, r.Type != 0 || r.UID != 0 || r.GID != 0 || r.HasMode || len(r.Xattrs) > 0
}

// Put sets the owner, mode and attributes of an entry to those of the record.
func (r *Record) Put(e *images.Entry) {
	e.UID, e.GID, e.Xattrs = r.UID, r.GID, r.Xattrs
	e.Mode = defaultMode(e.Type, e.Mode)
	if r.HasMode && e.Type != images.Symlink {
		e.Mode = r.Mode
	}
}

// Entry returns the file that exists only because of the record: a directory, a
// device or a FIFO.
func (r *Record) Entry() images.Entry {
	e := images.Entry{Path: r.Path, Type: r.Type, Major: r.Major, Minor: r.Minor}
	r.Put(&e)
	return e
}
