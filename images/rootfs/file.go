//go:build unix

package rootfs

import (
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// File is a regular file that is being written. Until it is sealed, only its
// owner can read it. Several goroutines may write to it, but only one may seal
// it.
type File struct {
	fd int
}

// Create makes a new regular file. If p exists or is a symbolic link, it
// returns an error.
func (d *Dirs) Create(p string) (File, error) {
	dir, base, err := d.Parent(p)
	if err != nil {
		return File{fd: -1}, err
	}
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := openAt(dir, base, flags, 0o600)
	return File{fd: fd}, err
}

// Write writes data at off, except for blocks of zeros, which become holes. If
// data ends in a hole, the file is too short until Truncate sets its length.
// off must be a multiple of [BlockSize].
func (f File) Write(data []byte, off int64) error {
	for from, to := range dataRuns(data) {
		for from < to {
			n, err := unix.Pwrite(f.fd, data[from:to], off+int64(from))
			if err == unix.EINTR {
				continue
			}
			if err != nil {
				return err
			}
			from += n
		}
	}
	return nil
}

// WriteAll writes data as the whole content of the file.
func (f File) WriteAll(data []byte) error {
	if err := f.Write(data, 0); err != nil {
		return err
	}
	if len(data) > 0 && !IsZero(data[(len(data)-1)/BlockSize*BlockSize:]) {
		return nil // the last block was written, so the length is right
	}
	return f.Truncate(int64(len(data)))
}

// Truncate sets the length of the file in bytes. Parts that are never written
// become holes.
func (f File) Truncate(size int64) error { return unix.Ftruncate(f.fd, size) }

// Sync waits until the file's content is on the disk.
func (f File) Sync() error { return unix.Fsync(f.fd) }

// Seal gives the file the metadata of e and closes it, even if there is an
// error. It also returns the error of closing, because some filesystems report
// a failed write only then. e.Path must be the path at which the file was
// created, and d must belong to the same root.
func (f File) Seal(d *Dirs, e *images.Entry) error { return f.seal(d, e, nil) }

// TrySeal is Seal for a process without root's rights; see
// [Dirs.TrySetMetadata].
func (f File) TrySeal(d *Dirs, e *images.Entry) (lost bool, err error) {
	var a allowance
	err = f.seal(d, e, &a)
	return a.lost, err
}

func (f File) seal(d *Dirs, e *images.Entry, a *allowance) error {
	dir, base, err := d.Parent(e.Path)
	if err == nil {
		err = setOpen(f.fd, dir, base, e, a)
	}
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	return err
}

// Close closes the file without setting its metadata.
func (f File) Close() error { return unix.Close(f.fd) }
