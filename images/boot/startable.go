package boot

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
)

// Open opens a file, as often as it is called.
type Open func() (io.ReadCloser, error)

// maxKernel bounds an unpacked kernel, in bytes.
const maxKernel = 256 << 20

// Startable returns how to open a kernel in the form that firmware and boot loaders
// start. For arm64 many distributions pack the whole kernel with gzip. Some boot
// loaders unpack that, but UEFI firmware and systemd-boot do not, so it is unpacked
// here. A kernel that unpacks itself, with an EFI stub (CONFIG_EFI_ZBOOT) or the x86
// boot protocol, stays as it is.
func Startable(open Open) Open {
	return func() (io.ReadCloser, error) {
		r, _, err := openKernel(open)
		return r, err
	}
}

// StartableSize returns the length in bytes of a kernel as [Startable] gives it. size
// is the length of the file.
func StartableSize(open Open, size int64) (int64, error) {
	r, packed, err := openKernel(open)
	if err != nil {
		return 0, err
	}
	if packed {
		size, err = io.Copy(io.Discard, r)
	}
	return size, errors.Join(err, r.Close())
}

func openKernel(open Open) (r io.ReadCloser, packed bool, err error) {
	file, err := open()
	if err != nil {
		return nil, false, err
	}
	head := make([]byte, 2)
	n, _ := io.ReadFull(file, head) // a shorter file is no kernel, and an error returns when it is read
	whole := io.MultiReader(bytes.NewReader(head[:n]), file)
	if !isGzip(head[:n]) {
		return kernelFile{whole, file}, false, nil
	}
	unpacked, err := gzip.NewReader(bufio.NewReaderSize(whole, 64<<10))
	if err != nil {
		return nil, true, errors.Join(fmt.Errorf("unpack a kernel: %w", err), file.Close())
	}
	return kernelFile{&bounded{unpacked, maxKernel}, file}, true, nil
}

// isGzip says whether a file that begins with head is packed by gzip (RFC 1952, 2.3.1).
func isGzip(head []byte) bool { return len(head) >= 2 && head[0] == 0x1f && head[1] == 0x8b }

// kernelFile reads a kernel, and closes its file.
type kernelFile struct {
	io.Reader
	io.Closer
}

// bounded reads what is unpacked, and returns an error after left bytes.
type bounded struct {
	unpacked io.Reader
	left     int64
}

func (b *bounded) Read(p []byte) (int, error) {
	n, err := b.unpacked.Read(p)
	if b.left -= int64(n); b.left < 0 {
		return 0, fmt.Errorf("unpack a kernel: it is longer than the %d bytes allowed", int64(maxKernel))
	}
	if err != nil && err != io.EOF {
		err = fmt.Errorf("unpack a kernel: %w", err)
	}
	return n, err
}
