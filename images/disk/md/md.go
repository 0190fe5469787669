// Package md writes and reads the superblocks of Linux software RAID (md) with metadata
// 1.0, for mirrors (RAID 1), and has the kernel assemble such an array.
//
// Metadata 1.0 stands at the end of a member, and its data begin at the member's first
// byte. So whatever knows nothing of RAID reads one member as the plain filesystem that
// the array has: firmware reads an EFI system partition, GRUB a root filesystem. Nothing
// but md may write it, or the members differ.
//
//	0                                            Array.Size        superblock    end
//	┌────────────────────────────────────────────┬─────────────────┬─────────────┐
//	│ the array's content                        │ 128 KiB or more │ 4 KiB, then │
//	│                                            │ for a bitmap    │ 4 to 8 KiB  │
//	└────────────────────────────────────────────┴─────────────────┴─────────────┘
//
// The format is that of struct mdp_superblock_1 in the kernel's
// include/uapi/linux/raid/md_p.h, and of what drivers/md/md.c checks (super_1_load). md
// counts in sectors of 512 bytes, whatever the sectors of the device are; this package
// counts in bytes.
package md

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Array is what all members of an array say of it.
type Array struct {
	// ID is the array's UUID. mdadm writes the same bytes as 0f1e2d3c:4b5a6978:….
	ID uuid.UUID
	// Name is what people call it, such as "node1:root": a host, a colon, and a name. It
	// has up to MaxName bytes. mdadm shows the host as local or foreign by it.
	Name string
	// Level is the kind of array: 1 is a mirror. Only mirrors are written.
	Level int
	// Size is how many bytes of each member have the array's content. It is the length
	// of a mirror.
	Size int64
	// Places is how many members the array has when it is complete.
	Places int
	// Created is when it was made, to a microsecond.
	Created time.Time
}

// Role is what a device of an array does: its place in the array, counted from 0, or one
// of the constants.
type Role uint16

// The roles that are no place.
const (
	Spare   Role = 0xffff // takes the place of a member that fails; or there is no such device
	Faulty  Role = 0xfffe // failed, and was not replaced
	Journal Role = 0xfffd // keeps a journal; mirrors have none
)

func (r Role) String() string {
	switch r {
	case Spare:
		return "spare"
	case Faulty:
		return "faulty"
	case Journal:
		return "journal"
	}
	return fmt.Sprintf("member %d", uint16(r))
}

// Member is what the superblock of one device says.
type Member struct {
	Array
	// Device is the UUID of this device. The kernel does not use it.
	Device uuid.UUID
	// Number is which of the array's devices this is. It stays when the role changes.
	Number int
	// Roles are those of all devices, by their numbers. Devices beyond its end are spares.
	Roles []Role
	// Capacity is how many bytes of this device may be used for content.
	Capacity int64
	// Offset is where the content begins, in bytes from the device's start; 0 for what is
	// written here.
	Offset int64
	// Updated is when the superblock was written last, to a microsecond.
	Updated time.Time
	// Events counts the changes of the array's state. A member whose count is less than
	// another's by more than one was not there when the array changed: its content is old.
	Events uint64
	// Synced is how many bytes, from the start, are known to be the same on all members.
	// All of an array that was stopped well: [AllSynced].
	Synced int64
	// Features says what else the superblock has, by bits of the kernel's MD_FEATURE_*.
	// Only 0 is written.
	Features uint32
}

// AllSynced is the value of [Member.Synced] when all members are the same.
const AllSynced int64 = -1

// Bounds of what is written.
const (
	// MaxName is the longest name, in bytes.
	MaxName = 32
	// maxRoles is how many roles the kernel lets a superblock of 4 KiB have, and
	// writtenRoles how many are in one that is written: as many as fit in the first KiB,
	// so that there is room for devices that come later.
	maxRoles     = (superblockSize - headSize) / 2
	writtenRoles = 384
	// maxPlaces is how many places a mirror that is written has at most.
	maxPlaces = 8
	// bitmapRoom lies between the content and the superblock. mdadm puts a write-intent
	// bitmap there, when somebody adds one to the array: of up to 128 KiB.
	bitmapRoom = 128 << 10
	// MinDevice is the smallest device that is made a member, in bytes.
	MinDevice = 1 << 20
)

// Role is what this device does in the array.
func (m Member) Role() Role {
	if m.Number < 0 || m.Number >= len(m.Roles) {
		return Spare
	}
	return m.Roles[m.Number]
}

// Clean says whether the array was stopped when all of its members were the same. If not,
// the kernel compares and copies all of it when it starts the array.
func (m Member) Clean() bool { return m.Synced == AllSynced }

