package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
	"cloudlets/web/api"
	"cloudlets/web/shown"
)

// maxRollout bounds the body of a request to begin a roll-out, in bytes.
const maxRollout = 2 << 20

func (s *Server) rollouts(*http.Request) (any, error) {
	list := []api.Rollout{}
	if s.Rollouts == nil {
		return list, nil
	}
	for _, head := range s.Rollouts.List() {
		list = append(list, s.newRollout(head))
	}
	return list, nil
}

func (s *Server) rollout(r *http.Request) (any, error) {
	return s.showRollout(r.PathValue("rollout"))
}

func (s *Server) showRollout(name string) (any, error) {
	var found *rollout.Rollout
	if s.Rollouts != nil {
		found = s.Rollouts.Get(name)
	}
	if found == nil {
		return nil, refuse(http.StatusNotFound, "there is no roll-out %.40q; `cloudlets rollouts` lists them", name)
	}
	shown := s.newRollout(book.HeadOf(found))
	for i, mac := range found.Machines {
		shown.Machines = append(shown.Machines, s.rolloutMachine(found.Wave(i), mac, found.Step(mac)))
	}
	return shown, nil
}

func (s *Server) newRollout(h book.Head) api.Rollout {
	shown := api.Rollout{
		Name: h.Name, By: h.By, Time: h.Time, Phase: h.Phase, Since: h.Since, Why: h.Why, Server: h.Carrier,
		AtATime: h.AtATime, StopAfter: h.StopAfter, Waves: h.Waves(), Wipe: h.Wipe, Confirm: h.Confirm, Power: h.Power,
		All: len(h.Machines), Waiting: h.Counts[rollout.Waiting], Armed: h.Counts[rollout.Armed], Good: h.Counts[rollout.Good], Bad: h.Counts[rollout.Bad],
	}
	if h.BootWithin != 0 {
		shown.BootWithin = rollout.Span(h.BootWithin)
	}
	if s.Servers != nil {
		for _, m := range s.Servers.Live() {
			if m.ID == h.Carrier {
				shown.Server = m.Name
			}
		}
	}
	return shown
}

func (s *Server) rolloutMachine(wave int, mac provision.MAC, step rollout.Step) api.RolloutMachine {
	m := api.RolloutMachine{MAC: mac, Wave: wave, Phase: step.Phase, Why: step.Why, Armed: step.Armed, Time: step.Time}
	if spec := s.spec(mac); spec != nil {
		m.Hostname = spec.Hostname
	}
	if step.Phase == rollout.Armed {
		state, _ := s.Tracker.State(mac)
		m.Stage, m.Progress = cmp.Or(state.Stage, provision.StageNew), shown.Progress(state)
		if state.Installing() || state.InstalledAt.After(step.Armed) {
			m.Phase = api.Installing
		}
	}
	return m
}

// beginRollout begins a roll-out. Like install, it reads the site first. What is known to be
// refused when its turn comes is refused now.
func (s *Server) beginRollout(r *http.Request) (any, error) {
	if s.Rollouts == nil {
		return nil, refuse(http.StatusNotImplemented, "this server carries no roll-outs on")
	}
	var asked api.RolloutOrder
	body, err := io.ReadAll(io.LimitReader(r.Body, maxRollout+1))
	switch {
	case err != nil:
		return nil, refuse(http.StatusBadRequest, "read request: %v", err)
	case len(body) > maxRollout:
		return nil, refuse(http.StatusRequestEntityTooLarge, "the request's body has more than %d bytes; select fewer machines", maxRollout)
	}
	if err = json.Unmarshal(body, &asked); err == nil && asked.By == "" {
		err = errors.New(`"by" is absent or empty`)
	}
	var within time.Duration
	if err == nil && asked.BootWithin != "" {
		if within, err = time.ParseDuration(asked.BootWithin); err != nil {
			err = fmt.Errorf(`"bootWithin" is %.40q, and should be a time like "30m"`, asked.BootWithin)
		}
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "read request: %v; want {\"by\": \"NAME\", \"machines\": [\"node1\"], \"atATime\": 3, \"stopAfter\": 1}", err)
	}
	s.Site.Refresh()
	o := rollout.Order{By: provision.Cut(asked.By, maxBy), Time: s.now(), AtATime: asked.AtATime, StopAfter: asked.StopAfter, Wipe: asked.Wipe, Confirm: asked.Confirm, Power: asked.Power, BootWithin: within}
	if n := len(asked.Machines); n > rollout.MaxMachines {
		return nil, refuse(http.StatusBadRequest, "%d machines are too many; select at most %d", n, rollout.MaxMachines)
	}
	for _, name := range asked.Machines {
		mac, err := s.find(name)
		if err == nil {
			err = s.checkTurn(mac, o)
		}
		if err != nil {
			return nil, err
		}
		o.Machines = append(o.Machines, mac)
	}
	carrier := ""
	if s.Servers != nil {
		carrier = s.Servers.Self().ID
	}
	name, err := s.Rollouts.Create(r.Context(), o, carrier)
	if err != nil {
		return nil, rolloutError(err)
	}
	return s.showRollout(name)
}

// maxBy bounds the name of who orders a roll-out, in bytes.
const maxBy = 256

// checkTurn refuses a machine that could not be armed as it is now.
func (s *Server) checkTurn(mac provision.MAC, o rollout.Order) error {
	spec := s.spec(mac)
	if err := provision.CheckInstallable(mac, spec); err != nil {
		return err
	}
	if err := s.refuseBroken(mac); err != nil {
		return err
	}
	if o.Power && spec.Power.Kind() == "" {
		return refuse(http.StatusConflict, "%s cannot be switched: its file has no \"power\"; leave out --power, and switch it on by hand in its turn", mac)
	}
	if state, _ := s.Tracker.State(mac); !o.Wipe {
		return provision.CheckDisk(spec, state)
	}
	return nil
}

func (s *Server) stopRollout(r *http.Request) (any, error) {
	return s.changeRollout(r, (*book.Book).Stop)
}

func (s *Server) resumeRollout(r *http.Request) (any, error) {
	return s.changeRollout(r, (*book.Book).Resume)
}

func (s *Server) changeRollout(r *http.Request, change func(b *book.Book, ctx context.Context, name, by string, now time.Time) error) (any, error) {
	name, order := r.PathValue("rollout"), api.Order{By: "the API"}
	body, err := io.ReadAll(io.LimitReader(r.Body, maxOrder))
	if err == nil {
		err = parseOrder(body, &order)
	}
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "read request: %v; want {\"by\": \"NAME\"} or no body", err)
	}
	if s.Rollouts == nil {
		return s.showRollout(name)
	}
	if err := change(s.Rollouts, r.Context(), name, order.By, s.now()); err != nil {
		return nil, rolloutError(err)
	}
	return s.showRollout(name)
}

func rolloutError(err error) error {
	switch {
	case errors.Is(err, book.ErrUnknown):
		return refuse(http.StatusNotFound, "%v", err)
	case errors.Is(err, book.ErrRefused):
		return refuse(http.StatusConflict, "%v", err)
	case errors.Is(err, rollout.ErrOrder):
		return refuse(http.StatusBadRequest, "%v", err)
	}
	return err
}
