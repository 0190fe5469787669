package md

import "slices"

// Current returns which of an array's members have its latest content, in the order of the
// list: the latest one, and those that this one knows as its fellows and that have not missed
// a change. The others were away while it changed, or it changed on both sides, each without
// the other.
//
// Give the kernel only these to start an array: some versions of it take each member's own
// word for its place, and would join two sides that differ.
func Current(members []Member) []int {
	if len(members) == 0 {
		return nil
	}
	latest := 0
	for n, m := range members {
		if best := members[latest]; m.Events > best.Events || m.Events == best.Events && m.Updated.After(best.Updated) {
			latest = n
		}
	}
	var current []int
	for n, m := range members {
		if n == latest || m.fellowOf(members[latest]) {
			current = append(current, n)
		}
	}
	return current
}

// fellowOf says whether a member has the content of the latest one.
func (m Member) fellowOf(latest Member) bool {
	known := Member{Number: m.Number, Roles: latest.Roles}
	return m.Number != latest.Number && m.Events+1 >= latest.Events && int(known.Role()) < latest.Places
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
