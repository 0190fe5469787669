package track

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// restoredKey is in the bucket meta: when the store was restored.
const restoredKey = "restored"

// Restored makes a store safe that was restored from a backup: nothing that was
// armed or ordered when the backup was made is so now, and no machine is installed for
// the first time until a person arms it. It returns the machines that it
// disarmed.
func Restored(ctx context.Context, s store.Store, now time.Time) (disarmed []provision.MAC, err error) {
	err = s.Update(ctx, func(tx store.Tx) error {
		records := map[string]record{}
		err := tx.Scan(stateBucket, "", "", func(key string, value []byte) error {
			var r record
			if err := json.Unmarshal(value, &r); err != nil {
				return fmt.Errorf("read %s %s: %w", stateBucket, key, err)
			}
			records[key] = r
			return nil
		})
		if err != nil {
			return err
		}
		disarmed = nil
		for key, r := range records {
			if r.State.Armed {
				disarmed = append(disarmed, provision.MAC(key))
			}
			// What happened since the backup is not known: the disk may have another system.
			r.State.Has, r.State.Kept, r.State.Writing, r.State.Running, r.State.Quiet = nil, nil, nil, nil, nil
			r.State.Once, r.State.Booted, r.State.Live = nil, nil, nil // it may have been used up
			r.State.Proposal, r.State.Confirm, r.State.Confirmed, r.State.ConfirmedBy = nil, false, "", ""
			r.State.Armed, r.State.ArmedBy, r.State.ArmedAt, r.State.Pin, r.State.Wipe, r.State.Rollback, r.State.Restored = false, "", time.Time{}, nil, false, "", true
			if err := store.PutJSON(tx, stateBucket, key, r); err != nil {
				return err
			}
		}
		return store.PutJSON(tx, metaBucket, restoredKey, now)
	})
	return disarmed, err
}
