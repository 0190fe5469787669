// Package web shows the machines to people: a JSON API, the client of it that
// the command line uses, and one page for a browser on the same data. It takes
// no decisions of its own: what it shows, and what it does when it is asked
// to, is that of package provision.
package web

import (
	"context"
	"log/slog"
	"net/http"
	"sync/atomic"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/site"
	"cloudlets/provision/track"
)

// Images tells how far the making of an image is; [depot.Depot] does.
type Images interface {
	Status(depot.Key) depot.Status
}

// Tickets ends what an agent may do; [track.Tickets] does.
type Tickets interface {
	End(ctx context.Context, mac provision.MAC, reason string) error
}

var (
	_ Images  = (*depot.Depot)(nil)
	_ Tickets = (*track.Tickets)(nil)
)

// Server answers for one daemon. Site, Tracker, Images and Tickets must be
// given. It must not be copied once it serves.
type Server struct {
	Site    *site.Site
	Tracker *track.Tracker
	Images  Images
	Tickets Tickets
	// Version is that of the daemon.
	Version string
	// Started is when the daemon started; the zero time shows no uptime.
	Started time.Time
	// Hosts are names that browsers may use for the address of
	// [Server.ReadOnly], beside "localhost" and every IP address.
	Hosts []string
	// Clock is [time.Now] where it is nil.
	Clock func() time.Time
	// Log is silent where it is nil.
	Log *slog.Logger

	// Stopping, once closed, ends all streams. A server that is stopped
	// closes it first, since [http.Server.Shutdown] waits for streams in
	// vain. If it is nil, streams end with their requests only.
	Stopping <-chan struct{}

	// Heartbeat is how often an idle stream shows that it is alive; 0 is
	// [DefaultHeartbeat].
	Heartbeat time.Duration

	streams atomic.Int64 // open now
}

// DefaultHeartbeat is shorter than what proxies wait for an idle connection.
const DefaultHeartbeat = 15 * time.Second

// Handler is the whole API, and the page. Whoever reaches it may have disks
// written: it belongs on a unix socket that only the right people can open.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/", s.page())
	mux.Handle("/api/", methods{"*": s.answer(noSuchThing)})
	for path, m := range s.api() {
		mux.Handle("/api/v1/"+path, m)
	}
	return mux
}

// api is every route below /api/v1/.
func (s *Server) api() map[string]methods {
	return map[string]methods{
		"status":                    {"GET": s.answer(s.status)},
		"problems":                  {"GET": s.answer(s.problems)},
		"images":                    {"GET": s.answer(s.images)},
		"machines":                  {"GET": s.answer(s.machines)},
		"machines/{machine}":        {"GET": s.answer(s.machine)},
		"machines/{machine}/events": {"GET": s.answer(s.machineEvents)},
		"machines/{machine}/follow": {"GET": s.stream(s.followMachine)},
		"machines/{machine}/install": {
			"POST":   s.answer(s.install),
			"DELETE": s.answer(s.cancel),
		},
		"events": {"GET": s.stream(s.followAll)},
		"live":   {"GET": s.stream(s.live)},
	}
}

func (s *Server) now() time.Time {
	if s.Clock == nil {
		return time.Now()
	}
	return s.Clock()
}

func (s *Server) log() *slog.Logger {
	if s.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return s.Log
}

func (s *Server) heartbeat() time.Duration {
	if s.Heartbeat <= 0 {
		return DefaultHeartbeat
	}
	return s.Heartbeat
}
