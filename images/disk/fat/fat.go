// Package fat writes FAT16 and FAT32 filesystems, which every firmware can read,
// in one pass and from a list of files.
//
// It writes only what a new filesystem needs: free clusters keep their old
// bytes, files lie contiguously, and the boot sector, without which there is no
// filesystem, comes last. The old bytes need not be zero. The same files and
// options give the same bytes.
//
// The code is ours because the FAT32 of github.com/diskfs/go-diskfs v1.9.4 writes
// wrong ".." entries into directories of the second level. It also fills a
// filesystem file by file with random access, but disks are written to streams
// too, which need all bytes in ascending order.
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

// Options describe a filesystem. The zero value describes one without a label on
// sectors of 512 bytes.
type Options struct {
	// Label is the volume's name, e.g. "ESP": up to 11 capital letters, digits
	// and some signs. If it is empty, the name is "NO NAME".
	Label string
	// Serial is the volume's number, which Linux shows as its UUID
	// ("1234-ABCD").
	Serial uint32
	// SectorSize is the device's logical sector in bytes: 512 (the default)
	// to 4096.
	SectorSize int64
	// ClusterSize is the unit of allocation in bytes. With 0 a size is chosen
	// that makes the filesystem FAT32 if it is large enough for that.
	ClusterSize int64
	// Time is the time stamp of all files, written as UTC. FAT cannot represent
	// years before 1980, so earlier times become the beginning of 1980.
	Time time.Time
}

// File is a regular file to be written. Directories are made from the paths.
type File struct {
	// Path is relative and slash-separated, e.g. "EFI/BOOT/BOOTX64.EFI".
	Path string
	// Size is the content's length in bytes, at most 4 GiB - 1.
	Size int64
	// Open returns the content, which must be exactly Size bytes. It is called
	// once, just before the file is written, and the reader is closed.
	Open func() (io.ReadCloser, error)
}

// Bytes returns a file with the given content.
func Bytes(path string, content []byte) File {
	return File{Path: path, Size: int64(len(content)), Open: func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(content)), nil
	}}
}

// Write makes a filesystem of size bytes with the files on w. It checks that FAT
// can hold the files before it writes anything. If it fails later, or if ctx
// ends, w has no boot sector and is not recognised as a filesystem.
func Write(ctx context.Context, w io.WriterAt, size int64, opts Options, files []File) error {
	p, err := newPlan(size, opts, files)
	if err != nil {
		return err
	}
	out := &writer{ctx: ctx, w: w, plan: p}
	return out.run(out.invalidate, out.directories, out.contents, out.tables, out.reserved, out.bootSector)
}

// WriteInOrder is like Write, but writes in ascending order of offsets. It is for
// a w that cannot go back and that is used only once it is complete. Free
// clusters are not written.
func WriteInOrder(ctx context.Context, w io.WriterAt, size int64, opts Options, files []File) error {
	p, err := newPlan(size, opts, files)
	if err != nil {
		return err
	}
	out := &writer{ctx: ctx, w: w, plan: p}
	return out.run(out.bootSector, out.reserved, out.tables, out.directories, out.contents)
}

// Check returns the error with which Write would refuse these files. It opens
// none of them.
func Check(size int64, opts Options, files []File) error {
	_, err := newPlan(size, opts, files)
	return err
}

// plan is a filesystem in which every file has its clusters.
type plan struct {
	geometry
	opts  Options
	label [11]byte
	root  *node
	dirs  []*node  // in the order of their clusters; the root is the first
	files []*node  // in the order of their clusters
	ends  []uint32 // the last cluster of each directory and file, in ascending order
	used  uint32   // clusters in use
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

// allocate assigns clusters to every directory and then to every file.
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
		return fmt.Errorf("lay out FAT filesystem: its files need %d bytes, but there is room for only %d: give it a larger partition or fewer files",
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
