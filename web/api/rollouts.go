package api

import (
	"context"
	"net/http"
	"net/url"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
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
	// BootWithin is how long a machine may take until it has booted from the network, such
	// as "30m", after it was armed or switched on. If it is absent, any time is right.
	BootWithin string `json:"bootWithin,omitempty"`
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
	// BootWithin is as in a [RolloutOrder].
	BootWithin string `json:"bootWithin,omitempty"`
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
