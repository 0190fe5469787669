package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/sse"
)

const (
	// overlap is how far a stream goes back when a reader reconnects, in IDs,
	// which are microseconds. Events that must be on the disk before they are
	// sent, and those of other servers, come a moment after others with higher
	// IDs. A reader who disconnects in that moment has seen the higher IDs but
	// not this event. Clients recognise by its ID an event that comes again.
	overlap = 2_000_000
	// maxHistory bounds how many old events of all machines together are sent.
	maxHistory = 5000
)

func (s *Server) followAll(r *http.Request, out *sse.Stream) error {
	return s.follow(r, out, "")
}

// followMachine follows one machine. Nothing needs to be known about it yet.
func (s *Server) followMachine(r *http.Request, out *sse.Stream) error {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return err
	}
	return s.follow(r, out, mac)
}

// follow streams the events of one machine, or of all machines if mac is "". It
// begins with the kept events after the query's "after", and goes on with new
// ones as they come.
func (s *Server) follow(r *http.Request, out *sse.Stream, mac provision.MAC) error {
	f := feed{server: s, out: out, mac: mac}
	if err := f.start(r); err != nil {
		return err
	}
	if err := out.Begin(); err != nil {
		return err
	}
	for r.Context().Err() == nil {
		if err := f.round(r.Context()); err != nil {
			return err
		}
	}
	return nil
}

// feed sends events to one reader.
type feed struct {
	server *Server
	out    *sse.Stream
	mac    provision.MAC
	floor  uint64 // only events with IDs above it are sent
	high   uint64 // the highest ID that was sent
	sent   api.Seen
}

// start reads from the request which event the reader saw last.
func (f *feed) start(r *http.Request) (err error) {
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		f.floor, err = number(r, "after")
		return err
	}
	id, err := strconv.ParseUint(last, 10, 63)
	if err != nil {
		return refuse(http.StatusBadRequest, "the header Last-Event-ID %.40q is not a number; leave it out to start from the beginning", last)
	}
	f.floor = back(id)
	f.high = id
	return nil
}

// round subscribes, sends the events that the reader missed, and then new ones.
// It returns when the tracker drops a subscriber that is too slow; the next
// round sends what was missed.
func (f *feed) round(ctx context.Context) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	live := f.server.Tracker.Subscribe(ctx, f.mac)
	missed, err := f.missed(ctx)
	if err != nil {
		return err
	}
	for _, e := range missed {
		if err := f.send(e); err != nil {
			return err
		}
	}
	beat := time.NewTicker(f.server.heartbeat())
	defer beat.Stop()
	for {
		select {
		case e, open := <-live:
			if !open {
				return nil
			}
			if err := f.send(e); err != nil {
				return err
			}
		case <-beat.C:
			if err := f.out.Beat(); err != nil {
				return err
			}
		}
	}
}

// send sends an event that the reader has not seen. The reader resumes after the
// last ID on the wire, so that must never fall: an event that comes late is sent
// with the highest ID so far.
func (f *feed) send(e provision.Event) error {
	if !f.sent.IsNews(e) {
		return nil
	}
	f.high = max(f.high, e.ID)
	return f.out.Send("", f.high, e)
}

// missed returns the kept events that the reader may not have seen.
func (f *feed) missed(ctx context.Context) ([]provision.Event, error) {
	after := max(f.floor, back(f.high))
	if f.mac != "" {
		return f.server.Tracker.Events(ctx, f.mac, after, 0)
	}
	if latest, ok := f.server.Tracker.Latest(after); ok {
		return newest(latest), nil
	}
	var all []provision.Event
	for _, state := range f.server.Tracker.States() {
		events, err := f.server.Tracker.Events(ctx, state.MAC, after, 0)
		if err != nil {
			return nil, err
		}
		if all = append(all, events...); len(all) > 2*maxHistory {
			all = newest(all)
		}
	}
	return newest(all), nil
}

// newest returns the latest [maxHistory] events, in order.
func newest(events []provision.Event) []provision.Event {
	slices.SortStableFunc(events, func(a, b provision.Event) int { return cmp.Compare(a.ID, b.ID) })
	return events[max(0, len(events)-maxHistory):]
}

// back returns the ID that is [overlap] before an ID.
func back(id uint64) uint64 { return id - min(id, overlap) }
