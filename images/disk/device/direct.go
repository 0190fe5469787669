//go:build linux

package device

import (
	"fmt"
	"io"
	"os"
	"unsafe"

	"cloudlets/images/disk"
)

// alignment is that of memory, in bytes, from which every device can be
// written past the page cache.
const alignment = 4096

// direct is a device that is open with O_DIRECT: what it acknowledges is at
// the device, and what it reads comes from there. Places and lengths are of
// whole sectors; memory may be any.
type direct struct {
	file   *os.File
	size   int64
	bounce []byte
}

var _ disk.Device = (*direct)(nil)

// deviceError is a failure of the device itself, rather than of what is
// written to it.
type deviceError struct{ error }

func (e deviceError) Unwrap() error { return e.error }

// failed marks an error as the device's own.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return deviceError{err}
}

// WriteAt writes all of p, or fails.
func (d *direct) WriteAt(p []byte, off int64) (int, error) {
	if int64(len(p)) > d.size-off {
		return 0, fmt.Errorf("write %d bytes at %d: the device ends at %d", len(p), off, d.size)
	}
	if !aligned(p) {
		p = d.bounced(len(p), p)
	}
	n, err := d.file.WriteAt(p, off)
	return n, failed(err)
}

// ReadAt fills p, or fails.
func (d *direct) ReadAt(p []byte, off int64) (int, error) {
	if int64(len(p)) > d.size-off {
		return 0, fmt.Errorf("read %d bytes at %d: the device ends at %d: %w", len(p), off, d.size, io.ErrUnexpectedEOF)
	}
	if aligned(p) {
		n, err := d.file.ReadAt(p, off)
		return n, failed(err)
	}
	through := d.bounced(len(p), nil)
	n, err := d.file.ReadAt(through, off)
	return copy(p, through[:n]), failed(err)
}

// Sync returns when the device has put everything on its medium.
func (d *direct) Sync() error { return failed(d.file.Sync()) }

// bounced is aligned memory of n bytes, with a copy of p.
func (d *direct) bounced(n int, p []byte) []byte {
	if len(d.bounce) < n {
		d.bounce = alignedBytes(n)
	}
	copy(d.bounce, p)
	return d.bounce[:n]
}

func aligned(p []byte) bool {
	return uintptr(unsafe.Pointer(unsafe.SliceData(p)))%alignment == 0
}

// alignedBytes makes a buffer that begins at the alignment.
func alignedBytes(n int) []byte {
	b := make([]byte, n+alignment)
	skip := (alignment - uintptr(unsafe.Pointer(unsafe.SliceData(b)))%alignment) % alignment
	return b[skip : skip+uintptr(n) : skip+uintptr(n)]
}
