// Package images is the cloudlets format: a root filesystem made smarter by
// one JSON file, /.cloudlet/manifest. It knows no network and no policy.
//
// The nouns of the format stand on this page. A [Source] is read once from
// end to end; a [Tree] can be asked for any file, and an [Ordered] is both, in
// the order that gives an image its identity. An [Image] is a source and
// its [manifest.Manifest]. A [manifest.Config] is what a user wants of one copy of an image, and
// an [Overlay] is what that makes of the image's templates.
package images

import (
	"context"
	"io"
	"time"
)

// Places inside an image that the format itself owns.
const (
	// Dir is the folder that makes a root filesystem a cloudlet.
	Dir = "/.cloudlet"
	// ManifestPath is where an image keeps its manifest.
	ManifestPath = "/.cloudlet/manifest"
	// AppliedConfigPath records the configuration that was applied to a copy.
	AppliedConfigPath = "/.cloudlet/applied_config"
)

// Type says what kind of file an entry is.
type Type uint8

// The kinds of file that a root filesystem holds. Sockets are none of them:
// they mean nothing without the process that made them.
const (
	Regular Type = iota + 1
	Directory
	Symlink
	HardLink
	CharDevice
	BlockDevice
	FIFO
)

// Entry is one file of an image with everything that must survive the trip to
// a disk. Owners are numbers: names are the image's own business.
type Entry struct {
	// Path is absolute, cleaned and slash-separated, "/etc/hosts"; the root
	// itself is "/". It is bytes, and need not be UTF-8.
	Path string
	Type Type
	// Mode holds the permission bits with setuid, setgid and sticky: 0o7777.
	Mode     uint32
	UID, GID uint32
	// Size is a regular file's length in bytes, holes included.
	Size    int64
	ModTime time.Time
	// Link is a symlink's target as it is written, or for a hard link the
	// path of the entry that it is another name of.
	Link string
	// Major and Minor number a device.
	Major, Minor uint32
	// Xattrs are extended attributes, capabilities ("security.capability")
	// and ACLs among them: full name to raw value.
	Xattrs map[string]string
}

// VisitFunc is called for each entry of a walk. For a regular file content
// reads its Size bytes, and only until the call returns; otherwise it is nil.
type VisitFunc func(e Entry, content io.Reader) error

// Source is where an image's files come from, in one pass: a directory, a
// tarball. Walk visits each path once: a directory before what is in it, a
// hard link after the entry that it names. The same source gives the same
// order every time. It returns the first error, its own or visit's.
type Source interface {
	Walk(ctx context.Context, visit VisitFunc) error
}

// Tree is random access to an image's files by path. It follows no symbolic
// links; [Resolve] does, and never leads out of the image. Errors for absent
// paths satisfy errors.Is(err, fs.ErrNotExist).
type Tree interface {
	// Entry tells what is at path.
	Entry(path string) (Entry, error)
	// ReadDir lists what is directly in the directory at path, sorted.
	ReadDir(path string) ([]Entry, error)
	// Open reads the regular file at path (or the hard link to one).
	Open(path string) (io.ReadCloser, error)
}

// Ordered is a tree that can be walked, in the canonical order: a directory,
// then what is in it by the bytes of the names, each directory with all that
// is beneath it before the next name ([ComparePaths]). The first name of a file
// that has several is the file; the others are hard links to it.
//
// Packs and disks are made of sources in this order, so that the same files
// make the same pack and the same disk, whether they came as a directory, a
// tarball, a revision or a container image.
type Ordered interface {
	Source
	Tree
}

// File is an entry together with its content, small enough to be in memory.
type File struct {
	Entry
	Content []byte
}

// Overlay is what differs between two copies of one image: its templates
// rendered, the record of its configuration, the machine's identity.
type Overlay []File
