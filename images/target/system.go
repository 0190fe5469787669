// Package target turns an image and its configuration into anything that can
// start a machine: a disk for BIOS and UEFI, a virtual machine's disk, a live
// image, a RAM disk, or a kernel with its command line.
//
// Every disk is made in the same steps. [Look] finds out what must be known
// about the image. [NewPlan] decides everything that does not depend on the
// disk's size. A [Plan] is then carried out in one of two ways: [NewDisk] and
// [Disk.Write] write a disk from its beginning to its end, and the agent on a
// machine partitions its disk and fills it. Both get layout, filesystems, boot
// menu and additional files from the plan's methods.
//
// A [System] is the image with its configuration. Everything that this package
// makes of it is reproducible: identifiers and times come from the content,
// unless the caller gives them.
package target

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"io"
	"maps"
	"slices"
	"time"

	"github.com/google/uuid"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/manifest"
)

// System is a configured copy of an image.
type System struct {
	Name     string
	Manifest *manifest.Manifest
	// Source has exactly the files of the copy: it includes the overlay, but no
	// volatile files. Tree has at least these files.
	Source images.Source
	Tree   images.Tree
	// Overlay holds the configured files. It may be nil.
	Overlay images.Overlay
	// Cmdline renders the manifest's template for a kernel's command line. If it
	// is nil, the template is used as it is.
	Cmdline func(ctx context.Context, template string) (string, error)
}

// Identity is what two builds of the same system have in common.
type Identity struct {
	// ID is the identifier from which all others of a disk are derived.
	ID uuid.UUID
	// Time is the time for everything that has no time of its own.
	Time time.Time
	// Entries counts the files.
	Entries int
}

// Identify derives an identity from the attributes of the system's files, such
// as names, sizes, times and owners, and from the manifest and the overlay's
// content. It does not read the contents of other files, because that would
// cost one more pass over all of them, and a changed file usually has another
// time. But if two builds have all times clamped, and their files differ in
// content but not in size, they have the same identity.
func (s System) Identify(ctx context.Context) (Identity, error) {
	sum := sha256.New()
	var id Identity
	err := s.Source.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		id.Entries++
		if e.ModTime.After(id.Time) {
			id.Time = e.ModTime
		}
		return HashEntry(sum, e)
	})
	if err != nil {
		return Identity{}, fmt.Errorf("look at image %s: %w", s.Name, err)
	}
	sum.Write(s.Manifest.JSON())
	for _, f := range s.Overlay {
		hashText(sum, f.Path)
		hashText(sum, string(f.Content))
	}
	id.ID = uuid.UUID(sum.Sum(nil)[:16])
	id.ID[6], id.ID[8] = id.ID[6]&0x0f|0x80, id.ID[8]&0x3f|0x80 // version 8: RFC 9562, section 5.8
	return id, nil
}

// HashEntry writes all attributes of an entry to a hash. The content of a file is
// not among them.
func HashEntry(w hash.Hash, e images.Entry) error {
	hashText(w, e.Path)
	hashText(w, e.Link)
	for _, name := range slices.Sorted(maps.Keys(e.Xattrs)) {
		hashText(w, name)
		hashText(w, e.Xattrs[name])
	}
	return binary.Write(w, binary.BigEndian, []int64{
		int64(e.Type), int64(e.Mode), int64(e.UID), int64(e.GID), e.Size,
		e.ModTime.Unix(), int64(e.ModTime.Nanosecond()), int64(e.Major), int64(e.Minor),
	})
}

// hashText writes a text after its length, so that different sequences of texts
// never give the same bytes.
func hashText(w hash.Hash, s string) {
	w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
	io.WriteString(w, s)
}

// Rendered returns copies of kernels with rendered command lines, without words
// that name another disk ([boot.WithoutDisk]). Notices say what was taken out.
func (s System) Rendered(ctx context.Context, kernels []boot.Kernel) (rendered []boot.Kernel, notices []string, err error) {
	kernels = slices.Clone(kernels)
	for i := range kernels {
		if s.Cmdline == nil {
			continue
		}
		line, err := s.Cmdline(ctx, kernels[i].Cmdline)
		if err != nil {
			return nil, nil, err
		}
		kernels[i].Cmdline = line
	}
	notices = ownDisk(kernels)
	return kernels, notices, nil
}
