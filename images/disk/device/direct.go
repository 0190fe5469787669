//go:build linux

package device

import (
	"fmt"
	"io"
	"os"
	"unsafe"

	"cloudlets/images/disk"
)

// alignment is the alignment in bytes that memory needs for access without the page
// cache. It suits every device.
const alignment = 4096

// direct is a device opened with O_DIRECT, so reads and writes go to the device and
// not to the page cache. Offsets and lengths must be whole sectors. The memory need
// not be aligned.
type direct struct {
	file   *os.File
	size   int64
	bounce []byte
}

var _ disk.Device = (*direct)(nil)

// deviceError is an error of the device itself rather than of the source of the data.
type deviceError struct{ error }

func (e deviceError) Unwrap() error { return e.error }

// failed wraps an error as a deviceError.
func failed(err error) error {
	if err == nil {
		return nil
	}
	return deviceError{err}
}

// WriteAt writes all of p or returns an error.
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

// ReadAt fills p or returns an error.
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

// Sync returns once the device has stored everything on its medium.
func (d *direct) Sync() error { return failed(d.file.Sync()) }

// bounced returns n bytes of aligned memory that begin with a copy of p.
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

// alignedBytes returns an aligned buffer.
func alignedBytes(n int) []byte {
	b := make([]byte, n+alignment)
	skip := (alignment - uintptr(unsafe.Pointer(unsafe.SliceData(b)))%alignment) % alignment
	return b[skip : skip+uintptr(n) : skip+uintptr(n)]
}
