package store

import (
	"context"
	"slices"
	"sync"
)

// followers are those who follow a store. The store tells them of each
// transaction in turn.
type followers struct {
	mu  sync.Mutex // held while a follower is told, so that the order is kept
	all []*following
}

// following is one call of [Store.Follow].
type following struct {
	Follower
	buckets []string
}

// add loads a follower and adds it. The caller holds mu.
func (f *followers) add(ctx context.Context, view func(context.Context, func(Tx) error) error, follower Follower, buckets []string) (stop func(), err error) {
	if err := view(ctx, follower.Load); err != nil {
		return nil, err
	}
	added := &following{follower, slices.Clone(buckets)}
	f.all = append(f.all, added)
	return func() {
		f.mu.Lock()
		defer f.mu.Unlock()
		f.all = slices.DeleteFunc(f.all, func(other *following) bool { return other == added })
	}, nil
}

// tell tells the followers of the changes of one transaction. The caller holds mu.
func (f *followers) tell(changes []Change) {
	for _, one := range f.all {
		var of []Change
		for _, c := range changes {
			if slices.Contains(one.buckets, c.Bucket) {
				of = append(of, c)
			}
		}
		if len(of) > 0 {
			one.Apply(of)
		}
	}
}
