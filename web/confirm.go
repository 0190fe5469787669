package web

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"

	"cloudlets/provision"
)

// Plan is what a machine's agent said it would do to its disk.
type Plan struct {
	provision.Proposal
	// Digest names it in a [Confirmation].
	Digest string `json:"digest"`
	// Waits says that nothing is written until a person has confirmed it.
	Waits bool `json:"waits,omitempty"`
	// ConfirmedBy is who did that.
	ConfirmedBy string `json:"confirmedBy,omitempty"`
	Text        string `json:"text"` // all of it in one line
}

// newPlan returns nil if no agent has told a plan since the last install that ended well.
func newPlan(state provision.State) *Plan {
	if state.Proposal == nil {
		return nil
	}
	p := &Plan{Proposal: *state.Proposal, Digest: state.Proposal.Digest(), Text: state.Proposal.String()}
	if state.Confirmed == p.Digest {
		p.ConfirmedBy = state.ConfirmedBy
	} else {
		p.Waits = state.Stage == provision.StageConfirm
	}
	return p
}

// waitingPlan is [newPlan] for the table, in which only a plan that waits is shown.
func waitingPlan(state provision.State) *Plan {
	if state.Stage != provision.StageConfirm {
		return nil
	}
	return newPlan(state)
}

// Confirmation is the body of a request that lets a machine's agent write.
type Confirmation struct {
	// By is the person or program that asks.
	By string `json:"by"`
	// Digest is that of the [Plan] that the person has seen.
	Digest string `json:"digest"`
}

// confirm lets a machine's agent write what it has proposed.
func (s *Server) confirm(r *http.Request) (any, error) {
	mac, err := s.find(r.PathValue("machine"))
	if err != nil {
		return nil, err
	}
	var said Confirmation
	err = json.NewDecoder(io.LimitReader(r.Body, maxOrder)).Decode(&said)
	if err != nil || said.By == "" || said.Digest == "" {
		return nil, refuse(http.StatusBadRequest, `want {"by": "NAME", "digest": "sha256:…"} with the "digest" of the machine's "plan"`)
	}
	if err := s.Tracker.Confirm(r.Context(), mac, said.By, said.Digest); errors.Is(err, provision.ErrNotWaiting) {
		return nil, refuse(http.StatusConflict, "%v", err)
	} else if err != nil {
		return nil, err
	}
	return s.detail(mac), nil
}

// Confirm lets a machine's agent write the plan that has a digest.
func (c *Client) Confirm(ctx context.Context, machine string, said Confirmation) (d Detail, err error) {
	return d, c.do(ctx, http.MethodPost, machinePath(machine, "confirm"), said, &d)
}
