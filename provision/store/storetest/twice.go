package storetest

import (
	"context"
	"errors"

	"cloudlets/provision/store"
)

// Twice returns a store that runs the function of each Update twice, as a store
// does in which another transaction came in between. What the first run writes is
// discarded. A function that fails runs once.
func Twice(s store.Store) store.Store { return twice{s} }

type twice struct{ store.Store }

// errDiscard rolls the first run back.
var errDiscard = errors.New("the first run is discarded")

func (s twice) Update(ctx context.Context, write func(store.Tx) error) error {
	err := s.Store.Update(ctx, func(tx store.Tx) error {
		if err := write(tx); err != nil {
			return err
		}
		return errDiscard
	})
	if err != errDiscard {
		return err
	}
	return s.Store.Update(ctx, write)
}
