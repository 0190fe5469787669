package track

// Slots is how many servers may share a store.
const Slots = 64

// An event's ID is the time at which it was recorded, in microseconds since 1970,
// rounded down to a multiple of Slots, plus the slot of its server. If several
// events are recorded at once, the later ones get the next such numbers. So all
// IDs differ, IDs of one server grow, those of several servers are in the order of
// their clocks, and a program that keeps numbers as floating point can hold them
// until the year 2255.

// takeID returns the ID of the next event. The caller holds mu.
func (t *Tracker) takeID() uint64 {
	now := uint64(max(t.clock().UnixMicro(), 0))
	t.lastID = max(now/Slots, t.lastID/Slots+1)*Slots + uint64(t.slot)
	return t.lastID
}

// slotOf returns the slot of the server that recorded an event.
func slotOf(id uint64) int { return int(id % Slots) }
