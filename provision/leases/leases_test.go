package leases_test

import (
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/dhcp/leasetest"
	"cloudlets/provision/leases"
	"cloudlets/provision/store"
)

func TestLeases(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		leasetest.Conformance(t, func(t *testing.T) dhcp.LeaseStore { return leases.Leases{Store: openStore(t)} })
	})
	t.Run("memory", func(t *testing.T) {
		leasetest.Conformance(t, func(*testing.T) dhcp.LeaseStore { return leases.Leases{Store: &store.Memory{}} })
	})
}

// TestDamagedLease: the error says which one.
func TestDamagedLease(t *testing.T) {
	kept := &store.Memory{}
	if err := kept.Update(t.Context(), func(tx store.Tx) error { return tx.Put(leases.Bucket, "10.0.0.9", []byte("{")) }); err != nil {
		t.Fatal(err)
	}
	if _, err := (leases.Leases{Store: kept}).Leases(); err == nil || !strings.Contains(err.Error(), "lease of 10.0.0.9") {
		t.Errorf("error %v", err)
	}
}

func openStore(t *testing.T) *store.File {
	t.Helper()
	kept, err := store.OpenFile(filepath.Join(t.TempDir(), "test.db"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := kept.Close(); err != nil {
			t.Error(err)
		}
	})
	return kept
}
