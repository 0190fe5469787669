package book

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/provision/store"
)

// Create begins a roll-out, which the server with the ID carrier carries on, and returns its
// name. It is refused with an [ErrRefused] if a machine is in another one that is running, and
// with a [rollout.ErrOrder] if it makes no sense.
func (b *Book) Create(ctx context.Context, o rollout.Order, carrier string) (name string, err error) {
	if err := o.Check(); err != nil {
		return "", err
	}
	err = b.store.Update(ctx, func(tx store.Tx) error {
		statuses, err := readStatuses(tx)
		if err != nil {
			return err
		}
		if err := checkAlone(tx, statuses, "", o.Machines); err != nil {
			return err
		}
		if err := makeRoom(tx, statuses); err != nil {
			return err
		}
		var last int
		if _, err := store.GetJSON(tx, lastBucket, lastKey, &last); err != nil {
			return err
		}
		last++
		named := o
		named.Name = fmt.Sprint("r", last)
		name = named.Name
		return errors.Join(store.PutJSON(tx, lastBucket, lastKey, last), store.PutJSON(tx, orderBucket, name, named),
			store.PutJSON(tx, statusBucket, name, rollout.Status{Phase: rollout.Running, Since: o.Time, Carrier: carrier}))
	})
	if err != nil {
		return "", fmt.Errorf("begin a roll-out: %w", err)
	}
	return name, nil
}

func readStatuses(tx store.Tx) (map[string]rollout.Status, error) {
	statuses := make(map[string]rollout.Status)
	err := tx.Scan(statusBucket, "", "", func(name string, value []byte) error {
		var s rollout.Status
		if err := json.Unmarshal(value, &s); err != nil {
			return fmt.Errorf("read the status of the roll-out %s: %w", name, err)
		}
		statuses[name] = s
		return nil
	})
	return statuses, err
}

// checkAlone refuses machines that are in a roll-out that is running, but for one.
func checkAlone(tx store.Tx, statuses map[string]rollout.Status, but string, machines []provision.MAC) error {
	wanted := make(map[provision.MAC]struct{}, len(machines))
	for _, mac := range machines {
		wanted[mac] = struct{}{}
	}
	return tx.Scan(orderBucket, "", "", func(name string, value []byte) error {
		if statuses[name].Phase != rollout.Running || name == but {
			return nil
		}
		var other rollout.Order
		if err := json.Unmarshal(value, &other); err != nil {
			return fmt.Errorf("read the roll-out %s: %w", name, err)
		}
		for _, mac := range other.Machines {
			if _, in := wanted[mac]; in {
				return fmt.Errorf("%w: %s is in the roll-out %s, which is running: leave it out, wait, or stop that with `cloudlets rollouts %s --stop`", ErrRefused, mac, name, name)
			}
		}
		return nil
	})
}

// makeRoom removes the oldest roll-outs that are not running, so that there is room for one
// more. Those that ended go first.
func makeRoom(tx store.Tx, statuses map[string]rollout.Status) error {
	var idle []string
	for name, s := range statuses {
		if s.Phase != rollout.Running {
			idle = append(idle, name)
		}
	}
	slices.SortFunc(idle, func(a, b string) int {
		if ended := statuses[a].Phase == rollout.Ended; ended != (statuses[b].Phase == rollout.Ended) {
			if ended {
				return -1
			}
			return 1
		}
		return cmp.Compare(number(a), number(b))
	})
	over := len(statuses) - rollout.MaxKept + 1
	if over > len(idle) {
		return fmt.Errorf("%w: %d roll-outs are running, and no more are possible: wait until one has ended, or stop one", ErrRefused, len(statuses)-len(idle))
	}
	for _, name := range idle[:max(over, 0)] {
		if err := remove(tx, name); err != nil {
			return err
		}
	}
	return nil
}

func remove(tx store.Tx, name string) error {
	var o rollout.Order
	if _, err := store.GetJSON(tx, orderBucket, name, &o); err != nil {
		return err
	}
	for first := 0; first < len(o.Machines); first += chunk {
		if err := tx.Delete(stepBucket, chunkKey(name, first)); err != nil {
			return err
		}
	}
	return errors.Join(tx.Delete(statusBucket, name), tx.Delete(orderBucket, name))
}
