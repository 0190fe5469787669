// Package powercut is, for tests alone, a disk that loses its power.
//
// A [Disk] keeps what a machine writes in a file, and a log of every request. A real
// disk has a cache that is lost without power: a write is certain to stay only when a
// flush that came after it was answered, or when it was itself written through (FUA).
// The others may stay or be lost, each for itself and in any order, and one that was
// under way may be there in part. [Disk.Restore] makes the disk as it may be after a
// [Cut] at any request of the log, so that one recorded run has as many power cuts in
// it as it has requests, and each can be looked at again.
//
// A [Server] gives the disk to QEMU, which speaks NBD by itself.
package powercut

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
)

// Sector is what a disk writes as a whole or not at all, in bytes.
const Sector = 512

// maxLog bounds the bytes that a log keeps.
const maxLog = 16 << 30

// ErrNoPower is returned for every request after the power was cut.
var ErrNoPower = errors.New("the disk has no power")

// kind is what a request asks for.
type kind byte

const (
	write kind = iota
	zero       // to write zeros, or to forget: both read as zeros here
	flush
)

// request is one of the log. Reads are not in it.
type request struct {
	kind kind
	// through says that the bytes are on stable storage when the request is answered.
	through  bool
	off, len int64
	at       int64 // where the bytes of a write are in the log's file
}

// end is the offset of the first byte behind the request.
func (r request) end() int64 { return r.off + r.len }

// Disk is a disk with a cache and a log. Its methods may be called at once.
type Disk struct {
	size int64
	base string // a file with what was on the disk at first; "" is nothing

	mu       sync.Mutex
	together []piece  // see Together
	content  *os.File // as the machine reads it
	bytes    *os.File // of all writes, one behind the other
	end      int64    // of bytes
	log      []request
	cutAt    int           // the request at which the power is cut; negative is never
	cut      chan struct{} // closed when the power is cut
	hasPower bool
}

// New makes a disk of size bytes, with files in dir. What is on it at first is a copy of
// the file base, or nothing if base is "". The file must stay as it is.
func New(dir, base string, size int64) (*Disk, error) {
	d := &Disk{size: size, base: base, cutAt: -1, cut: make(chan struct{}), hasPower: true}
	fail := func(err error) (*Disk, error) {
		return nil, errors.Join(fmt.Errorf("make a disk with a log: %w", err), d.Close())
	}
	if size <= 0 || size%Sector != 0 {
		return fail(fmt.Errorf("%d bytes are not whole sectors of %d", size, Sector))
	}
	var err error
	if d.content, err = os.CreateTemp(dir, "content-*"); err != nil {
		return fail(err)
	}
	if d.bytes, err = os.CreateTemp(dir, "log-*"); err != nil {
		return fail(err)
	}
	if err := d.copyBase(d.content, 0, size); err != nil {
		return fail(err)
	}
	return d, nil
}

// Close removes the disk's files.
func (d *Disk) Close() error {
	var errs []error
	for _, f := range []*os.File{d.content, d.bytes} {
		if f != nil {
			errs = append(errs, f.Close(), os.Remove(f.Name()))
		}
	}
	return errors.Join(errs...)
}

// Size is the disk's length in bytes.
func (d *Disk) Size() int64 { return d.size }

// Requests says how many requests the log has.
func (d *Disk) Requests() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.log)
}

// Together says that the disk writes a part of itself, which is not longer than a request to
// it, as a whole or not at all, as one with longer physical sectors does.
func (d *Disk) Together(off, length int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.together = append(d.together, piece{off: off, length: length})
}

// Touching returns the numbers of the writes to a part of the disk.
func (d *Disk) Touching(off, length int64) (list []int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for n, r := range d.log {
		if r.kind != flush && r.off < off+length && r.end() > off {
			list = append(list, n)
		}
	}
	return list
}

// CutAt cuts the power when the log gets request n, which is not answered any more, and
// neither is any later one. The channel is closed then.
func (d *Disk) CutAt(n int) (cut <-chan struct{}) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutAt = n
	return d.cut
}

// ReadAt reads what was written last, flushed or not.
func (d *Disk) ReadAt(p []byte, off int64) (int, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if !d.hasPower {
		return 0, ErrNoPower
	}
	return d.content.ReadAt(p, off)
}

// Write writes whole sectors. If through is true, they are on stable storage when it
// returns, whatever was written before.
func (d *Disk) Write(p []byte, off int64, through bool) error {
	return d.do(request{kind: write, through: through, off: off, len: int64(len(p))}, p)
}

// Zero makes whole sectors read as zeros, as Write does it.
func (d *Disk) Zero(off, length int64, through bool) error {
	return d.do(request{kind: zero, through: through, off: off, len: length}, nil)
}

// Flush returns when all that was written before is on stable storage.
func (d *Disk) Flush() error { return d.do(request{kind: flush}, nil) }

func (d *Disk) do(r request, p []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	switch {
	case !d.hasPower:
		return ErrNoPower
	case r.off < 0 || r.len < 0 || r.off > d.size-r.len || r.off%Sector != 0 || r.len%Sector != 0:
		return fmt.Errorf("write %d bytes at %d: the disk has %d, in sectors of %d", r.len, r.off, d.size, Sector)
	case d.end+r.len > maxLog && r.kind == write:
		return fmt.Errorf("write %d bytes at %d: the log has %d already", r.len, r.off, d.end)
	}
	if r.kind == write {
		r.at = d.end
		if _, err := d.bytes.WriteAt(p, r.at); err != nil {
			return fmt.Errorf("log a write: %w", err)
		}
		d.end += r.len
	}
	d.log = append(d.log, r)
	if d.cutAt >= 0 && len(d.log) > d.cutAt {
		d.hasPower = false
		close(d.cut)
		return ErrNoPower
	}
	return d.apply(d.content, r, piece{len(d.log) - 1, r.off, r.len}, 0)
}

// piece is what is there of a request's bytes: length of them from the disk's offset off on.
type piece struct {
	request     int
	off, length int64
}

// apply puts a piece of a request's bytes into a file, whose beginning is the disk's offset
// from.
func (d *Disk) apply(f *os.File, r request, p piece, from int64) error {
	switch r.kind {
	case write:
		src := io.NewSectionReader(d.bytes, r.at+p.off-r.off, p.length)
		if _, err := io.Copy(io.NewOffsetWriter(f, p.off-from), src); err != nil {
			return fmt.Errorf("write a disk's file: %w", err)
		}
	case zero:
		return punch(f, p.off-from, p.length)
	}
	return nil
}

// copyBase gives a file the length and the first content of a part of the disk.
func (d *Disk) copyBase(f *os.File, off, length int64) error {
	if d.base == "" {
		return f.Truncate(length)
	}
	base, err := os.Open(d.base)
	if err != nil {
		return err
	}
	defer base.Close()
	return Copy(f, base, off, length)
}

// socketName is that of a server's socket in its folder.
const socketName = "nbd"

// Socket returns the path of the socket that a server of a folder listens on.
func Socket(dir string) string { return filepath.Join(dir, socketName) }
