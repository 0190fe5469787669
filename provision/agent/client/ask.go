package client

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// againPause is the pause before a server is asked again that says so.
const againPause = 3 * time.Second

// Leave says why the server does not want the machine installed.
type Leave struct {
	Reason string
	// Mendable says that a person can mend it while the agent waits.
	Mendable bool
}

// Error implements error.
func (l Leave) Error() string { return "the server does not install this machine: " + l.Reason }

// Ask returns the parameters of the machine that has a card. It asks again while the
// server says so. The error is a [Leave] if the machine is not to be installed.
func (c *Client) Ask(ctx context.Context, card provision.MAC) (wire.Params, error) {
	params, _, err := c.askAt(ctx, wire.ParamsPath(card))
	return params, err
}

// AskAgain returns parameters with a new token, and the machine's order, see
// [wire.Answer]. The error is a [Leave] if the machine is not to be installed any more.
func (c *Client) AskAgain(ctx context.Context, card provision.MAC) (wire.Params, string, error) {
	params, order, err := c.askAt(ctx, wire.ParamsPath(card)+"?"+wire.AgainQuery)
	if err == nil && params.MAC != card {
		err = fmt.Errorf("ask %s what to do with %s: it answers for %s", c.Base, card, params.MAC)
	}
	return params, order, err
}

func (c *Client) askAt(ctx context.Context, path string) (wire.Params, string, error) {
	for {
		text, err := c.retry(ctx, func() ([]byte, error) { return c.do(ctx, http.MethodGet, path, nil) })
		if err != nil {
			return wire.Params{}, "", fmt.Errorf("ask %s what to do: %w", c.Base, err)
		}
		c.Patience = Patience
		var answer wire.Answer
		if err := json.Unmarshal(text, &answer); err != nil {
			return wire.Params{}, "", fmt.Errorf("ask %s what to do: read its answer: %w", c.Base, err)
		}
		switch {
		case answer.Leave != "":
			return wire.Params{}, "", Leave{provision.Cut(answer.Leave, MaxReason), answer.Mendable}
		case answer.Again == "":
			params, err := askedParams(answer.Cmdline)
			return params, answer.Order, err
		}
		c.log.Info("the server says to ask again", "reason", provision.Cut(answer.Again, MaxReason))
		if err := pause.For(ctx, againPause); err != nil {
			return wire.Params{}, "", err
		}
	}
}

// MaxReason is how many bytes of a server's reason are shown on a machine's console.
const MaxReason = 512

// askedParams reads parameters from an answer, which must not send the agent on to
// ask elsewhere.
func askedParams(cmdline string) (wire.Params, error) {
	p, err := wire.ParseParams(cmdline)
	if err == nil && p.Ask != "" {
		err = fmt.Errorf("the server sends it on to %s, and only the signed command line may name a server to ask", p.Ask)
	}
	return p, err
}
