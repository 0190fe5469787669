package disk

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/bytesize"
	"cloudlets/images/disk/md"
	"cloudlets/images/disk/slots"
)

// ErrNoMirror is returned for a disk that is not one of a mirror's two.
var ErrNoMirror = errors.New("the disk is not one of a mirror's two")

// mirrorRoom is more than what the superblock of a member takes at the end of its
// partition, in bytes.
const mirrorRoom = mib

// linuxRAID is the type of a partition that is a member of an array. Nothing mounts such
// a partition by itself.
const linuxRAID = "A19D880F-05FC-4D3B-A006-743F0F84911E"

// mirrorData is the name by which the persistent partition of a mirror is recognised. All
// of a mirror's partitions have other names than those of a disk that stands alone, so
// that nothing which knows only those writes a single member.
const mirrorData = "mirror-data"

func mirrorName(n slots.Name) string { return "mirror-" + string(n) }

// mirrored makes members of mirrors of the partitions that both disks have.
func (l Layout) mirrored(opts Options) (Layout, error) {
	switch {
	case !opts.Slots:
		return Layout{}, errors.New("lay out disk: a mirror has two slots for systems")
	case opts.Keep != nil:
		return Layout{}, errors.New("lay out disk: a mirror is laid out anew as a whole, and keeps no partition")
	}
	for _, p := range []struct {
		*Partition
		name string
	}{{&l.Root, mirrorName(slots.A)}, {&l.Other, mirrorName(slots.B)}, {&l.Persistent, mirrorData}} {
		if p.Size == 0 {
			continue
		}
		id, err := guid("", opts.Seed, "array "+p.name)
		if err != nil {
			return Layout{}, err
		}
		p.Name, p.Type, p.Array = p.name, linuxRAID, id.String()
	}
	return l, nil
}

// Second returns the layout of the other disk of a mirror, which has size bytes, no fewer
// than the layout was made for. It has the same partitions in the same places, members of
// the same mirrors, and identifiers of its own.
func (l Layout) Second(size int64) (Layout, error) {
	if size < l.Size {
		return Layout{}, fmt.Errorf("lay out the second disk of a mirror: it has %d bytes, and was to have %d", size, l.Size)
	}
	seed := l.GUID
	l.Size, l.GUID = size, derivedGUID(seed, "second disk").String()
	for _, p := range []*Partition{&l.BIOSBoot, &l.ESP, &l.Root, &l.Other, &l.Persistent} {
		p.GUID = derivedGUID(seed, "second "+p.Name).String()
	}
	return l, nil
}

// Replacement returns the layout of a new disk of size bytes, which takes the place of the one
// that was beside a disk with this layout. It has the same partitions in the same places,
// members of the same mirrors, and identifiers of its own, which are derived from the seed.
func (l Layout) Replacement(size int64, seed string) (Layout, error) {
	all := l.Partitions()
	seed += " beside " + l.GUID
	l.Size, l.Kept, l.GUID = size, false, derivedGUID(seed, "new disk").String()
	if need := all[len(all)-1].end() + l.backupSize(); size/l.Sector*l.Sector < need {
		return Layout{}, fmt.Errorf("it has %s (%d bytes), and needs %s (%d bytes) to have what is on the other one", bytesize.Binary(size), size, bytesize.Binary(need), need)
	}
	for _, p := range []*Partition{&l.BIOSBoot, &l.ESP, &l.Root, &l.Other, &l.Persistent} {
		p.GUID = derivedGUID(seed, "new "+p.Name).String()
	}
	return l, nil
}

// Resized returns the layout for a disk that is larger than the one it was made for. The
// partitions stay, and the backup table goes to the disk's end.
func (l Layout) Resized(size int64) Layout {
	l.Size = max(size, l.Size)
	return l
}

// FindMirror returns the layout of a disk that is one of a mirror's two, with slot A as
// its Root, and Persistent as kept. A partition whose superblock is lost or cannot be read has
// no Array: the other disk may be whole, and the partitions are where they are.
// The error wraps [ErrNoMirror] if an install of this program did not make the disk so.
func FindMirror(r io.ReaderAt, size, sector int64) (Layout, error) {
	t, err := readTable(r, size, sector)
	if err != nil {
		return Layout{}, fmt.Errorf("look for a mirror: %w: %w", ErrNoMirror, err)
	}
	l, ok := twoSlots(t, size, sector, mirrorName, mirrorData)
	if !ok {
		return Layout{}, fmt.Errorf("look for a mirror: %w", ErrNoMirror)
	}
	for _, p := range []*Partition{&l.Root, &l.Other, &l.Persistent} {
		if p.Size == 0 {
			continue
		}
		if m, err := p.Member(r); err == nil {
			p.Array = m.ID.String()
		}
	}
	return l, nil
}

// Member reads the superblock by which a partition of a disk is the member of a mirror.
// The error is an [md.ErrNoMember] if there is none.
func (p Partition) Member(r io.ReaderAt) (md.Member, error) {
	return md.Read(io.NewSectionReader(r, p.Offset, p.Size), p.Size)
}

// NewArray returns the layout with a new mirror in its Root: an update makes the mirror of
// the slot that it writes anew. The seed is that of [Options].
func (l Layout) NewArray(seed string) Layout {
	l.Root.Array = derivedGUID(seed, "array "+l.Root.Name).String()
	return l
}

// Mirror makes a new mirror of one partition on each of two disks, by writing its superblocks.
// What the partitions had before is lost. Both members count as current, although their old
// bytes differ: a new filesystem is made on the mirror, and reads only what was written to it,
// which goes to both. Name is what people call it, and seed that of [Options].
func Mirror(parts [2]Partition, devices [2]Device, name, seed string, at time.Time) error {
	id := md.Identity{Name: name, Created: at}
	var err error
	if id.ID, err = uuid.Parse(parts[0].Array); err != nil || parts[1].Array != parts[0].Array {
		return fmt.Errorf("make the mirror %s: its members are of %q and %q", name, parts[0].Array, parts[1].Array)
	}
	for n := range parts {
		id.Devices = append(id.Devices, derivedGUID(seed, fmt.Sprintf("member %d of %s", n, parts[0].Array)))
	}
	members, err := md.Mirror(id, []int64{parts[0].Size, parts[1].Size})
	if err != nil {
		return err
	}
	for n, p := range parts {
		if err := md.Write(offsetWriter{devices[n], p.Offset}, p.Size, members[n]); err != nil {
			return err
		}
		if err := devices[n].Sync(); err != nil {
			return fmt.Errorf("make the mirror %s: %w", name, err)
		}
	}
	return nil
}

// ArrayNumber is the number by which the kernel runs the mirror in a partition, of the
// device /dev/md<number>. It is a high one: those of an image's own configuration begin
// with 0, or with 127 downwards.
func ArrayNumber(p Partition) int { return firstArray + p.Number }

const firstArray = 100
