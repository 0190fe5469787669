package track

import (
	"maps"
	"strings"
	"sync"

	"cloudlets/provision"
)

// Files is what the machines' files say of what tells machines apart. Its answers come
// from memory.
type Files interface {
	Spec(provision.MAC) (provision.Spec, bool)
	// Machine is the machine whose file lists a network card, or else the card.
	Machine(card provision.MAC) provision.MAC
	// ByUUID is the machine whose file has a UUID.
	ByUUID(provision.UUID) (provision.MAC, bool)
}

// Machine is the machine that has a network card, by its primary MAC: the one whose
// file has the card's MAC as its name or lists it, or else the one whose file has the
// UUID that the card last showed. Any other card is a machine of its own.
func (t *Tracker) Machine(files Files, card provision.MAC) provision.MAC {
	if machine, described := Described(files, card); described {
		return machine
	}
	if machine, known := files.ByUUID(t.cards.shown(card)); known {
		return machine
	}
	return card
}

// Described is the machine whose file names a network card, or else the card.
func Described(files Files, card provision.MAC) (machine provision.MAC, described bool) {
	machine = files.Machine(card)
	_, described = files.Spec(machine)
	return machine, described
}

// Shown is the UUID that a network card showed when it last booted, or "".
func (t *Tracker) Shown(card provision.MAC) provision.UUID { return t.cards.shown(card) }

// Resembles is the machine of the site that seems to have a network card which no file
// names: the only one that showed the same UUID, or whose agent found the card. That is
// for people to judge: a UUID can be forged, or be the same on many boards.
func (t *Tracker) Resembles(files Files, card provision.MAC, uuid provision.UUID) (provision.MAC, bool) {
	for _, machine := range t.cards.resembling(card, uuid) {
		if _, described := files.Spec(machine); described && machine != card {
			return machine, true
		}
	}
	return "", false
}

// cards finds machines by what was seen of them. It has a lock of its own, since each
// packet of a stranger asks.
type cards struct {
	mu     sync.RWMutex
	seen   map[provision.MAC]provision.CardSeen // what each card last showed
	byUUID owners[provision.UUID]               // machines that showed it
	byNIC  owners[provision.MAC]                // machines whose agent found it
	of     map[provision.MAC]identity           // what the maps have of each machine
}

// identity is what is in a machine's state of what tells it from others.
type identity struct {
	uuid provision.UUID
	nics string
	// booted are the cards by which it booted.
	booted map[provision.MAC]provision.CardSeen
}

// owners are the machines that have something.
type owners[K comparable] map[K]map[provision.MAC]struct{}

func (o owners[K]) add(key K, machine provision.MAC) {
	if o[key] == nil {
		o[key] = make(map[provision.MAC]struct{}, 1)
	}
	o[key][machine] = struct{}{}
}

func (o owners[K]) remove(key K, machine provision.MAC) {
	if delete(o[key], machine); len(o[key]) == 0 {
		delete(o, key)
	}
}

// only is the machine that has something, if no other has it.
func (o owners[K]) only(key K) []provision.MAC {
	if len(o[key]) != 1 {
		return nil
	}
	for machine := range o[key] {
		return []provision.MAC{machine}
	}
	return nil
}

func newCards() *cards {
	return &cards{
		seen: make(map[provision.MAC]provision.CardSeen), of: make(map[provision.MAC]identity),
		byUUID: make(owners[provision.UUID]), byNIC: make(owners[provision.MAC]),
	}
}

func (c *cards) shown(card provision.MAC) provision.UUID {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return c.seen[card].UUID
}

func (c *cards) resembling(card provision.MAC, uuid provision.UUID) []provision.MAC {
	c.mu.RLock()
	defer c.mu.RUnlock()
	return append(c.byUUID.only(uuid), c.byNIC.only(card)...)
}

// update takes over a machine's state. known says that the site has the machine: of a
// stranger it counts only what its own card showed.
func (c *cards) update(s *provision.State, known bool) {
	next := identity{booted: s.Cards}
	if known {
		next.uuid, next.nics = provision.UUIDOf(s.Facts["uuid"]), s.Facts["macs"]
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	last := c.of[s.MAC]
	if last.uuid != next.uuid || last.nics != next.nics {
		c.forget(s.MAC, last)
		c.learn(s.MAC, next)
	}
	if !maps.Equal(last.booted, next.booted) {
		c.look(last.booted, next.booted)
	}
	if next.uuid == "" && next.nics == "" && len(next.booted) == 0 {
		delete(c.of, s.MAC)
		return
	}
	c.of[s.MAC] = next
}

func (c *cards) learn(machine provision.MAC, i identity) {
	if i.uuid != "" {
		c.byUUID.add(i.uuid, machine)
	}
	for nic := range strings.FieldsSeq(i.nics) {
		c.byNIC.add(provision.MAC(nic), machine)
	}
}

func (c *cards) forget(machine provision.MAC, i identity) {
	if i.uuid != "" {
		c.byUUID.remove(i.uuid, machine)
	}
	for nic := range strings.FieldsSeq(i.nics) {
		c.byNIC.remove(provision.MAC(nic), machine)
	}
}

// look takes over what cards showed. One that two machines have counts as it was seen
// last.
func (c *cards) look(last, next map[provision.MAC]provision.CardSeen) {
	for card, seen := range last {
		if _, still := next[card]; !still && c.seen[card] == seen {
			delete(c.seen, card)
		}
	}
	for card, seen := range next {
		if !seen.Time.Before(c.seen[card].Time) {
			c.seen[card] = seen
		}
	}
}
