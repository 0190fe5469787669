package ramdisk

import (
	"fmt"
	"io"
)

// The file types of a cpio mode field, as in stat(2).
const (
	modeDir  = 0o040000
	modeReg  = 0o100000
	modeChar = 0o020000
)

// maxFile is the longest file that a newc header can tell: its sizes are
// eight hexadecimal digits.
const maxFile = 1<<32 - 1

// archive writes the "newc" form of cpio that the kernel unpacks as its first
// root (Documentation/driver-api/early-userspace/buffer-format). Names have no
// leading slash; parents are made as they are needed.
type archive struct {
	w     io.Writer
	n     int64
	inode uint32
	dirs  map[string]bool
}

func newArchive(w io.Writer) *archive {
	return &archive{w: w, dirs: map[string]bool{"": true, ".": true}}
}

// header is what differs between the entries of an archive. Owners are root
// and times are zero, so that equal contents give equal bytes.
type header struct {
	name         string
	mode         uint32
	size         int64
	major, minor uint32
}

func (a *archive) put(h header, content io.Reader) error {
	if h.size > maxFile {
		return fmt.Errorf("put %s into the RAM disk: %d bytes are more than the 4 GiB that a cpio archive can hold", h.name, h.size)
	}
	a.inode++
	head := fmt.Sprintf("070701%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%08x%s\x00",
		a.inode, h.mode, 0, 0, 1, 0, h.size, 0, 0, h.major, h.minor, len(h.name)+1, 0, h.name)
	if err := a.write([]byte(head)); err != nil {
		return err
	}
	if content != nil {
		n, err := io.Copy(a.w, io.LimitReader(content, h.size))
		a.n += n
		if err != nil {
			return fmt.Errorf("put %s into the RAM disk: %w", h.name, err)
		}
		if n != h.size {
			return fmt.Errorf("put %s into the RAM disk: it ended after %d of %d bytes", h.name, n, h.size)
		}
	}
	return a.pad()
}

// write writes b and pads to the next multiple of four, where names and
// contents begin.
func (a *archive) write(b []byte) error {
	n, err := a.w.Write(b)
	a.n += int64(n)
	if err != nil {
		return fmt.Errorf("write the RAM disk: %w", err)
	}
	return a.pad()
}

func (a *archive) pad() error {
	var zero [4]byte
	n, err := a.w.Write(zero[:(4-a.n%4)%4])
	a.n += int64(n)
	return err
}

// close ends the archive.
func (a *archive) close() error {
	return a.put(header{name: "TRAILER!!!"}, nil)
}
