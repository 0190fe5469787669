package md

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"time"

	"github.com/google/uuid"
)

// Lengths in bytes. sector is what the superblock counts in, headSize where the table of
// roles begins, and superblockSize what the kernel reads and writes.
const (
	sector         = 512
	headSize       = 256
	superblockSize = 4096
)

// magic begins a superblock, of md's major version 1.
const (
	magic = 0xa92b4efc
	major = 1
)

// Where the fields of struct mdp_superblock_1 stand, in bytes from its start. All numbers
// are little-endian. What is left out here is zero in what is written: a layout, chunks, a
// bitmap, a reshape, a recovery, a list of bad blocks.
const (
	atMagic    = 0
	atMajor    = 4
	atFeatures = 8
	atID       = 16
	atName     = 32
	atCreated  = 64
	atLevel    = 72 // signed
	atSize     = 80 // sectors
	atPlaces   = 92
	atOffset   = 128 // sectors
	atCapacity = 136 // sectors
	atSelf     = 144 // where this superblock is, in sectors from the device's start
	atNumber   = 160
	atDevice   = 168
	atUpdated  = 192
	atEvents   = 200
	atSynced   = 208 // sectors; all ones: all
	atSum      = 216
	atMaxRoles = 220 // how many roles follow, and are summed
)

// ErrNoMember says that a device has no superblock of metadata 1.0.
var ErrNoMember = errors.New("there is no superblock of md with metadata 1.0")

// superblockAt returns where the superblock of a device of size bytes stands: at the last
// multiple of 4 KiB with 8 KiB or more after it.
func superblockAt(size int64) int64 { return (size/sector - 16) &^ 7 * sector }

// capacity is how much of a device of size bytes is in front of its superblock.
func capacity(size int64) int64 { return superblockAt(size) }

// Read reads the superblock of a device of size bytes. The error is an [ErrNoMember] if
// there is none; another one says what is wrong with it. A superblock that belongs to a
// device of another length is no member: one is left behind when a partition is made
// longer.
func Read(r io.ReaderAt, size int64) (Member, error) {
	at := superblockAt(size)
	if at < 0 {
		return Member{}, ErrNoMember
	}
	b := make([]byte, superblockSize)
	if _, err := io.ReadFull(io.NewSectionReader(r, at, superblockSize), b); err != nil {
		return Member{}, fmt.Errorf("read the superblock of md at byte %d: %w", at, err)
	}
	return decode(b, at)
}

// decode reads the superblock b, which stands at byte at. It refuses what the kernel
// refuses, but for features and padding: a newer kernel may have put something there.
func decode(b []byte, at int64) (Member, error) {
	le := binary.LittleEndian
	if le.Uint32(b[atMagic:]) != magic || le.Uint32(b[atMajor:]) != major {
		return Member{}, ErrNoMember
	}
	bad := func(format string, args ...any) (Member, error) {
		return Member{}, fmt.Errorf("the superblock of md at byte %d is damaged: "+format, append([]any{at}, args...)...)
	}
	roles := le.Uint32(b[atMaxRoles:])
	if roles > maxRoles {
		return bad("it has %d roles, and room for %d", roles, maxRoles)
	}
	b = b[:headSize+2*roles]
	if have, want := le.Uint32(b[atSum:]), checksum(b); have != want {
		return bad("its checksum is %08x and should be %08x", have, want)
	}
	if self, ok := bytesOf(le.Uint64(b[atSelf:])); !ok || self != at {
		return bad("it says that it is at sector %d", le.Uint64(b[atSelf:]))
	}
	m := Member{
		Array: Array{
			ID: uuid.UUID(b[atID : atID+16]), Name: text(b[atName : atName+MaxName]), Level: int(int32(le.Uint32(b[atLevel:]))),
			Created: timeOf(le.Uint64(b[atCreated:])),
		},
		Device: uuid.UUID(b[atDevice : atDevice+16]), Updated: timeOf(le.Uint64(b[atUpdated:])),
		Events: le.Uint64(b[atEvents:]), Features: le.Uint32(b[atFeatures:]),
		Roles: decodeRoles(b[headSize:]),
	}
	var fits [5]bool
	m.Size, fits[0] = bytesOf(le.Uint64(b[atSize:]))
	m.Offset, fits[1] = bytesOf(le.Uint64(b[atOffset:]))
	m.Capacity, fits[2] = bytesOf(le.Uint64(b[atCapacity:]))
	m.Synced, fits[3] = AllSynced, true
	if synced := le.Uint64(b[atSynced:]); synced != math.MaxUint64 {
		m.Synced, fits[3] = bytesOf(synced)
	}
	fits[4] = le.Uint32(b[atPlaces:]) <= maxRoles && le.Uint32(b[atNumber:]) < maxRoles
	if slices.Contains(fits[:], false) {
		return bad("a length, a place or a number in it is too large")
	}
	m.Places, m.Number = int(le.Uint32(b[atPlaces:])), int(le.Uint32(b[atNumber:]))
	if m.Capacity > at || m.Size > m.Capacity || m.Offset > at-m.Capacity {
		return bad("%d bytes of content, in %d from byte %d, are not in front of it", m.Size, m.Capacity, m.Offset)
	}
	return m, nil
}

