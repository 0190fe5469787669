package web

import (
	"context"
	"encoding/json"
	"maps"
	"net/http"
	"slices"
	"sync"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
)

const (
	// liveDelay is how long changes to the page's rows are collected before
	// they are sent together.
	liveDelay = 250 * time.Millisecond
	// imagesDelay is how often the page's images are compared with those
	// that were sent.
	imagesDelay = time.Second
)

// Everything is all that the page shows.
type Everything struct {
	Machines []Machine          `json:"machines"`
	Images   []Image            `json:"images"`
	Problems []jsontext.Problem `json:"problems"`
}

// live streams what the page shows. It sends "everything" first, and again
// whenever the site's files change. Between those it sends "machines" with the
// rows that changed, "images" if they changed, and each new "event". All use one
// connection, since browsers allow only a few to one server.
func (s *Server) live(r *http.Request, out *stream) error {
	if err := out.begin(); err != nil {
		return err
	}
	changes := s.Site.Changes(r.Context())
	for r.Context().Err() == nil {
		v := viewer{server: s, out: out, stale: make(map[provision.MAC]struct{})}
		if err := v.round(r.Context(), changes); err != nil {
			return err
		}
	}
	return nil
}

// viewer is one open page.
type viewer struct {
	server *Server
	out    *stream
	stale  map[provision.MAC]struct{} // rows that have changed
	images []byte                     // as they were sent last
}

// round sends everything and then what changes. It returns when the tracker
// drops a subscriber that is too slow; the next round sends everything again.
func (v *viewer) round(ctx context.Context, changes <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := v.server.Tracker.Subscribe(ctx, "")
	if err := v.everything(); err != nil {
		return err
	}
	rows, images, beat := time.NewTicker(liveDelay), time.NewTicker(imagesDelay), time.NewTicker(v.server.heartbeat())
	defer rows.Stop()
	defer images.Stop()
	defer beat.Stop()
	for {
		var err error
		select {
		case e, open := <-events:
			if !open {
				return nil
			}
			err = v.event(e)
		case _, open := <-changes:
			if !open {
				return nil
			}
			err = v.everything()
		case <-rows.C:
			err = v.rows()
		case <-images.C:
			err = v.changedImages()
		case <-beat.C:
			err = v.out.beat()
		}
		if err != nil {
			return err
		}
	}
}

func (v *viewer) everything() error {
	clear(v.stale)
	text, images, err := v.server.shown.take(time.Now(), v.server.everythingText)
	if err != nil {
		return err
	}
	v.images = images
	return v.out.write(text)
}

// everythingText is the event with all that the page shows, and the part of it
// that is about images.
func (s *Server) everythingText() (text, images []byte, err error) {
	table := s.imageTable()
	text, err = eventText("everything", 0, Everything{s.table(), table, s.problemList()})
	return text, imagesText(table), err
}

// snapshot is all that the page shows, made once for all viewers who ask for it at
// the same time: when a file of the site changes, all of them do.
type snapshot struct {
	mu           sync.Mutex
	began        time.Time
	text, images []byte
}

// take returns a snapshot whose making did not begin before a time.
func (s *snapshot) take(since time.Time, make func() (text, images []byte, err error)) (text, images []byte, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.began.Before(since) {
		began := time.Now()
		if s.text, s.images, err = make(); err != nil {
			return nil, nil, err
		}
		s.began = began
	}
	return s.text, s.images, nil
}

// event marks the row of the event's machine as changed, and sends the event if
// traces show it.
func (v *viewer) event(e provision.Event) error {
	v.stale[e.MAC] = struct{}{}
	if e.Kind == provision.KindProgress {
		return nil
	}
	return v.out.send("event", 0, e)
}

func (v *viewer) rows() error {
	if len(v.stale) == 0 {
		return nil
	}
	rows := make([]Machine, 0, len(v.stale))
	for _, mac := range slices.Sorted(maps.Keys(v.stale)) {
		rows = append(rows, v.server.row(mac))
	}
	clear(v.stale)
	return v.out.send("machines", 0, rows)
}

func (v *viewer) changedImages() error {
	images := v.server.imageTable()
	text := imagesText(images)
	if string(text) == string(v.images) {
		return nil
	}
	v.images = text
	return v.out.send("images", 0, images)
}

// imagesText returns a text that differs if the images differ.
func imagesText(images []Image) []byte {
	text, err := json.Marshal(images)
	if err != nil {
		return nil // send will fail in the same way, and return the error
	}
	return text
}
