package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/uplink"
	"cloudlets/provision/wire"
)

// carrierGrace is how long other cards may take to get a carrier, after the first one
// has it. A machine has more cards than its file may name, and the one that the server
// knows may be the slowest.
const carrierGrace = 30 * time.Second

// search tries network cards, one after the other, until the server knows one.
type search struct {
	// cards waits until a card has a carrier, as [uplink.Cards] does.
	cards func(context.Context) (ready, dark []provision.MAC, err error)
	// try brings up one card and asks the server about it. Its error is a [client.Leave] if
	// the server refuses the card.
	try func(context.Context, provision.MAC) (*uplink.Link, wire.Params, error)
	log *slog.Logger
}

// run returns the first card that leads to an install. A card that fails is tried again
// until the agent's patience is over, and one that is refused is not. The error has the
// reason of each card.
func (s search) run(ctx context.Context) (*uplink.Link, wire.Params, error) {
	limited, stop := context.WithTimeout(ctx, client.Patience)
	defer stop()
	reasons := make(map[provision.MAC]error)
	refused := func(card provision.MAC) bool {
		_, no := errors.AsType[client.Leave](reasons[card])
		return no
	}
	var graceEnds time.Time
	for {
		ready, dark, err := s.cards(limited)
		if err != nil {
			return nil, wire.Params{}, errors.Join(joined(reasons), err)
		}
		if graceEnds.IsZero() {
			graceEnds = time.Now().Add(carrierGrace)
		}
		for _, card := range ready {
			if refused(card) {
				continue
			}
			link, told, err := s.try(ctx, card)
			if err == nil {
				return link, told, nil
			}
			s.log.Warn("this network card does not lead to an install", "card", card, "error", err)
			reasons[card] = fmt.Errorf("%s: %w", card, err)
		}
		waits := func(card provision.MAC) bool { return !refused(card) }
		done := !slices.ContainsFunc(ready, waits) && (!slices.ContainsFunc(dark, waits) || !time.Now().Before(graceEnds))
		if done || pause.For(limited, time.Second) != nil {
			return nil, wire.Params{}, joined(reasons)
		}
	}
}

// joined is one error of the reasons of all cards, by their addresses.
func joined(reasons map[provision.MAC]error) error {
	var list []error
	for _, card := range slices.Sorted(maps.Keys(reasons)) {
		list = append(list, reasons[card])
	}
	return errors.Join(list...)
}
