package api

import "cloudlets/provision"

// maxSeen is how many events are remembered. It is more than the queue of a
// subscription holds, and more than a stream goes back after reconnecting.
const maxSeen = 4096

// Seen remembers the latest events of a stream, so that none is passed on twice.
// An event comes again when a stream reconnects. It also comes again when it
// happened once more: then its count is higher, and it is news. The zero value has
// seen nothing. Only one goroutine may use it.
type Seen struct {
	counts map[uint64]int
	order  []uint64 // ring of the IDs in counts
	next   int
}

// IsNews says whether an event is new, and remembers it.
func (s *Seen) IsNews(e provision.Event) bool {
	if s.counts == nil {
		s.counts = make(map[uint64]int)
	}
	count, seen := s.counts[e.ID]
	if seen && e.Count <= count {
		return false
	}
	if !seen {
		s.push(e.ID)
	}
	s.counts[e.ID] = e.Count
	return true
}

func (s *Seen) push(id uint64) {
	if len(s.order) < maxSeen {
		s.order = append(s.order, id)
		return
	}
	delete(s.counts, s.order[s.next])
	s.order[s.next] = id
	s.next = (s.next + 1) % maxSeen
}
