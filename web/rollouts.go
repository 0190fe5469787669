package web

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
)

// RolloutOrder is the body of a request to begin a roll-out.
type RolloutOrder struct {
	// By is the person or program that asks.
	By string `json:"by"`
	// Machines are names or MACs, in the order in which they take their turns.
	Machines []string `json:"machines"`
	// AtATime is how many a wave has at most, and StopAfter after how many bad ones no
	// further one is armed.
	AtATime   int `json:"atATime"`
	StopAfter int `json:"stopAfter"`
	// Wipe and Confirm are as in an [Order]. Power has each machine boot from the network
	// when its turn comes.
	Wipe    bool `json:"wipe,omitempty"`
	Confirm bool `json:"confirm,omitempty"`
	Power   bool `json:"power,omitempty"`
}

// Rollout is a roll-out, with or without its machines.
type Rollout struct {
	Name string    `json:"name"`
	By   string    `json:"by"`
	Time time.Time `json:"time"`
	// Phase is "running", "stopped" or "ended", since a time, and Why says why.
	Phase rollout.Phase `json:"phase"`
	Since time.Time     `json:"since,omitzero"`
	Why   string        `json:"why,omitempty"`
	// Server is the name of the server that carries it on, or its ID if it is gone.
	Server    string `json:"server,omitempty"`
	AtATime   int    `json:"atATime"`
	StopAfter int    `json:"stopAfter"`
	Waves     int    `json:"waves"`
	Wipe      bool   `json:"wipe,omitempty"`
	Confirm   bool   `json:"confirm,omitempty"`
	Power     bool   `json:"power,omitempty"`
	// All, Waiting, Armed, Good and Bad are how many machines there are.
	All     int `json:"all"`
	Waiting int `json:"waiting"`
	Armed   int `json:"armed"`
	Good    int `json:"good"`
	Bad     int `json:"bad"`
	// Machines are in the order of their turns. A list of roll-outs has none.
	Machines []RolloutMachine `json:"machines,omitempty"`
}

// RolloutMachine is a machine of a roll-out.
type RolloutMachine struct {
	MAC      provision.MAC `json:"mac"`
	Hostname string        `json:"hostname,omitempty"`
	Wave     int           `json:"wave"` // counted from 1
	// Phase is "waiting", "armed", "installing", "good" or "bad", and Why says why it is bad.
	Phase rollout.Phase `json:"phase"`
	Why   string        `json:"why,omitempty"`
	// Stage and Progress are how far its install is, while it is armed or installing.
	Stage    provision.Stage `json:"stage,omitempty"`
	Progress *Progress       `json:"progress,omitempty"`
	// Armed is when its install was armed, and Time when it became good or bad.
	Armed time.Time `json:"armed,omitzero"`
	Time  time.Time `json:"time,omitzero"`
}

// Installing is the phase of a machine that was armed, and has begun. It follows from the
// machine's state.
const Installing rollout.Phase = "installing"

// maxRollout bounds the body of a request to begin a roll-out, in bytes.
const maxRollout = 2 << 20

func (s *Server) rollouts(*http.Request) (any, error) {
	list := []Rollout{}
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

func (s *Server) newRollout(h book.Head) Rollout {
	shown := Rollout{
		Name: h.Name, By: h.By, Time: h.Time, Phase: h.Phase, Since: h.Since, Why: h.Why, Server: h.Carrier,
		AtATime: h.AtATime, StopAfter: h.StopAfter, Waves: h.Waves(), Wipe: h.Wipe, Confirm: h.Confirm, Power: h.Power,
		All: len(h.Machines), Waiting: h.Counts[rollout.Waiting], Armed: h.Counts[rollout.Armed], Good: h.Counts[rollout.Good], Bad: h.Counts[rollout.Bad],
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

func (s *Server) rolloutMachine(wave int, mac provision.MAC, step rollout.Step) RolloutMachine {
	m := RolloutMachine{MAC: mac, Wave: wave, Phase: step.Phase, Why: step.Why, Armed: step.Armed, Time: step.Time}
	if spec := s.spec(mac); spec != nil {
		m.Hostname = spec.Hostname
	}
	if step.Phase == rollout.Armed {
		state, _ := s.Tracker.State(mac)
		m.Stage, m.Progress = cmp.Or(state.Stage, provision.StageNew), newProgress(state)
		if state.Installing() || state.InstalledAt.After(step.Armed) {
			m.Phase = Installing
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
	var asked RolloutOrder
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
	if err != nil {
		return nil, refuse(http.StatusBadRequest, "read request: %v; want {\"by\": \"NAME\", \"machines\": [\"node1\"], \"atATime\": 3, \"stopAfter\": 1}", err)
	}
	s.Site.Refresh()
	o := rollout.Order{By: provision.Cut(asked.By, maxBy), Time: s.now(), AtATime: asked.AtATime, StopAfter: asked.StopAfter, Wipe: asked.Wipe, Confirm: asked.Confirm, Power: asked.Power}
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
	name, order := r.PathValue("rollout"), Order{By: "the API"}
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
