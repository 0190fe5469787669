// Package vdisk writes virtual disk containers: the files in which
// hypervisors and clouds keep a disk, or take one for import.
//
// [Formats] lists them. [New] makes a [Writer] of one of them, which is fed
// with a disk of a size known beforehand, from its beginning to its end;
// holes are skipped and take no room. [Writer.Close] completes the container.
//
// The same disk and the same [Options] give the same bytes, however the disk
// was cut into writes and skips: a stretch of zeros written is a hole too.
//
// A container that is given up is never taken for a whole one: what makes it
// valid is written last, where the format does not ask for it first.
package vdisk

import (
	"errors"
	"fmt"
	"io"
	"time"
)

const (
	sector = 512
	kib    = 1 << 10
	mib    = 1 << 20
	gib    = 1 << 30
	tib    = 1 << 40
)

// Compression is how a qcow2's clusters are compressed. The other formats
// leave no choice.
type Compression string

// The compressions that qcow2 knows.
const (
	// Uncompressed is the default.
	Uncompressed Compression = ""
	// Zlib is read by every qemu.
	Zlib Compression = "zlib"
	// Zstd takes half the time, and is read by qemu 5.1 and later.
	Zstd Compression = "zstd"
)

// Options say how a container is written. The zero value is valid.
type Options struct {
	// ID is where all identifiers come from: the disk's own UUID is ID, others
	// are derived from it. Two disks with one ID are one disk to a hypervisor:
	// all disks without one have the same.
	ID [16]byte
	// Time is the time of creation. The zero Time stands for the beginning of
	// the format's own era, so that nothing depends on a clock.
	Time time.Time
	// Compression compresses a qcow2's clusters.
	Compression Compression
	// BlockSize is the unit in which a vhdx grows, in bytes: a power of two
	// from 1 MiB to 32 MiB, which is the default.
	BlockSize int64
	// Workers is how many cores compress at most. The default is all of them.
	Workers int
	// Machine is the virtual machine that an ova describes.
	Machine Machine
}

// File is an output that is written in any order. *os.File is one, unless it
// is a pipe or a terminal, and must not be open for appending.
type File interface {
	io.WriterAt
	Truncate(size int64) error
}

// ErrNeedsFile is the error when a format that cannot be streamed is asked to
// be: its tables lie before what they count.
var ErrNeedsFile = errors.New("it cannot be streamed: write it to a regular file")

// asFile returns out, emptied, as a file that can be written in any order, if
// it is one.
func asFile(out io.Writer) (File, bool) {
	f, ok := out.(File)
	return f, ok && f.Truncate(0) == nil
}

// New returns a writer of the container named format, for a disk of size
// bytes, which is a size that the format takes: see [Format.RoundSize]. It
// writes to out, which must be a [File] unless the format streams; what a
// File held before is lost, and holes are left in it. New starts nothing: a
// Writer that is not wanted any more is just let go.
func New(format string, out io.Writer, size int64, o Options) (*Writer, error) {
	f, err := Lookup(format)
	if err != nil {
		return nil, err
	}
	if err := f.checkSize(size); err != nil {
		return nil, fmt.Errorf("make a %s disk of %d bytes: %w", format, size, err)
	}
	if o.ID == ([16]byte{}) {
		o.ID = derived(o.ID, "any disk") // VirtualBox wants none of zeros
	}
	to, err := f.create(target{out: out, size: size}, o)
	if err != nil {
		return nil, fmt.Errorf("make a %s disk: %w", format, err)
	}
	return newWriter(f, to, size, o.workers()), nil
}

// target is where a container goes and how large its disk is.
type target struct {
	out  io.Writer
	size int64
}

// file returns the target as a file, for a format that needs one.
func (t target) file() (File, error) {
	f, ok := asFile(t.out)
	if !ok {
		return nil, ErrNeedsFile
	}
	return f, nil
}

// stream returns the target for a format that needs no more than to write on
// and on. A file is written from its beginning, too.
func (t target) stream() io.Writer {
	if f, ok := asFile(t.out); ok {
		return io.NewOffsetWriter(f, 0)
	}
	return t.out
}

// container is what each format does with the content of a disk.
type container interface {
	// put stores cells. Each call's cells lie behind those of the call before.
	put(b batch) error
	// finish completes the container.
	finish() error
}
