package store

import (
	"slices"
	"sync"
)

// Followers are those who follow a store. A form of a store has one, holds it while
// it tells of a transaction, and so tells them in order.
type Followers struct {
	sync.Mutex // guards the list, and is held while followers are told
	all        []*following
}

// following is one call of [Store.Follow].
type following struct {
	Follower
	buckets []string
}

// Add lets a follower load, by what view reads, and adds it. The caller holds the
// lock. The function that it returns must be called without it.
func (f *Followers) Add(view func(func(Tx) error) error, follower Follower, buckets []string) (stop func(), err error) {
	if err := view(follower.Load); err != nil {
		return nil, err
	}
	added := &following{follower, slices.Clone(buckets)}
	f.all = append(f.all, added)
	return func() {
		f.Lock()
		defer f.Unlock()
		f.all = slices.DeleteFunc(f.all, func(other *following) bool { return other == added })
	}, nil
}

// Reload lets all followers load again. The caller holds the lock.
func (f *Followers) Reload(view func(func(Tx) error) error) error {
	for _, one := range f.all {
		if err := view(one.Load); err != nil {
			return err
		}
	}
	return nil
}

// Tell tells the followers of the changes of one transaction. The caller holds the
// lock.
func (f *Followers) Tell(changes []Change) {
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
