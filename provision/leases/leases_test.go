package leases_test

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/dhcp/leasetest"
	"cloudlets/provision/leases"
	"cloudlets/provision/store"
	"cloudlets/provision/store/etcd"
	testcluster "cloudlets/testdata/etcd"
)

func TestLeases(t *testing.T) {
	t.Run("file", func(t *testing.T) {
		leasetest.Conformance(t, func(t *testing.T) dhcp.LeaseStore { return leases.Leases{Store: openStore(t)} })
	})
	t.Run("etcd", func(t *testing.T) {
		endpoints := testcluster.Start(t, 1).Endpoints()
		n := 0
		leasetest.Conformance(t, func(t *testing.T) dhcp.LeaseStore {
			n++
			kept, err := etcd.Open(t.Context(), etcd.Options{Endpoints: endpoints, Prefix: fmt.Sprint("/leases/", n)})
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() { kept.Close() })
			return leases.Leases{Store: kept}
		})
	})
	t.Run("memory", func(t *testing.T) {
		leasetest.Conformance(t, func(*testing.T) dhcp.LeaseStore { return leases.Leases{Store: &store.Memory{}} })
	})
	t.Run("in small transactions that run twice", func(t *testing.T) {
		leasetest.Conformance(t, func(*testing.T) dhcp.LeaseStore { return leases.Leases{Store: &shared{}} })
	})
}

// shared is a store in memory with the ways of one that several servers share: an
// Update has bounds, and runs its function again when another one came in between.
type shared struct{ store.Memory }

var errAgain = errors.New("another transaction came in between")

func (s *shared) Update(ctx context.Context, write func(store.Tx) error) error {
	err := s.Memory.Update(ctx, func(tx store.Tx) error {
		if err := write(tx); err != nil {
			return err
		}
		return errAgain
	})
	if !errors.Is(err, errAgain) {
		return err
	}
	return s.Memory.Update(ctx, func(tx store.Tx) error {
		limited := &limitedTx{Tx: tx}
		if err := write(limited); err != nil {
			return err
		}
		if l := s.Limits(); limited.reads > l.Reads || limited.writes > l.Writes || limited.bytes > l.Bytes {
			return fmt.Errorf("%d reads, %d writes of %d bytes in one transaction", limited.reads, limited.writes, limited.bytes)
		}
		return nil
	})
}

func (s *shared) Limits() store.Limits {
	return store.Limits{Reads: 7, Writes: 9, Bytes: 16 << 10, Shared: true}
}

// limitedTx counts what a transaction does.
type limitedTx struct {
	store.Tx
	reads, writes, bytes int
}

func (tx *limitedTx) Get(bucket, key string) ([]byte, error) {
	tx.reads++
	return tx.Tx.Get(bucket, key)
}

func (tx *limitedTx) GetEach(bucket string, keys []string) ([][]byte, error) {
	tx.reads += len(keys)
	return tx.Tx.GetEach(bucket, keys)
}

func (tx *limitedTx) Put(bucket, key string, value []byte) error {
	tx.writes++
	tx.bytes += len(key) + len(value)
	return tx.Tx.Put(bucket, key, value)
}

func (tx *limitedTx) Delete(bucket, key string) error {
	tx.writes++
	return tx.Tx.Delete(bucket, key)
}

// TestDamagedLease: the others are read, and the address of the damaged one is
// given to nobody.
func TestDamagedLease(t *testing.T) {
	kept := &store.Memory{}
	l := leases.Leases{Store: kept}
	good := dhcp.Lease{Addr: netip.MustParseAddr("10.0.0.8"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Expires: time.Now()}
	if made, err := l.Commit(t.Context(), time.Now(), []dhcp.LeaseChange{{Lease: good, Client: good.MAC}}); err != nil || !made[0].Made {
		t.Fatal(made, err)
	}
	put := func(key string) {
		t.Helper()
		if err := kept.Update(t.Context(), func(tx store.Tx) error { return tx.Put(leases.Bucket, key, []byte("{")) }); err != nil {
			t.Fatal(err)
		}
	}
	put("10.0.0.9")
	var all []dhcp.Lease
	follow := func() error {
		stop, err := l.Follow(t.Context(), func(leases []dhcp.Lease, _ bool) { all = leases })
		if err == nil {
			stop()
		}
		return err
	}
	if err := follow(); err != nil || len(all) != 2 || all[0].MAC.String() != good.MAC.String() {
		t.Fatalf("got %v, %v", all, err)
	}
	if bad := all[1]; bad.Addr.String() != "10.0.0.9" || bad.MAC.String() != "00:00:00:00:00:00" || !bad.Expires.After(time.Now().Add(time.Hour)) {
		t.Errorf("the damaged lease is %v", bad)
	}
	// Somebody asks for it. It is given to nobody for as long, and then again.
	later := time.Now().Add(time.Hour)
	claim := dhcp.LeaseChange{Lease: dhcp.Lease{Addr: all[1].Addr, MAC: good.MAC}, Client: good.MAC}
	for _, want := range []bool{false, true} {
		if o, err := l.Commit(t.Context(), later, []dhcp.LeaseChange{claim}); err != nil || o[0].Made != want {
			t.Errorf("at %s a claim of the damaged lease's address: %v, %v", later, o, err)
		}
		later = later.Add(25 * time.Hour)
	}
	put("nonsense")
	if err := follow(); err == nil || !strings.Contains(err.Error(), "nonsense") {
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
