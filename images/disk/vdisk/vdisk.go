// Package vdisk writes virtual disk containers: the files in which hypervisors store a
// disk, or from which clouds import one.
//
// [Formats] lists the formats. [New] returns a [Writer] for one of them, which receives
// a disk of a known size from its beginning to its end. Skipped holes take no room.
// [Writer.Close] completes the container.
//
// The same disk and the same [Options] give the same bytes, however the disk is divided
// into writes and skips. A run of zeros that is written becomes a hole too.
//
// An unfinished container is not mistaken for a complete one, because the part that
// makes it valid is written last, except in formats that require it first.
package vdisk

import (
	"errors"
	"fmt"
	"io"
	"runtime"
	"time"

	"cloudlets/images/disk/guest"
)

const (
	sector = 512
	kib    = 1 << 10
	mib    = 1 << 20
	gib    = 1 << 30
	tib    = 1 << 40
)

// Compression is how a qcow2's clusters are compressed. The other formats offer no
// choice.
type Compression string

// The compressions that qcow2 knows.
const (
	// Uncompressed is the default.
	Uncompressed Compression = ""
	// Zlib is read by every qemu.
	Zlib Compression = "zlib"
	// Zstd takes half the time of Zlib, and is read by qemu 5.1 and later.
	Zstd Compression = "zstd"
)

// Options control how a container is written. The zero value is valid.
type Options struct {
	// ID is the disk's UUID, from which all other identifiers are derived. A
	// hypervisor treats two disks with the same ID as the same disk. All disks made
	// without an ID have the same identifiers.
	ID [16]byte
	// Time is the time of creation. The zero Time means the first moment that the
	// format can represent, so that the result does not depend on a clock.
	Time time.Time
	// Compression is the compression of a qcow2's clusters.
	Compression Compression
	// BlockSize is the unit in bytes in which a vhdx grows. It is a power of two from
	// 1 MiB to 32 MiB. The default is 32 MiB.
	BlockSize int64
	// Workers is the largest number of cores that compress. The default is all cores.
	Workers int
	// Machine is the virtual machine that an ova describes.
	Machine guest.Machine
}

// File is an output that can be written in any order. An *os.File is a File unless it is
// a pipe or a terminal. It must not be open for appending.
type File interface {
	io.WriterAt
	Truncate(size int64) error
}

// ErrNeedsFile is returned if a format that cannot be streamed is to be written to a
// stream. Such formats have tables before the data that the tables describe.
var ErrNeedsFile = errors.New("it cannot be streamed: write it to a regular file")

// asFile returns out as an empty file that can be written in any order, if it is such a
// file.
func asFile(out io.Writer) (File, bool) {
	f, ok := out.(File)
	return f, ok && f.Truncate(0) == nil
}

// New returns a writer of a container in the named format for a disk of size bytes. The
// format must support the size, see [Format.RoundSize]. The container is written to out,
// which must be a [File] unless the format streams. The old content of a File is lost,
// and the new content has holes. New starts no goroutine, so an unneeded Writer can
// simply be dropped.
func New(format string, out io.Writer, size int64, o Options) (*Writer, error) {
	f, err := Lookup(format)
	if err != nil {
		return nil, err
	}
	if err := f.checkSize(size); err != nil {
		return nil, fmt.Errorf("make a %s disk of %d bytes: %w", format, size, err)
	}
	if o.ID == ([16]byte{}) {
		o.ID = derived(o.ID, "any disk") // VirtualBox requires an ID other than zero
	}
	to, err := f.create(target{out: out, size: size}, o)
	if err != nil {
		return nil, fmt.Errorf("make a %s disk: %w", format, err)
	}
	return newWriter(f, to, size, o.workers()), nil
}

// target is a container's output and the size of its disk.
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

// stream returns the target for a format that only writes forward. A file is also
// written from its beginning.
func (t target) stream() io.Writer {
	if f, ok := asFile(t.out); ok {
		return io.NewOffsetWriter(f, 0)
	}
	return t.out
}

// container is implemented by each format. It stores the content of a disk.
type container interface {
	// put stores cells. They lie after the cells of the previous call.
	put(b batch) error
	// finish completes the container.
	finish() error
}

// workers returns the number of cores that compress.
func (o Options) workers() int {
	if o.Workers > 0 {
		return o.Workers
	}
	return runtime.GOMAXPROCS(0)
}
