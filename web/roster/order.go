package roster

import (
	"encoding/binary"
	"net/netip"
	"slices"
	"strings"

	"github.com/google/btree"
)

// Order is what a list is sorted by. Machines that are equal in it are sorted by name.
type Order string

// The orders. ByName is by the hostnames in the machines' files, with numbers by their
// value, and then by MAC. The zero value means the same.
const (
	ByName    Order = "name"
	ByStage   Order = "stage"   // in the order of [Stages]
	ByImage   Order = "image"   // those without one come last
	BySeen    Order = "seen"    // by the latest event; those that were never seen come first
	ByAddress Order = "address" // those without one come last
)

// Orders returns all orders.
func Orders() []Order { return []Order{ByName, ByStage, ByImage, BySeen, ByAddress} }

func orderNames() (names []string) {
	for _, order := range Orders() {
		names = append(names, string(order))
	}
	return names
}

// key sorts machines in this order, and is unique.
func (o Order) key(e *entry) string {
	switch o {
	case ByStage:
		return string([]byte{byte(slices.Index(stages, e.place.stage))}) + e.place.key // 0xff for one that is not known
	case ByImage:
		return orLast(e.names.Image) + "\x00" + e.place.key
	case BySeen:
		var at [8]byte
		if !e.seen.IsZero() {
			binary.BigEndian.PutUint64(at[:], uint64(max(0, e.seen.UnixNano())))
		}
		return string(at[:]) + e.place.key
	case ByAddress:
		address, err := netip.ParseAddr(e.names.Address)
		if err != nil {
			return orLast("") + e.place.key
		}
		whole := address.As16() // IPv4 is ::ffff:0:0/96
		family := "4"
		if address.Is6() {
			family = "6"
		}
		return family + string(whole[:]) + e.place.key
	default:
		return e.place.key
	}
}

// orLast has an empty text come after all others.
func orLast(text string) string {
	if text == "" {
		return "\xff" // in no UTF-8
	}
	return text
}

var stages = Stages()

// list is some of the machines, in each order that somebody has asked for.
type list map[Order]*sorted

// sorted is a list in one order.
type sorted struct {
	order Order
	tree  *btree.BTreeG[item]
	// version changes whenever a page may have other machines.
	version uint64
}

// item is a machine at its place.
type item struct {
	key     string
	machine *machine
}

// degree is how many machines are in a node of a tree, at least.
const degree = 32

func newSorted(order Order) *sorted {
	return &sorted{order: order, tree: btree.NewG(degree, func(a, b item) bool { return a.key < b.key })}
}

// put gives a machine of the list its next place. The old entry is nil if it comes into
// the list, and the next one if it leaves.
func (l list) put(m *machine, old, next *entry) {
	for _, s := range l {
		s.put(m, old, next)
	}
}

func (s *sorted) put(m *machine, old, next *entry) {
	var from, to string
	if old != nil {
		from = s.order.key(old)
	}
	if next != nil {
		to = s.order.key(next)
	}
	if old != nil && next != nil && from == to {
		if !old.alike(next) {
			s.version++
		}
		return
	}
	s.version++
	if old != nil {
		s.tree.Delete(item{key: from})
	}
	if next != nil {
		s.tree.ReplaceOrInsert(item{to, m})
	}
}

// sorted returns a list in an order. It is made when that is first asked for, and kept
// up to date from then on, so that nobody pays for an order that nobody looks at: the one
// of the latest events changes with each event. The caller holds mu.
func (r *Roster) sorted(name List, order Order) *sorted {
	l := r.lists[name]
	if l[order] == nil {
		l[order] = newSorted(order)
		l[ByName].tree.Ascend(func(i item) bool {
			l[order].put(i.machine, nil, i.machine.entry)
			return true
		})
		r.bySeen = r.bySeen || order == BySeen
	}
	return l[order]
}

// walk visits the machines after a key, or all if it is "". Descending, those are the
// ones with smaller keys.
func (s *sorted) walk(after string, descending bool, visit func(item) bool) {
	pivot := item{key: after}
	switch {
	case after == "" && descending:
		s.tree.Descend(visit)
	case descending:
		s.tree.DescendLessOrEqual(pivot, func(i item) bool { return i.key == after || visit(i) })
	default:
		s.tree.AscendGreaterOrEqual(pivot, func(i item) bool { return i.key == after || visit(i) })
	}
}

// filter selects machines of a list. What is "" selects all.
type filter struct {
	search, profile, tag, group, image string
	names                              *NameSet
}

func (f *filter) selects(e *entry) bool {
	return strings.Contains(e.text, f.search) &&
		(f.group == "" || e.group == f.group) &&
		(f.profile == "" || slices.Contains(e.profiles, f.profile)) &&
		(f.tag == "" || slices.Contains(e.tags, f.tag)) &&
		(f.image == "" || f.image == e.names.Image || f.image == e.has) &&
		(f.names == nil || f.names.Has(e.names.Hostname, e.cards...))
}
