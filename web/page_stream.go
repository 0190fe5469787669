package web

import (
	"context"
	"net/http"
	"reflect"
	"time"

	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
	"cloudlets/web/sse"
)

const (
	// rowsDelay is how long changes to the page's rows are collected before
	// they are sent together.
	rowsDelay = 250 * time.Millisecond
	// restDelay is how often the page's images and servers are compared with
	// those that were sent.
	restDelay = time.Second
	// maxProblems is how many mistakes in the site's files the page shows.
	maxProblems = 100
)

// streamPage streams what the page shows to one viewer: the machines that the query
// selects, as for the table of machines, and the trace of the machine that the
// query's "trace" names. All use one connection, since browsers allow only a few to
// one server.
//
// It sends "everything" first, and again whenever the site's files change. Between
// those it sends "page" if the page has other machines, "machines" with those rows
// of the page that changed, "counts", "images", "servers" and "networks" if they changed, and
// each new "event" of the trace. It looks only at the machines on the page, so a
// viewer costs the same however many others there are.
func (s *Server) streamPage(r *http.Request, out *sse.Stream) error {
	q, err := pageQuery(r)
	if err != nil {
		return err
	}
	view, err := s.Roster.View(q)
	if err != nil {
		return refuse(http.StatusBadRequest, "%s", err)
	}
	defer view.Close()
	v := viewer{server: s, out: out, view: view}
	if name := r.URL.Query().Get("trace"); name != "" {
		if v.trace, err = s.find(name); err != nil {
			return err
		}
	}
	if err := out.Begin(); err != nil {
		return err
	}
	changes := s.Site.Changes(r.Context())
	for r.Context().Err() == nil {
		if err := v.round(r.Context(), changes); err != nil {
			return err
		}
	}
	return nil
}

// viewer is one open page.
type viewer struct {
	server *Server
	out    *sse.Stream
	view   *roster.View
	trace  provision.MAC // the machine whose events are sent, or ""

	// What was sent last.
	counts   api.Counts
	images   []api.Image
	servers  api.Servers
	networks api.Networks
}

// round sends everything and then what changes. It returns when the tracker
// drops a subscriber that is too slow; the next round sends everything again.
func (v *viewer) round(ctx context.Context, changes <-chan struct{}) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	events := v.events(ctx)
	if err := v.everything(); err != nil {
		return err
	}
	rows, rest, beat := time.NewTicker(rowsDelay), time.NewTicker(restDelay), time.NewTicker(v.server.heartbeat())
	defer rows.Stop()
	defer rest.Stop()
	defer beat.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return nil
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
			err = v.machines()
		case <-rest.C:
			err = v.rest()
		case <-beat.C:
			err = v.out.Beat()
		}
		if err != nil {
			return err
		}
	}
}

// events are those of the open trace. Without one the channel is nil.
func (v *viewer) events(ctx context.Context) <-chan provision.Event {
	if v.trace == "" {
		return nil
	}
	return v.server.Tracker.Subscribe(ctx, v.trace)
}

func (v *viewer) everything() error {
	problems := v.server.problemList()
	all := api.Everything{
		MachinePage: v.server.machinePage(v.view.Page()), Images: v.server.imageTable(), Servers: v.server.serverList(), Networks: v.server.networkList(),
		Problems: problems[:min(len(problems), maxProblems)], ProblemCount: len(problems),
	}
	v.counts, v.images, v.servers, v.networks = all.Counts, all.Images, all.Servers, all.Networks
	return v.out.Send("everything", 0, all)
}

// event sends an event of the open trace, which does not show progress.
func (v *viewer) event(e provision.Event) error {
	if e.Kind == provision.KindProgress {
		return nil
	}
	return v.out.Send("event", 0, e)
}

// machines sends what changed on the page, and the counts.
func (v *viewer) machines() error {
	macs, moved := v.view.Changes()
	if moved {
		page := v.server.machinePage(v.view.Page())
		v.counts = page.Counts
		return v.out.Send("page", 0, page)
	}
	if len(macs) > 0 {
		if err := v.out.Send("machines", 0, v.server.rows(macs)); err != nil {
			return err
		}
	}
	return sendChanged(v.out, "counts", &v.counts, v.server.counts())
}

// rest sends the images, the servers and the networks if they changed.
func (v *viewer) rest() error {
	if err := sendChanged(v.out, "images", &v.images, v.server.imageTable()); err != nil {
		return err
	}
	if err := sendChanged(v.out, "networks", &v.networks, v.server.networkList()); err != nil {
		return err
	}
	return sendChanged(v.out, "servers", &v.servers, v.server.serverList())
}

// sendChanged sends a value if it differs from the one that was sent last.
func sendChanged[T any](out *sse.Stream, name string, last *T, value T) error {
	if reflect.DeepEqual(*last, value) {
		return nil
	}
	*last = value
	return out.Send(name, 0, value)
}
