package api

import (
	"context"
	"net/http"

	"cloudlets/provision"
	"cloudlets/provision/site"
)

// Approvals is the body of a request that makes strangers machines of the site.
type Approvals struct {
	By       string               `json:"by"`
	Machines []provision.Approval `json:"machines"`
	// Install arms their installs, too.
	Install bool `json:"install,omitempty"`
	// DryRun asks only for the files that would be written.
	DryRun bool `json:"dryRun,omitempty"`
}

// Approved is the answer: the machines' files.
type Approved struct {
	Files []site.Draft `json:"files"`
}

// Approve writes the files of machines into the daemon's site.
func (c *Client) Approve(ctx context.Context, a Approvals) (done Approved, err error) {
	return done, c.do(ctx, http.MethodPost, "approvals", a, &done)
}

// Forget removes what is known of a machine that no file describes.
func (c *Client) Forget(ctx context.Context, machine string) error {
	var none struct{}
	return c.do(ctx, http.MethodDelete, machinePath(machine, ""), nil, &none)
}
