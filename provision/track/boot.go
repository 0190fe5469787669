package track

import (
	"context"
	"fmt"

	"cloudlets/provision"
)

// OrderBoot has a machine boot something at its next boot from the network, once. It
// replaces an earlier order, and is refused while an install is armed.
func (t *Tracker) OrderBoot(ctx context.Context, mac provision.MAC, spec *provision.Spec, b provision.Boot, by string) error {
	if err := provision.CheckBoot(mac, spec, b); err != nil {
		return fmt.Errorf("order %s of %s: %w", b, mac, err)
	}
	e := provision.Event{MAC: mac, Kind: provision.KindOrdered, By: by, Text: "boot " + b.String() + " ordered, once", Order: &b}
	return t.RecordWith(ctx, e, func(state provision.State) error { return state.CheckNotArmed(b) }, nil)
}

// CancelBoot takes back what a machine was ordered to boot. The error is
// [provision.ErrBootTaken] if nothing is ordered any more.
func (t *Tracker) CancelBoot(ctx context.Context, mac provision.MAC, by string) error {
	e := provision.Event{MAC: mac, Kind: provision.KindOrdered, By: by, Text: "the order for its next boot taken back"}
	return t.RecordWith(ctx, e, func(state provision.State) error {
		if state.Once == nil {
			return provision.ErrBootTaken
		}
		return nil
	}, nil)
}

// TakeBoot records that a machine was told to boot what the event names. Of several
// servers only one uses up an order; for the others the error is
// [provision.ErrBootTaken].
func (t *Tracker) TakeBoot(ctx context.Context, e provision.Event) error {
	return t.RecordWith(ctx, e, func(state provision.State) error { return state.CheckOrdered(*e.Booted) }, nil)
}
