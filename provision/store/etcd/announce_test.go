package etcd

import (
	"testing"

	"cloudlets/provision/store"
)

// TestTheLeaseIsLost: when a lease has ended in etcd, the next Announce makes
// another one, with all that was announced, and none is left behind.
func TestTheLeaseIsLost(t *testing.T) {
	t.Parallel()
	ctx := t.Context()
	s, other := openBoth(t)
	for _, key := range []string{"address", "load"} {
		if err := s.Announce(ctx, key, []byte("first")); err != nil {
			t.Fatal(err)
		}
	}
	s.announcer.mu.Lock()
	lease := s.announcer.session.Lease()
	s.announcer.mu.Unlock()
	if _, err := s.client.Revoke(ctx, lease); err != nil {
		t.Fatal(err)
	}
	if err := s.Announce(ctx, "load", []byte("second")); err != nil {
		t.Fatal(err)
	}
	err := other.View(ctx, func(tx store.Tx) error {
		values, err := tx.GetEach(store.Announced, []string{"address", "load"})
		if err == nil && (string(values[0]) != "first" || string(values[1]) != "second") {
			t.Errorf("announced are %q", values)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	leases, err := s.client.Leases(ctx)
	if err != nil {
		t.Fatal(err)
	}
	if len(leases.Leases) != 1 {
		t.Fatalf("there are %d leases, want 1", len(leases.Leases))
	}
	// The store can be closed even if this one ends as well.
	if _, err := s.client.Revoke(ctx, leases.Leases[0].ID); err != nil {
		t.Error(err)
	}
}
