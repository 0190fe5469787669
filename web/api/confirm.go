package api

import (
	"context"
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

// Confirmation is the body of a request that lets a machine's agent write.
type Confirmation struct {
	// By is the person or program that asks.
	By string `json:"by"`
	// Digest is that of the [Plan] that the person has seen.
	Digest string `json:"digest"`
}

// Confirm lets a machine's agent write the plan that has a digest.
func (c *Client) Confirm(ctx context.Context, machine string, said Confirmation) (d Detail, err error) {
	return d, c.do(ctx, http.MethodPost, machinePath(machine, "confirm"), said, &d)
}
