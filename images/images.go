// Package images defines the cloudlets format: a root filesystem, made smarter
// by one JSON file, /.cloudlet/manifest. The package knows nothing about
// networks or policy.
//
// These are the nouns of the format. A [Source] is read once from end
// to end. A [Tree] gives access to any file at any time. An [Ordered] is both,
// in the order that gives an image its identity. An [Image] is a source
// together with its [manifest.Manifest]. A [manifest.Config] is what a user
// wants for one copy of an image, and an [Overlay] holds the image's templates,
// rendered with that configuration.
package images

import (
	"context"
	"io"
	"time"
)

// Paths inside an image that the format reserves for itself.
const (
	// Dir is the folder that makes a root filesystem a cloudlet.
	Dir = "/.cloudlet"
	// ManifestPath is where an image keeps its manifest.
	ManifestPath = "/.cloudlet/manifest"
	// AppliedConfigPath is the file that records which configuration was
	// applied to a copy of the image.
	AppliedConfigPath = "/.cloudlet/applied_config"
	// DiskOptionsPath is the file of a disk with two slots that records what its
	// maker asked for, so that an update can ask for the same.
	DiskOptionsPath = "/.cloudlet/disk_options"
)

// Type is the type of a file.
type Type uint8

// The kinds of file that a root filesystem can hold. Sockets are left out: a
// socket means nothing without the process that made it.
const (
	Regular Type = iota + 1
	Directory
	Symlink
	HardLink
	CharDevice
	BlockDevice
	FIFO
)

// Entry describes one file of an image, with everything that must survive the
// trip to a disk. Owners are numbers, because only the image itself knows which
// names they stand for.
type Entry struct {
	// Path is absolute, cleaned and slash-separated, e.g. "/etc/hosts". The
	// root itself is "/". A path is a string of bytes and need not be valid
	// UTF-8.
	Path string
	Type Type
	// Mode holds the permission bits and the setuid, setgid and sticky bits:
	// 0o7777.
	Mode     uint32
	UID, GID uint32
	// Size is the length of a regular file in bytes, including its holes.
	Size    int64
	ModTime time.Time
	// Link is the target of a symbolic link, exactly as it is stored. For a
	// hard link it is the path of the entry that has the content.
	Link string
	// Major and Minor are the numbers of a device.
	Major, Minor uint32
	// Xattrs maps the full names of extended attributes to their raw values.
	// Capabilities ("security.capability") and ACLs are among them.
	Xattrs map[string]string
}

// VisitFunc is called for each entry of a walk. For a regular file, content
// yields its Size bytes and is valid only until the call returns. For other
// types content is nil.
type VisitFunc func(e Entry, content io.Reader) error

// Source provides an image's files in one pass. Directories and tarballs are
// sources. Walk visits each path once: a directory comes before its contents,
// and a hard link comes after the entry that it names. The same source always
// gives the same order. Walk stops at the first error, whether its own or one
// that visit returned, and returns it.
type Source interface {
	Walk(ctx context.Context, visit VisitFunc) error
}

// Tree gives random access to an image's files by path. A tree does not follow
// symbolic links; use [Resolve] for that, which never leaves the image. If a
// path does not exist, the error satisfies errors.Is(err, fs.ErrNotExist).
type Tree interface {
	// Entry describes the file at path.
	Entry(path string) (Entry, error)
	// ReadDir lists the direct children of the directory at path, sorted.
	ReadDir(path string) ([]Entry, error)
	// Open opens the regular file at path, or the hard link to one, for
	// reading.
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

// File is an entry with its content. The content must be small enough to be
// kept in memory.
type File struct {
	Entry
	Content []byte
}

// Overlay holds the files in which two copies of one image differ: the rendered
// templates, the record of the configuration, and the identity of the machine.
type Overlay []File
