package leases

import (
	"context"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/google/btree"
)

const (
	// MaxLimit is how many leases a page has at most, and DefaultLimit how many if the
	// query does not say.
	MaxLimit     = 1000
	DefaultLimit = 100
	// maxExamined is how many leases one page looks at. A page may so have fewer leases
	// than its limit, or none, and not be the last.
	maxExamined = 4096
)

// Book is all leases in the order of their addresses, whichever server made them. It
// follows the store, so a page of it costs the same however many leases there are.
// Several goroutines may use it at the same time.
type Book struct {
	stop func()

	mu    sync.RWMutex
	tree  *btree.BTreeG[Record]
	byMAC map[[6]byte]map[netip.Addr]struct{}
}

// Query selects a page of leases. The zero value is the first of those that have not
// ended.
type Query struct {
	// Of are the network cards whose leases it is about; nil means all.
	Of [][6]byte
	// In has the addresses that it is about; the zero value means all.
	In netip.Prefix
	// Hostname is what the clients said that they are called, in capitals or not; ""
	// means any.
	Hostname string
	// Ended says that leases which have ended belong to it.
	Ended bool
	// After is [Page.Next] of the page before, or invalid for the first page.
	After netip.Addr
	// Limit is how many leases the page has at most, up to [MaxLimit]; 0 means
	// [DefaultLimit].
	Limit int
}

// Page is a page of leases, by address, those of IPv4 first.
type Page struct {
	Leases []Record
	// Next is the place from which the next page goes on. It is invalid if this page is
	// the last.
	Next netip.Addr
}

// Open makes the book of all leases, and keeps it up to date until [Book.Close].
func (l Leases) Open(ctx context.Context) (*Book, error) {
	b := &Book{}
	b.clear()
	var err error
	b.stop, err = l.follow(ctx, b.learn)
	return b, err
}

// Close ends what Open began.
func (b *Book) Close() { b.stop() }

func (b *Book) clear() {
	const degree = 32
	b.tree = btree.NewG(degree, func(a, b Record) bool { return a.Addr.Less(b.Addr) })
	b.byMAC = make(map[[6]byte]map[netip.Addr]struct{})
}

// learn takes over what the store says.
func (b *Book) learn(records []Record, all bool) {
	b.mu.Lock()
	defer b.mu.Unlock()
	if all {
		b.clear()
	}
	for _, r := range records {
		b.put(r)
	}
}

// put takes over one lease. One that is deleted has no client. The caller holds mu.
func (b *Book) put(r Record) {
	var old Record
	var had bool
	if r.MAC == nil {
		old, had = b.tree.Delete(r)
	} else {
		old, had = b.tree.ReplaceOrInsert(r)
	}
	if mac, ok := station(old); had && ok {
		if delete(b.byMAC[mac], old.Addr); len(b.byMAC[mac]) == 0 {
			delete(b.byMAC, mac)
		}
	}
	if mac, ok := station(r); ok {
		if b.byMAC[mac] == nil {
			b.byMAC[mac] = make(map[netip.Addr]struct{}, 1)
		}
		b.byMAC[mac][r.Addr] = struct{}{}
	}
}

func station(r Record) (mac [6]byte, ok bool) {
	if len(r.MAC) != len(mac) {
		return mac, false
	}
	return [6]byte(r.MAC), true
}

// Page returns a page of leases as they are now. Its records share memory with the
// book: do not write to them.
func (b *Book) Page(q Query, now time.Time) Page {
	limit := min(q.Limit, MaxLimit)
	if limit <= 0 {
		limit = DefaultLimit
	}
	b.mu.RLock()
	defer b.mu.RUnlock()
	var p Page
	var last netip.Addr
	examined := 0
	b.ascend(q, func(r Record) bool {
		if q.In.IsValid() && !q.In.Contains(r.Addr) {
			return r.Addr.Less(q.In.Masked().Addr())
		}
		if len(p.Leases) == limit || examined == maxExamined {
			p.Next = last
			return false
		}
		last = r.Addr
		examined++
		if (q.Ended || r.Expires.After(now)) && (q.Hostname == "" || strings.EqualFold(q.Hostname, r.Hostname)) {
			p.Leases = append(p.Leases, r)
		}
		return true
	})
	return p
}

// ascend visits the leases that a query may be about, in their order, as long as visit
// returns true. The caller holds mu.
func (b *Book) ascend(q Query, visit func(Record) bool) {
	from := q.After
	if from.IsValid() {
		if from = from.Next(); !from.IsValid() { // after the last address of IPv4 comes the first of IPv6
			if q.After.Is6() {
				return
			}
			from = netip.IPv6Unspecified()
		}
	}
	if first := q.In.Masked().Addr(); q.In.IsValid() && (!from.IsValid() || from.Less(first)) {
		from = first
	}
	if q.Of != nil {
		b.ofCards(q.Of, from).Ascend(visit)
		return
	}
	b.tree.AscendGreaterOrEqual(at(from), visit)
}

// at is a lease that stands in the order where an address does.
func at(addr netip.Addr) (r Record) {
	r.Addr = addr
	return r
}

// ofCards are the leases of some network cards, from an address on.
func (b *Book) ofCards(cards [][6]byte, from netip.Addr) *btree.BTreeG[Record] {
	few := btree.NewG(8, func(a, b Record) bool { return a.Addr.Less(b.Addr) })
	for _, card := range cards {
		for addr := range b.byMAC[card] {
			if r, ok := b.tree.Get(at(addr)); ok && !addr.Less(from) {
				few.ReplaceOrInsert(r)
			}
		}
	}
	return few
}
