// Package web answers the JSON API, by which people and the command line see machines and
// order what they shall do, and serves the page for browsers. The nouns of the API and its
// client are package api. Package provision has the rules; this one checks requests and
// passes them on.
// Start reading at [Server].
package web

import (
	"context"
	"io"
	"log/slog"
	"net/http"
	"time"

	"cloudlets/provision/depot"
	"cloudlets/provision/members"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/site"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/web/api"
	"cloudlets/web/page"
	"cloudlets/web/roster"
	"cloudlets/web/sse"
)

// Images says whether an image can be booted. [depot.Depot] implements it.
type Images interface {
	Status(depot.Key) depot.Status
	// Kit is the kit of an image as it is now.
	Kit(context.Context, depot.Key) (*depot.Kit, error)
}

var _ Images = (*depot.Depot)(nil)

// Server serves the API and the page of one daemon. Site, Tracker, Roster,
// Images and Tickets must be set. It must not be copied after first use.
type Server struct {
	Site    *site.Site
	Tracker *track.Tracker
	Roster  *roster.Roster // of Site and Tracker
	Images  Images
	Tickets *tickets.Tickets
	// Power switches machines; nil if this server switches none.
	Power Power
	// Reviews says what would go wrong with machines; nil if nobody looks.
	Reviews Reviews
	// Rollouts are those that are kept in the store; nil if there can be none.
	Rollouts *book.Book
	// Backup writes a copy of the store; nil if this server gives none.
	Backup func(context.Context, io.Writer) error
	// Servers are those that share the store; nil if this one is alone.
	Servers *members.Members
	// Networks returns how each network is served now; nil if that is not known.
	Networks func() api.Networks
	// Leases are those of the DHCP servers; nil if there are none.
	Leases Leases
	// StoreAway returns since when the store cannot be reached, and why. The time
	// is zero while it can. It is nil if the store is a file.
	StoreAway func() (time.Time, error)
	// Authority returns the certificate that machines have to trust for HTTPS, or the
	// next one, which it makes if there is none. It is nil if the server has no HTTPS.
	Authority func(ctx context.Context, next bool) (api.Authority, error)
	// Version is the daemon's version.
	Version string
	// Started is when the daemon started; the zero time shows no uptime.
	Started time.Time
	// Hosts are names that browsers may use for the address of
	// [Server.ReadOnly], beside "localhost" and every IP address.
	Hosts []string
	// Clock tells the time; nil means [time.Now].
	Clock func() time.Time
	// Log may be nil; then nothing is logged.
	Log *slog.Logger

	// Stopping ends all streams when it is closed. Close it before
	// [http.Server.Shutdown], which would wait for the streams in vain. If it
	// is nil, a stream ends only with its request.
	Stopping <-chan struct{}

	// Heartbeat is how often an idle stream sends a comment, which shows that
	// it is alive; 0 means [DefaultHeartbeat].
	Heartbeat time.Duration

	streams sse.Gate
}

// DefaultHeartbeat is shorter than the time after which proxies close an idle
// connection.
const DefaultHeartbeat = 15 * time.Second

// Handler serves the whole API and the page. Anyone who can reach it can arm
// installs, which overwrite disks. Serve it only on a Unix socket that only the
// right people can open.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/{$}", methods{"GET": s.page})
	mux.Handle("/page/{file}", methods{"GET": s.pageFile})
	mux.Handle("/", methods{"*": s.answer(noSuchPage)})
	mux.Handle("/api/", methods{"*": s.answer(noSuchThing)})
	for path, m := range s.api() {
		mux.Handle("/api/v1/"+path, m)
	}
	return s.sameOrigin(mux)
}

func (s *Server) page(w http.ResponseWriter, r *http.Request) {
	if err := page.Index(w, r, page.Server{Version: s.Version, Site: s.Site.Dir(), ReadOnly: isReadOnly(r.Context())}); err != nil {
		s.fail(w, r, err)
	}
}

func (s *Server) pageFile(w http.ResponseWriter, r *http.Request) {
	if !page.File(w, r, r.PathValue("file")) {
		_, err := noSuchPage(r)
		s.fail(w, r, err)
	}
}

func noSuchPage(r *http.Request) (any, error) {
	return nil, refuse(http.StatusNotFound, "there is nothing at %s; the page of this server is at /, its API at /api/v1/", r.URL.Path)
}

// sameOrigin refuses what another site's page has a browser send that would change
// something: a person may reach the socket by a port of their own computer.
func (s *Server) sameOrigin(next http.Handler) http.Handler {
	var protection http.CrossOriginProtection
	protection.SetDenyHandler(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		writeJSON(w, http.StatusForbidden, api.Failure{Error: "this request comes from the page of another site, and is refused"})
	}))
	return protection.Handler(next)
}

// api returns the handlers of all paths below /api/v1/.
func (s *Server) api() map[string]methods {
	return map[string]methods{
		"status":                    {"GET": s.answer(s.status)},
		"problems":                  {"GET": s.answer(s.problems)},
		"images":                    {"GET": s.answer(s.images)},
		"names":                     {"GET": s.answer(s.names)},
		"servers":                   {"GET": s.answer(s.servers)},
		"authority":                 {"GET": s.answer(s.authority)},
		"authority/next":            {"POST": s.answer(s.nextAuthority)},
		"networks":                  {"GET": s.answer(s.networks)},
		"leases":                    {"GET": s.answer(s.leases)},
		"machines":                  {"GET": s.machines},
		"machines/{machine}":        {"GET": s.answer(s.machine), "DELETE": s.answer(s.forget)},
		"approvals":                 {"POST": s.answer(s.approve)},
		"machines/{machine}/events": {"GET": s.answer(s.machineEvents)},
		"machines/{machine}/follow": {"GET": s.stream(s.followMachine)},
		"machines/{machine}/install": {
			"POST":   s.answer(s.install),
			"DELETE": s.answer(s.cancel),
		},
		"machines/{machine}/boot":    {"POST": s.answer(s.orderBoot), "DELETE": s.answer(s.cancelBoot)},
		"machines/{machine}/confirm": {"POST": s.answer(s.confirm)},
		"machines/{machine}/console": {"POST": s.console},
		"machines/{machine}/power":   {"GET": s.answer(s.powerState), "POST": s.answer(s.orderPower)},

		"rollouts":                  {"GET": s.answer(s.rollouts), "POST": s.answer(s.beginRollout)},
		"rollouts/{rollout}":        {"GET": s.answer(s.rollout)},
		"rollouts/{rollout}/stop":   {"POST": s.answer(s.stopRollout)},
		"rollouts/{rollout}/resume": {"POST": s.answer(s.resumeRollout)},

		"backup": {"GET": s.backup},
		"events": {"GET": s.stream(s.followAll)},
		"live":   {"GET": s.stream(s.streamPage)},
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
