// Package fat writes FAT16 and FAT32 filesystems, the kind that every
// firmware can read, in one pass and from a list of files.
//
// It writes what a fresh filesystem needs and no more: free clusters are left
// as they are, files lie contiguously, and the boot sector, without which
// there is no filesystem, comes last. Nothing need be zero beforehand. The
// same files and options give the same bytes.
//
// The format is that of Microsoft's "FAT: General Overview of On-Disk Format"
// (2000), with VFAT long names.
package fat

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"time"
)

// Options shape a filesystem. The zero value is a filesystem without a label
// on sectors of 512 bytes.
type Options struct {
	// Label is the volume's name: up to 11 capital letters, digits and some
	// signs, "ESP". Empty is "NO NAME".
	Label string
	// Serial is the volume's number, which Linux shows as its UUID
	// ("1234-ABCD").
	Serial uint32
	// SectorSize is the device's logical sector in bytes: 512 (the default)
	// to 4096.
	SectorSize int64
	// ClusterSize is the unit of allocation in bytes; 0 picks one that makes
	// the filesystem FAT32 where it is large enough for that.
	ClusterSize int64
	// Time is when all files were made, as UTC; FAT knows no year before
	// 1980, which is what the zero time becomes.
	Time time.Time
}

// File is a regular file to be written. Directories come from paths.
type File struct {
	// Path is relative and slash-separated, "EFI/BOOT/BOOTX64.EFI".
	Path string
	// Size is the content's length in bytes, at most 4 GiB - 1.
	Size int64
	// Open gives the content, which must be exactly Size bytes. It is called
	// once, when the file's turn comes; the reader is closed.
	Open func() (io.ReadCloser, error)
}

// Bytes makes a file of what is in memory.
func Bytes(path string, content []byte) File {
	return File{Path: path, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// Write makes a filesystem of size bytes on w, with files in it. It refuses
// what FAT cannot hold before it writes anything. When it fails half-way, or
// when ctx ends, what is on w has no boot sector and is no filesystem.
func Write(ctx context.Context, w io.WriterAt, size int64, opts Options, files []File) error {
	p, err := newPlan(size, opts, files)
	if err != nil {
		return err
	}
	out := &writer{ctx: ctx, w: w, plan: p}
	return out.run(out.invalidate, out.directories, out.contents, out.tables, out.reserved, out.bootSector)
}

// WriteInOrder is Write from the beginning of w to its end, for a w that
// cannot go back and is of use only when it is complete: no write is at a
// lower offset than the one before it. Nothing is written where nothing is.
func WriteInOrder(ctx context.Context, w io.WriterAt, size int64, opts Options, files []File) error {
	p, err := newPlan(size, opts, files)
	if err != nil {
		return err
	}
	out := &writer{ctx: ctx, w: w, plan: p}
	return out.run(out.bootSector, out.reserved, out.tables, out.directories, out.contents)
}

// Check says whether Write would accept these files, without opening any.
func Check(size int64, opts Options, files []File) error {
	_, err := newPlan(size, opts, files)
	return err
}

// plan is a filesystem all of whose places are known.
type plan struct {
	geometry
	opts  Options
	label [11]byte
	root  *node
	dirs  []*node // in the order of their clusters; the root is the first
	files []*node // in the order of their clusters
	ends  []uint32
	used  uint32 // clusters in use
}

func newPlan(size int64, opts Options, files []File) (*plan, error) {
	if opts.SectorSize == 0 {
		opts.SectorSize = 512
	}
	label, err := volumeLabel(opts.Label)
	if err != nil {
		return nil, err
	}
	root, err := buildTree(files)
	if err != nil {
		return nil, err
	}
	g, err := newGeometry(size, opts.SectorSize, opts.ClusterSize, root.slots())
	if err != nil {
		return nil, err
	}
	p := &plan{geometry: g, opts: opts, label: label, root: root}
	return p, p.allocate()
}

// allocate gives every directory and then every file its clusters.
func (p *plan) allocate() error {
	p.collect(p.root)
	next := int64(firstCluster)
	for _, n := range append(p.dirs[:len(p.dirs):len(p.dirs)], p.files...) {
		count := p.clustersOf(n)
		if count == 0 {
			continue
		}
		n.cluster = uint32(min(next, int64(maxClusters32)))
		next += count
		p.ends = append(p.ends, uint32(min(next-1, int64(maxClusters32))))
	}
	needed := next - firstCluster
	if needed > p.clusters {
		return fmt.Errorf("lay out FAT filesystem: its files need %d bytes, but there is room for %d: give it a larger partition or fewer files",
			needed*p.cluster, p.clusters*p.cluster)
	}
	p.used = uint32(needed)
	return nil
}

func (p *plan) collect(n *node) {
	p.dirs = append(p.dirs, n)
	for _, c := range n.children {
		if c.dir {
			p.collect(c)
		} else {
			p.files = append(p.files, c)
		}
	}
}

func (p *plan) clustersOf(n *node) int64 {
	switch {
	case n == p.root && !p.fat32:
		return 0 // FAT16 keeps its root directory before the clusters
	case n.dir:
		return max(1, ceilDiv(n.slots()*slotSize, p.cluster))
	default:
		return ceilDiv(n.file.Size, p.cluster)
	}
}
