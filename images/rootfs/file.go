//go:build unix

package rootfs

import (
	"golang.org/x/sys/unix"

	"cloudlets/images"
)

// File is a regular file in the making. Until it is sealed nobody but its
// owner can read it. Several goroutines may write to it, one seals it.
type File struct {
	fd int
}

// Create makes a regular file. It takes no file that is there, and follows no
// link: both are an error.
func (d *Dirs) Create(p string) (File, error) {
	dir, base, err := d.Parent(p)
	if err != nil {
		return File{fd: -1}, err
	}
	const flags = unix.O_WRONLY | unix.O_CREAT | unix.O_EXCL | unix.O_NOFOLLOW | unix.O_CLOEXEC
	fd, err := openAt(dir, base, flags, 0o600)
	return File{fd: fd}, err
}

// Write writes data at off, save for the blocks that are all zeros: those
// become holes, and where data ends in one the file is not as long as it
// should be before Truncate. off is a multiple of [BlockSize].
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

// WriteAll makes data all of the file's content.
func (f File) WriteAll(data []byte) error {
	if err := f.Write(data, 0); err != nil {
		return err
	}
	if len(data) > 0 && !IsZero(data[(len(data)-1)/BlockSize*BlockSize:]) {
		return nil // the last block was written, so the length is right
	}
	return f.Truncate(int64(len(data)))
}

// Truncate sets the file's length in bytes: what nobody writes is a hole.
func (f File) Truncate(size int64) error { return unix.Ftruncate(f.fd, size) }

// Sync waits until the file is on the disk.
func (f File) Sync() error { return unix.Fsync(f.fd) }

// Seal gives the file the metadata of e, at whose path it was created, and
// closes it, whether or not there is an error: a filesystem may tell of a
// failed write only at close. d is a Dirs of the same root.
func (f File) Seal(d *Dirs, e *images.Entry) error { return f.seal(d, e, nil) }

// TrySeal is Seal without the rights of root, as [Dirs.TrySetMetadata] is.
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

// Close closes the file as it is.
func (f File) Close() error { return unix.Close(f.fd) }
