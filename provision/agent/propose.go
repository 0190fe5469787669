package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/wire"
)

// askEvery is how often the agent asks whether a person has confirmed its plan.
const askEvery = 5 * time.Second

// propose tells the server what the agent is about to do, and asks until it may. While a
// person is waited for, no server has to answer: nothing is written yet.
func (r *reporter) propose(ctx context.Context, p provision.Proposal, confirm bool) error {
	said := ""
	for {
		answer, err := r.ask(ctx, wire.ProposalRequest{Proposal: p, Confirm: confirm})
		_, refused := errors.AsType[client.Refusal](err)
		switch {
		case err == nil && answer.Wait == "":
			return nil
		case ctx.Err() != nil:
			return ctx.Err()
		case err != nil && (refused || !confirm):
			return fmt.Errorf("ask the server whether to begin to write: %w", err)
		case err != nil:
			r.console.say("%v; this machine waits on", err)
			said = ""
		case answer.Wait != said:
			said = answer.Wait
			r.console.say("will %s", p)
			r.console.say("%s", said)
		}
		if err := pause.For(ctx, jittered(askEvery)); err != nil {
			return err
		}
	}
}

// ask makes one request of propose.
func (r *reporter) ask(ctx context.Context, request wire.ProposalRequest) (answer wire.ProposalAnswer, err error) {
	text, err := r.server.Post(ctx, wire.ProposalPath, request)
	if err != nil {
		return answer, err
	}
	if err := json.Unmarshal(text, &answer); err != nil {
		return answer, fmt.Errorf("read the server's answer: %w", err)
	}
	return answer, nil
}