// bytesOf returns how many bytes a number of sectors is, if a device can have them.
func bytesOf(sectors uint64) (int64, bool) {
	if sectors > math.MaxInt64/sector {
		return 0, false
	}
	return int64(sectors) * sector, true
}

// decodeRoles reads a table of roles. The spares at its end are left out: nearly all of it.
func decodeRoles(b []byte) []Role {
	var roles []Role
	for i := 0; i+1 < len(b); i += 2 {
		roles = append(roles, Role(binary.LittleEndian.Uint16(b[i:])))
	}
	for len(roles) > 0 && roles[len(roles)-1] == Spare {
		roles = roles[:len(roles)-1]
	}
	if len(roles) == 0 {
		return nil
	}
	return slices.Clip(roles)
}

// Write writes the superblock of a member to its device of size bytes. Write it after the
// array's content: with it, the device is one whose content counts.
func Write(w io.WriterAt, size int64, m Member) error {
	b, err := m.encode(size)
	if err != nil {
		return err
	}
	if _, err := w.WriteAt(b, superblockAt(size)); err != nil {
		return fmt.Errorf("write the superblock of the array %q: %w", m.Name, err)
	}
	return nil
}

// encode makes the superblock of a member on a device of size bytes.
func (m Member) encode(size int64) ([]byte, error) {
	if err := m.check(size); err != nil {
		return nil, err
	}
	le, b := binary.LittleEndian, make([]byte, superblockSize)
	le.PutUint32(b[atMagic:], magic)
	le.PutUint32(b[atMajor:], major)
	copy(b[atID:], m.ID[:])
	copy(b[atName:atName+MaxName], m.Name)
	le.PutUint64(b[atCreated:], timeBits(m.Created))
	le.PutUint32(b[atLevel:], uint32(m.Level))
	le.PutUint64(b[atSize:], uint64(m.Size/sector))
	le.PutUint32(b[atPlaces:], uint32(m.Places))
	le.PutUint64(b[atCapacity:], uint64(m.Capacity/sector))
	le.PutUint64(b[atSelf:], uint64(superblockAt(size)/sector))
	le.PutUint32(b[atNumber:], uint32(m.Number))
	copy(b[atDevice:], m.Device[:])
	le.PutUint64(b[atUpdated:], timeBits(m.Updated))
	le.PutUint64(b[atEvents:], m.Events)
	le.PutUint64(b[atSynced:], math.MaxUint64)
	if m.Synced != AllSynced {
		le.PutUint64(b[atSynced:], uint64(m.Synced/sector))
	}
	le.PutUint32(b[atMaxRoles:], writtenRoles)
	for number := range writtenRoles {
		role := Spare
		if number < len(m.Roles) {
			role = m.Roles[number]
		}
		le.PutUint16(b[headSize+2*number:], uint16(role))
	}
	le.PutUint32(b[atSum:], checksum(b[:headSize+2*writtenRoles]))
	return b, nil
}

// checksum sums a superblock up to its last role, without the sum that is in it: its words
// of 32 bits, and a word of 16 that remains; what is carried out is added at the end.
func checksum(b []byte) uint32 {
	le, sum := binary.LittleEndian, uint64(0)
	for i := 0; i+4 <= len(b); i += 4 {
		if i != atSum {
			sum += uint64(le.Uint32(b[i:]))
		}
	}
	if len(b)%4 == 2 {
		sum += uint64(le.Uint16(b[len(b)-2:]))
	}
	return uint32(sum) + uint32(sum>>32)
}

// text reads a name, which ends with its field or with a zero.
func text(b []byte) string {
	if end := slices.Index(b, 0); end >= 0 {
		b = b[:end]
	}
	return string(b)
}

// A time has its seconds since 1970 in 40 bits, and microseconds in the 24 above.
const secondBits = 40

func timeFits(t time.Time) bool { return t.Unix() >= 0 && t.Unix() < 1<<secondBits }

func timeBits(t time.Time) uint64 {
	return uint64(t.Unix()) | uint64(t.Nanosecond()/1000)<<secondBits
}

// timeOf reads a time. Its microseconds may be anything in what is foreign, so that they
// are cut to what is less than a second.
func timeOf(bits uint64) time.Time {
	micro := min(bits>>secondBits, 999_999)
	return time.Unix(int64(bits&(1<<secondBits-1)), int64(micro)*1000).UTC()
}
