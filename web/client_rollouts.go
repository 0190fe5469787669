package web

import (
	"context"
	"net/http"
	"net/url"
)

// Rollouts returns the roll-outs that are kept, the latest first, without their machines.
func (c *Client) Rollouts(ctx context.Context) (list []Rollout, err error) {
	return list, c.do(ctx, http.MethodGet, "rollouts", nil, &list)
}

// Rollout returns a roll-out with its machines.
func (c *Client) Rollout(ctx context.Context, name string) (r Rollout, err error) {
	return r, c.do(ctx, http.MethodGet, "rollouts/"+url.PathEscape(name), nil, &r)
}

// BeginRollout begins a roll-out.
func (c *Client) BeginRollout(ctx context.Context, o RolloutOrder) (r Rollout, err error) {
	return r, c.do(ctx, http.MethodPost, "rollouts", o, &r)
}

// StopRollout has no further machine of a roll-out armed. by is the person who asks.
func (c *Client) StopRollout(ctx context.Context, name, by string) (r Rollout, err error) {
	return r, c.do(ctx, http.MethodPost, "rollouts/"+url.PathEscape(name)+"/stop", Order{By: by}, &r)
}

// ResumeRollout goes on with a roll-out that was stopped.
func (c *Client) ResumeRollout(ctx context.Context, name, by string) (r Rollout, err error) {
	return r, c.do(ctx, http.MethodPost, "rollouts/"+url.PathEscape(name)+"/resume", Order{By: by}, &r)
}
