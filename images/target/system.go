// Package target makes of one image, and one configuration, whatever a machine
// can be started from: a disk for BIOS and UEFI, a virtual machine's disk, a
// RAM disk, a kernel with its command line.
//
// There is one road from an image to a disk. [Look] finds out what it takes to
// know of the image. [NewPlan] decides everything that does not depend on the
// disk's size. A [Plan] is then carried out in one of two ways: [NewDisk] and
// [Disk.Write] write a disk from its beginning to its end, and the agent on a
// machine partitions its disk and fills it. Both get layout, filesystems, boot
// menu and additional files from the plan's methods.
//
// A [System] is what goes to a disk. Everything that is made of it here is
// reproducible: identifiers and times come from the content, unless they are
// given.
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
	// Source has all files of the copy and no others: the overlay is on it,
	// what is volatile is not in it. Tree has at least these.
	Source images.Source
	Tree   images.Tree
	// Overlay is what was configured; nil is nothing.
	Overlay images.Overlay
	// Cmdline renders the template that the manifest has for a kernel's
	// command line; nil takes it as it is.
	Cmdline func(ctx context.Context, template string) (string, error)
}

// Identity is what two builds of the same system have in common.
type Identity struct {
	// ID is where all identifiers of a disk come from.
	ID uuid.UUID
	// Time is the time of whatever has no time of its own.
	Time time.Time
	// Entries counts the files.
	Entries int
}

// Identify makes an identity of what the system's files are called, how long
// they are, when they were changed and to whom they belong, and of the
// overlay's content. Contents of other files are not read, for that would cost
// one more pass over all of them: a file that is changed has another time. Two
// builds with all times clamped, whose files differ in content and not in
// size, have the same identity.
func (s System) Identify(ctx context.Context) (Identity, error) {
	sum := sha256.New()
	var id Identity
	err := s.Source.Walk(ctx, func(e images.Entry, _ io.Reader) error {
		id.Entries++
		if e.ModTime.After(id.Time) {
			id.Time = e.ModTime
		}
		return hashEntry(sum, e)
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

// hashEntry writes all that an entry says.
func hashEntry(w hash.Hash, e images.Entry) error {
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

// hashText writes a text so that no two texts in a row are like another two.
func hashText(w hash.Hash, s string) {
	w.Write(binary.BigEndian.AppendUint32(nil, uint32(len(s))))
	io.WriteString(w, s)
}

// Rendered are kernels with their command lines rendered.
func (s System) Rendered(ctx context.Context, kernels []boot.Kernel) ([]boot.Kernel, error) {
	if s.Cmdline == nil {
		return kernels, nil
	}
	kernels = slices.Clone(kernels)
	for i := range kernels {
		line, err := s.Cmdline(ctx, kernels[i].Cmdline)
		if err != nil {
			return nil, err
		}
		kernels[i].Cmdline = line
	}
	return kernels, nil
}