// Missing are the places of the array that no device had when the superblock was written.
func (m Member) Missing() []int {
	var missing []int
	for place := range min(m.Places, maxRoles) {
		if !slices.Contains(m.Roles, Role(place)) {
			missing = append(missing, place)
		}
	}
	return missing
}

// String says in a line which array this is a member of.
func (m Member) String() string {
	state := "clean"
	if !m.Clean() {
		state = "not clean"
	}
	return fmt.Sprintf("%s of %d of RAID %d array %q (%s), %s, %d events", m.Role(), m.Places, m.Level, m.Name, m.ID, state, m.Events)
}

// Room returns how many bytes of content a member on a device of size bytes can have.
func Room(size int64) (int64, error) {
	if size < MinDevice {
		return 0, fmt.Errorf("a member of an array of %d bytes: it must have %d or more", size, MinDevice)
	}
	return capacity(size) - bitmapRoom, nil
}

// Identity is what tells an array from all others. The caller makes the UUIDs, and so
// decides whether an array that is made again is the same one.
type Identity struct {
	ID      uuid.UUID
	Name    string
	Created time.Time
	// Devices are the UUIDs of the members, in the order of their places.
	Devices []uuid.UUID
}

// Mirror returns the superblocks of a new mirror whose members have the given sizes, in
// bytes. It is as long as the smallest allows. The array is clean: the caller writes the
// same content to all members, and what the array's filesystem does not use may differ.
func Mirror(id Identity, sizes []int64) ([]Member, error) {
	if len(sizes) == 0 || len(sizes) != len(id.Devices) {
		return nil, fmt.Errorf("make the array %q: it has %d members and %d UUIDs for them", id.Name, len(sizes), len(id.Devices))
	}
	room, err := Room(slices.Min(sizes))
	if err != nil {
		return nil, fmt.Errorf("make the array %q: %w", id.Name, err)
	}
	array := Array{ID: id.ID, Name: id.Name, Level: 1, Size: room, Places: len(sizes), Created: id.Created}
	roles := make([]Role, len(sizes))
	for place := range roles {
		roles[place] = Role(place)
	}
	members := make([]Member, len(sizes))
	for place, size := range sizes {
		members[place] = Member{
			Array: array, Device: id.Devices[place], Number: place, Roles: slices.Clone(roles),
			Capacity: capacity(size), Updated: id.Created, Events: 1, Synced: AllSynced,
		}
		if err := members[place].check(size); err != nil {
			return nil, err
		}
	}
	return members, nil
}

// check says why the member cannot be written to a device of size bytes.
func (m Member) check(size int64) error {
	var errs []error
	wrong := func(is bool, format string, args ...any) {
		if is {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	wrong(size < MinDevice, "its device has %d bytes: it must have %d or more", size, MinDevice)
	wrong(m.ID == uuid.Nil, "it has no UUID")
	wrong(m.Device == uuid.Nil, "the device has no UUID")
	wrong(len(m.Name) > MaxName || strings.ContainsFunc(m.Name, control), "the name %q is longer than %d bytes, or has control characters", m.Name, MaxName)
	wrong(m.Level != 1, "its level is %d: only mirrors are written", m.Level)
	wrong(m.Places < 1 || m.Places > maxPlaces, "it has %d places: 1 to %d can be written", m.Places, maxPlaces)
	wrong(len(m.Roles) > writtenRoles, "it has %d devices: up to %d can be written", len(m.Roles), writtenRoles)
	wrong(m.Number < 0 || m.Number >= writtenRoles, "the device has the number %d: it must be less than %d", m.Number, writtenRoles)
	wrong(m.Features != 0, "it has features (%#x), which cannot be written", m.Features)
	wrong(m.Offset != 0, "its content begins at byte %d: it must be 0", m.Offset)
	wrong(m.Size <= 0 || m.Size%sector != 0 || m.Size > m.Capacity, "the length of %d bytes is not that of sectors in the device's %d bytes", m.Size, m.Capacity)
	wrong(m.Capacity%sector != 0 || m.Capacity > capacity(size), "the capacity of %d bytes is not that of sectors in front of the superblock", m.Capacity)
	wrong(m.Synced < AllSynced || m.Synced%sector != 0 && m.Synced != AllSynced, "it is synced up to byte %d, which is not the end of a sector", m.Synced)
	wrong(!timeFits(m.Created) || !timeFits(m.Updated), "its times are before 1970, or too late")
	if len(errs) > 0 {
		return fmt.Errorf("write the superblock of the array %q: %w", m.Name, errors.Join(errs...))
	}
	return nil
}

func control(r rune) bool { return r < ' ' || r == 0x7f }
