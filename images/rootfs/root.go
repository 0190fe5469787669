//go:build unix

// Package rootfs is a directory that the files of an image go to: safely,
// whatever their names are, and with everything that an entry says of them.
//
// [Write] puts a whole source into a new directory, [Configure] an overlay
// into one that is there. Beneath them are the operations that everything
// else which makes an image's files stands on: a [Root] is the directory, a
// [Dirs] finds places in it, a [File] is a regular file in the making.
//
// Paths are those of [images.Entry]: absolute in the image, clean. They are
// resolved from the root step by step and never through a symbolic link, so
// that none of them leads out of it.
package rootfs

import (
	"fmt"

	"golang.org/x/sys/unix"
)

// Root is a directory that an image goes to, or is looked at in. Several
// goroutines may use it.
type Root struct {
	name string
	fd   int
}

const openDirFlags = unix.O_RDONLY | unix.O_DIRECTORY | unix.O_NOFOLLOW | unix.O_CLOEXEC

// Open opens the directory called name, which may be a link to one.
func Open(name string) (*Root, error) {
	fd, err := openAt(unix.AT_FDCWD, name, unix.O_RDONLY|unix.O_DIRECTORY|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, fmt.Errorf("open directory %s: %w", name, err)
	}
	return &Root{name: name, fd: fd}, nil
}

// Name is what the directory was opened as.
func (r *Root) Name() string { return r.name }

// Close lets go of the directory. Its Dirs are closed before.
func (r *Root) Close() { unix.Close(r.fd) }

// Dirs finds places in the directory, for one goroutine.
func (r *Root) Dirs() *Dirs { return &Dirs{root: r.fd, fd: -1} }

// openAt opens past signals, which the Go runtime sends to itself.
func openAt(dir int, name string, flags int, mode uint32) (int, error) {
	for {
		fd, err := unix.Openat(dir, name, flags, mode)
		switch err {
		case unix.EINTR:
			continue
		case unix.EMLINK:
			err = unix.ELOOP // FreeBSD's word for a link that O_NOFOLLOW does not follow
		}
		return fd, err
	}
}
