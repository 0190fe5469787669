package track

import (
	"hash/maphash"
	"sync"

	"cloudlets/provision"
)

const (
	// laneCount is how many writes of decisions may run at once, each of which takes
	// as long as a disk or a cluster needs. A store makes one write of several that
	// wait, or several servers of a cluster work on them.
	laneCount = 256
	// flushers is how many lanes are written at once of what need not be durable.
	flushers = 16
)

// lane is some of the machines. Writes of one lane come one after the other, so
// that a machine's events keep their order.
type lane struct {
	writing sync.Mutex // held during each write
	// The tracker's mu guards the fields below.
	dirty     map[provision.MAC]struct{} // machines with events that wait
	forgotten map[provision.MAC]struct{} // strangers to be deleted
}

func newLanes() []lane {
	lanes := make([]lane, laneCount)
	for i := range lanes {
		lanes[i] = lane{dirty: make(map[provision.MAC]struct{}), forgotten: make(map[provision.MAC]struct{})}
	}
	return lanes
}

var laneSeed = maphash.MakeSeed()

// lane returns the lane of a machine.
func (t *Tracker) lane(mac provision.MAC) *lane {
	return &t.lanes[maphash.String(laneSeed, string(mac))%uint64(len(t.lanes))]
}
