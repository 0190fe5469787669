package web

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"time"

	"cloudlets/provision"
)

const (
	// overlap is how many IDs a stream that is taken up again goes back. An
	// event that is written to the disk before it counts is told a moment
	// after others with higher IDs: a reader who left in that moment has
	// them, and not the one. Readers know events by their ID.
	overlap = 1024
	// maxHistory bounds the old events of all machines together.
	maxHistory = 5000
)

func (s *Server) followAll(r *http.Request, out *stream) error {
	return s.follow(r, out, "")
}

// followMachine follows one machine, also one that nothing is known of yet.
func (s *Server) followMachine(r *http.Request, out *stream) error {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return err
	}
	return s.follow(r, out, mac)
}

// follow streams the events of one machine, or of all where mac is "": first
// those since the query's "after", then each that comes.
func (s *Server) follow(r *http.Request, out *stream, mac provision.MAC) error {
	f := feed{server: s, out: out, mac: mac}
	if err := f.start(r); err != nil {
		return err
	}
	if err := out.begin(); err != nil {
		return err
	}
	for r.Context().Err() == nil {
		if err := f.round(r.Context()); err != nil {
			return err
		}
	}
	return nil
}

// feed is one reader's way through the events.
type feed struct {
	server *Server
	out    *stream
	mac    provision.MAC
	floor  uint64 // what is wanted has IDs above this one
	high   uint64 // the highest ID that was sent
	sent   sent
}

// start reads where the reader left off.
func (f *feed) start(r *http.Request) (err error) {
	last := r.Header.Get("Last-Event-ID")
	if last == "" {
		f.floor, err = number(r, "after")
		return err
	}
	id, err := strconv.ParseUint(last, 10, 63)
	if err != nil {
		return refuse(http.StatusBadRequest, "the header Last-Event-ID %.40q is no number; leave it away to begin anew", last)
	}
	f.floor = back(id)
	f.high = id
	return nil
}

// round subscribes, sends what was missed until then, and then what comes,
// until the tracker gives up on a slow reader: the next round catches up.
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
			if err := f.out.beat(); err != nil {
				return err
			}
		}
	}
}

// send passes on what is news. The ID on the wire is where a reader goes on,
// so it never falls, also where an event comes late.
func (f *feed) send(e provision.Event) error {
	if !f.sent.isNews(e) {
		return nil
	}
	f.high = max(f.high, e.ID)
	return f.out.send("", f.high, e)
}

// missed are the kept events that the reader may not have.
func (f *feed) missed(ctx context.Context) ([]provision.Event, error) {
	after := max(f.floor, back(f.high))
	if f.mac != "" {
		return f.server.Tracker.Events(ctx, f.mac, after, 0)
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

// newest are the latest [maxHistory] events, in order.
func newest(events []provision.Event) []provision.Event {
	slices.SortFunc(events, func(a, b provision.Event) int { return cmp.Compare(a.ID, b.ID) })
	return events[max(0, len(events)-maxHistory):]
}

// back goes back from an ID by the overlap.
func back(id uint64) uint64 { return id - min(id, overlap) }
