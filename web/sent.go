package web

import "cloudlets/provision"

// maxSent is how many events back a second coming is known. It is more than
// what a subscription queues, and more than a resumption goes back.
const maxSent = 4096

// sent remembers the latest events that went by, so that none goes by twice.
// An event comes again where a stream is taken up anew, and also where it was
// repeated: then with a higher count, and as news.
type sent struct {
	counts map[uint64]int
	order  []uint64 // ring of the IDs in counts
	next   int
}

// isNews says whether an event was not there yet, and remembers it.
func (s *sent) isNews(e provision.Event) bool {
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

func (s *sent) push(id uint64) {
	if len(s.order) < maxSent {
		s.order = append(s.order, id)
		return
	}
	delete(s.counts, s.order[s.next])
	s.order[s.next] = id
	s.next = (s.next + 1) % maxSent
}
