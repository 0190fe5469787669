package leases_test

import (
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
}

// TestDamagedLease: the others are read, and the address of the damaged one is
// given to nobody.
func TestDamagedLease(t *testing.T) {
	kept := &store.Memory{}
	l := leases.Leases{Store: kept}
	good := dhcp.Lease{Addr: netip.MustParseAddr("10.0.0.8"), MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}, Expires: time.Now()}
	if made, err := l.Commit(t.Context(), time.Now(), []dhcp.LeaseChange{{Lease: good, Client: good.MAC}}); err != nil || !made[0] {
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
