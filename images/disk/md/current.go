package md

import "slices"

// recoveryOffset is the bit of [Member.Features] for a device that has the array's content only
// up to some byte, as it was being filled: MD_FEATURE_RECOVERY_OFFSET.
const recoveryOffset = 2

// whole says whether a device has a place in the array, and all of the array's content as it
// was when the superblock was written. A spare has nothing, and a device that was being filled
// has only a part.
func (m Member) whole() bool { return int(m.Role()) < m.Places && m.Features&recoveryOffset == 0 }

// Current returns the indexes, in rising order, of those members of an array that have its
// latest content. These are the member with the most events, and those that this one lists as
// active and that have not missed a change. A member that was being filled may be among the
// latter, and the kernel goes on to fill it. The result is empty if no member is whole.
//
// The other members were away while the array changed, or it changed on both sides, each
// without the other. Give the kernel only the current members to start an array: some of its
// versions take each member's own word for its place, and would join two sides that differ.
func Current(members []Member) []int {
	latest := -1
	for n, m := range members {
		if m.whole() && (latest < 0 || m.newer(members[latest])) {
			latest = n
		}
	}
	var current []int
	for n, m := range members {
		if n == latest || latest >= 0 && m.fellowOf(members[latest]) {
			current = append(current, n)
		}
	}
	return current
}

func (m Member) newer(than Member) bool {
	return m.Events > than.Events || m.Events == than.Events && m.Updated.After(than.Updated)
}

// fellowOf says whether a member has the content of the latest one.
func (m Member) fellowOf(latest Member) bool {
	known := Member{Number: m.Number, Roles: latest.Roles}
	return m.ID == latest.ID && m.Number != latest.Number && m.Events+1 >= latest.Events && int(known.Role()) < latest.Places
}

// Disks are the members of several arrays on the same disks: Disks[a][d] is the member of the
// array a that is on the disk d, or the zero Member if there is none. The arrays come in the
// order of their weight.
type Disks [][]Member

// Latest returns the disk whose content counts, if the disks differ. The first array that one
// of them has in a later state decides for all arrays: so what comes from one disk fits
// together, even if each disk ran without the other and each is ahead in another array. It is
// -1 if all members have the latest content.
func (d Disks) Latest() int {
	for _, members := range d {
		if current := Current(members); len(current) == 1 && there(members) > 1 {
			return current[0]
		}
	}
	return -1
}

// Current returns the disks whose members of the array a have its latest content. See [Current],
// and [Disks.Latest] for what counts if the disks differ.
func (d Disks) Current(a int) []int { return CurrentOn(d[a], d.Latest()) }

// CurrentOn is [Current] for the members of an array on several disks, of which latest is that
// of [Disks.Latest].
func CurrentOn(members []Member, latest int) []int {
	current := Current(members)
	if latest >= 0 && len(current) < there(members) && members[latest].whole() {
		return []int{latest}
	}
	return current
}

// there counts the members that there are.
func there(members []Member) int {
	n := 0
	for _, m := range members {
		if m.Places > 0 {
			n++
		}
	}
	return n
}

// Replacement returns a superblock by which a device becomes a new member of the array that
// m is a member of, in the place of one that is missing; see Add. Its content does not count
// yet. Device is the UUID of the new one, on size bytes.
func (m Member) Replacement(device [16]byte, size int64) Member {
	r := Member{
		Array: m.Array, Device: device, Roles: slices.Clone(m.Roles), Capacity: capacity(size),
		Updated: m.Updated, Synced: AllSynced,
	}
	if m.Number == 0 {
		r.Number = 1
	}
	for len(r.Roles) <= r.Number {
		r.Roles = append(r.Roles, Spare)
	}
	r.Roles[r.Number] = Spare
	return r
}
