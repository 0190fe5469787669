package book

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/members"
	"cloudlets/provision/rollout"
	"cloudlets/provision/store"
)

var (
	// ErrUnknown says that there is no roll-out of a name.
	ErrUnknown = errors.New("there is no such roll-out")
	// ErrRefused says that a roll-out cannot be begun, stopped or resumed as it is now.
	ErrRefused = errors.New("refused")
	// ErrMoved says that another server carries the roll-out on, that it was stopped, or
	// that the machine's step was made already. Nothing has changed.
	ErrMoved = errors.New("the roll-out has moved on")
)

func chunkKey(name string, index int) string { return fmt.Sprintf("%s/%03d", name, index/chunk) }

// Stop has no further machine armed, until [Book.Resume]. by is the person who asks.
func (b *Book) Stop(ctx context.Context, name, by string, now time.Time) error {
	return b.change(ctx, "stop", name, func(_ store.Tx, s *rollout.Status) error {
		if s.Phase != rollout.Running {
			return fmt.Errorf("%w: it is %s already", ErrRefused, s.Phase)
		}
		s.Phase, s.Why, s.Since = rollout.Stopped, "stopped by "+by, now
		return nil
	})
}

// Resume goes on with a roll-out that was stopped. Machines that are bad now do not count any
// more. It is refused if a machine whose turn has not come is in another one that is running.
func (b *Book) Resume(ctx context.Context, name, by string, now time.Time) error {
	r := b.Get(name)
	return b.change(ctx, "resume", name, func(tx store.Tx, s *rollout.Status) error {
		switch {
		case s.Phase == rollout.Running:
			return fmt.Errorf("%w: it is running", ErrRefused)
		case s.Phase == rollout.Ended || r == nil:
			return fmt.Errorf("%w: it has ended; begin another one for the machines that are left, with `cloudlets install --at-a-time`", ErrRefused)
		}
		var waiting []provision.MAC
		for _, mac := range r.Machines {
			if r.Step(mac).Phase == rollout.Waiting {
				waiting = append(waiting, mac)
			}
		}
		statuses, err := readStatuses(tx)
		if err == nil {
			err = checkAlone(tx, statuses, name, waiting)
		}
		s.Phase, s.Why, s.Since, s.Forgiven = rollout.Running, "resumed by "+by, now, r.Count(rollout.Bad)
		return err
	})
}

// Become makes a roll-out what [rollout.Rollout.Next] says, if the server self carries it on
// and it is still in the phase from.
func (b *Book) Become(ctx context.Context, name, self string, from rollout.Phase, m rollout.Move, now time.Time) error {
	return b.change(ctx, "carry on", name, func(_ store.Tx, s *rollout.Status) error {
		if s.Carrier != self || s.Phase != from {
			return ErrMoved
		}
		s.Phase, s.Since, s.Why = m.Phase, now, cmp.Or(m.Why, s.Why)
		return nil
	})
}

// Claim has the server self carry a roll-out on, if no server does that is alive. won says
// whether it does now.
func (b *Book) Claim(ctx context.Context, name, self string) (won bool, err error) {
	err = b.change(ctx, "claim", name, func(tx store.Tx, s *rollout.Status) error {
		won = s.Carrier == self
		if won || s.Phase == rollout.Ended {
			return nil
		}
		alive, err := members.Alive(tx, s.Carrier)
		if won = err == nil && !alive; won {
			s.Carrier = self
		}
		return err
	})
	return won && err == nil, err
}

// change changes a roll-out's status in one transaction.
func (b *Book) change(ctx context.Context, what, name string, how func(store.Tx, *rollout.Status) error) error {
	err := b.store.Update(ctx, func(tx store.Tx) error {
		var s rollout.Status
		found, err := store.GetJSON(tx, statusBucket, name, &s)
		if err != nil {
			return err
		}
		if !found {
			return fmt.Errorf("%w; `cloudlets rollouts` lists them", ErrUnknown)
		}
		before := s
		if err := how(tx, &s); err != nil || s == before {
			return err
		}
		return store.PutJSON(tx, statusBucket, name, s)
	})
	if err != nil {
		return fmt.Errorf("%s the roll-out %.40q: %w", what, name, err)
	}
	return nil
}

// Record writes a machine's step, in a transaction that may write more. It is an [ErrMoved]
// unless the server self carries the roll-out on, the machine is still in the phase from,
// and, for a machine that waits, the roll-out is running.
func (b *Book) Record(tx store.Tx, name, self string, mac provision.MAC, from rollout.Phase, to rollout.Step) error {
	var i int
	in := false
	b.Look(name, func(r *rollout.Rollout) { i, in = r.Index(mac) })
	var s rollout.Status
	if _, err := store.GetJSON(tx, statusBucket, name, &s); err != nil {
		return err
	}
	if !in || s.Carrier != self || from == rollout.Waiting && s.Phase != rollout.Running {
		return ErrMoved
	}
	steps := make(map[provision.MAC]rollout.Step)
	if _, err := store.GetJSON(tx, stepBucket, chunkKey(name, i), &steps); err != nil {
		return err
	}
	if cmp.Or(steps[mac].Phase, rollout.Waiting) != from {
		return ErrMoved
	}
	steps[mac] = to
	return store.PutJSON(tx, stepBucket, chunkKey(name, i), steps)
}

// Note is a [Book.Record] that writes nothing more.
func (b *Book) Note(ctx context.Context, name, self string, mac provision.MAC, from rollout.Phase, to rollout.Step) error {
	err := b.store.Update(ctx, func(tx store.Tx) error { return b.Record(tx, name, self, mac, from, to) })
	if err != nil {
		return fmt.Errorf("note in the roll-out %s that %s is %s: %w", name, mac, to.Phase, err)
	}
	return nil
}

// Restored stops all roll-outs of a store that was restored from a backup: what became of
// their machines since is not known. It returns the names of those that it stopped.
func Restored(ctx context.Context, s store.Store, now time.Time) (stopped []string, err error) {
	err = s.Update(ctx, func(tx store.Tx) error {
		stopped = nil
		statuses, err := readStatuses(tx)
		if err != nil {
			return err
		}
		for name, status := range statuses {
			if status.Phase != rollout.Running {
				continue
			}
			status.Phase, status.Since, status.Why = rollout.Stopped, now, "the store was restored from a backup"
			if err := store.PutJSON(tx, statusBucket, name, status); err != nil {
				return err
			}
			stopped = append(stopped, name)
		}
		return nil
	})
	return stopped, err
}
