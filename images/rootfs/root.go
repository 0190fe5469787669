//go:build unix

// Package rootfs writes the files of an image into a directory. It is safe for
// any file name, and it keeps all the metadata of an entry.
//
// [Write] writes a whole source into a new directory. [Configure] puts an
// overlay into an existing one. Both stand on three smaller types, which other
// packages also use to make an image's files: a [Root] is the directory, a
// [Dirs] finds paths in it, and a [File] is a regular file that is being
// written.
//
// Paths are those of [images.Entry]: absolute within the image, and clean. They
// are resolved step by step from the root and never through a symbolic link, so
// no path leads out of the root.
package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Root is the directory of an image, opened for reading or writing files in it.
// Several goroutines may use it.
type Root struct {
	name string
	fd   int
}

const openDirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// Open opens the directory called name, which may be a symbolic link to a
// directory.
func Open(name string) (*Root, error) {
	fd, err := openAt(unix.AT_FDCWD, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	return &Root{name: name, fd: fd}, nil
}

// Name returns the name with which the directory was opened.
func (r *Root) Name() string { return r.name }

// Close closes the directory. Its Dirs must be closed before.
func (r *Root) Close() { unix.Close(r.fd) }

// Dirs returns a new Dirs of the directory, for one goroutine.
func (r *Root) Dirs() *Dirs { return &Dirs{root: r.fd, fd: -1} }

// openAt is openat(2). It retries when a signal interrupts the call, since the
// Go runtime sends signals to itself.
func openAt(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		switch err {
		case unix.EINTR:
			continue
		case unix.EMLINK:
			err = unix.ELOOP // FreeBSD returns EMLINK if O_NOFOLLOW meets a symbolic link
		}
		return fd, err
	}
}
