package api

import (
	"context"
	"net/http"
	"net/url"
	"strconv"

	"cloudlets/provision"
	"cloudlets/provision/power"
	"cloudlets/provision/power/desk"
)

// PowerState is whether a machine has power, as its controller says.
type PowerState struct {
	MAC   provision.MAC `json:"mac"`
	State power.State   `json:"state"`
	// By is how the machine is switched: "redfish", "ipmi", "wakeOnLAN", "command".
	By string `json:"by"`
}

// PowerState asks whether a machine has power.
func (c *Client) PowerState(ctx context.Context, machine string) (state PowerState, err error) {
	return state, c.do(ctx, http.MethodGet, machinePath(machine, "power"), nil, &state)
}

// Switch orders that a machine is switched, and waits until that is done. If ctx ends
// before, the order stands.
func (c *Client) Switch(ctx context.Context, machine string, order desk.Order) (job desk.Job, err error) {
	if err := c.do(ctx, http.MethodPost, machinePath(machine, "power"), order, &job); err != nil {
		return job, err
	}
	for !job.Done {
		query := url.Values{"job": {strconv.FormatUint(job.ID, 10)}}
		if err := c.do(ctx, http.MethodGet, machinePath(string(job.MAC), "power")+"?"+query.Encode(), nil, &job); err != nil {
			return job, err
		}
	}
	return job, nil
}
