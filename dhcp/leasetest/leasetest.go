// Package leasetest tests that a lease store does what package dhcp relies on.
// Every implementation of [dhcp.LeaseStore] runs it.
package leasetest

import (
	"net"
	"net/netip"
	"slices"
	"sync"
	"testing"
	"time"

	"cloudlets/dhcp"
)

// Conformance tests the stores that open returns. Each call of open must return
// a new, empty store.
func Conformance(t *testing.T, open func(t *testing.T) dhcp.LeaseStore) {
	for _, test := range []struct {
		name string
		run  func(*testing.T, dhcp.LeaseStore)
	}{
		{"a new store is empty", empty},
		{"what is put is there, expired or not", putAndRead},
		{"an address has one lease", putReplaces},
		{"a deleted lease is gone", deletes},
		{"no lease to delete is no error", deletesNothing},
		{"nothing to put is no error", putsNothing},
		{"many goroutines at once", concurrent},
	} {
		t.Run(test.name, func(t *testing.T) { test.run(t, open(t)) })
	}
}

// day is a time that no encoding changes: it has whole seconds and is UTC.
var day = time.Date(2030, 1, 2, 3, 4, 5, 0, time.UTC)

func lease(last, mac byte, hostname string, expires time.Time) dhcp.Lease {
	return dhcp.Lease{
		Addr:     netip.AddrFrom4([4]byte{10, 0, 0, last}),
		MAC:      net.HardwareAddr{0x52, 0x54, 0, 0, 0, mac},
		Hostname: hostname, Expires: expires,
	}
}

func empty(t *testing.T, s dhcp.LeaseStore) { expect(t, s) }

func putAndRead(t *testing.T, s dhcp.LeaseStore) {
	a, b := lease(1, 1, "web1", day), lease(2, 2, "", day.AddDate(-50, 0, 0))
	put(t, s, a, b)
	expect(t, s, a, b)
}

func putReplaces(t *testing.T, s dhcp.LeaseStore) {
	put(t, s, lease(1, 1, "old", day))
	renewed := lease(1, 2, "new", day.Add(time.Hour))
	put(t, s, renewed)
	expect(t, s, renewed)
}

func deletes(t *testing.T, s dhcp.LeaseStore) {
	kept := lease(2, 2, "kept", day)
	put(t, s, lease(1, 1, "gone", day), kept)
	if err := s.DeleteLease(lease(1, 1, "", day).Addr); err != nil {
		t.Fatal(err)
	}
	expect(t, s, kept)
}

func deletesNothing(t *testing.T, s dhcp.LeaseStore) {
	if err := s.DeleteLease(netip.MustParseAddr("10.0.0.9")); err != nil {
		t.Errorf("deleting an address without a lease: %v", err)
	}
}

func putsNothing(t *testing.T, s dhcp.LeaseStore) {
	put(t, s)
	expect(t, s)
}

func concurrent(t *testing.T, s dhcp.LeaseStore) {
	var want []dhcp.Lease
	var group sync.WaitGroup
	for i := range byte(20) {
		l := lease(i, i, "", day)
		want = append(want, l)
		group.Go(func() {
			if err := s.PutLeases([]dhcp.Lease{l}); err != nil {
				t.Errorf("put lease of %s: %v", l.Addr, err)
			}
			if _, err := s.Leases(); err != nil {
				t.Errorf("read leases: %v", err)
			}
		})
	}
	group.Wait()
	expect(t, s, want...)
}

func put(t *testing.T, s dhcp.LeaseStore, leases ...dhcp.Lease) {
	t.Helper()
	if err := s.PutLeases(leases); err != nil {
		t.Fatalf("put %d leases: %v", len(leases), err)
	}
}

// expect compares the stored leases with want, which is in order of addresses.
func expect(t *testing.T, s dhcp.LeaseStore, want ...dhcp.Lease) {
	t.Helper()
	got, err := s.Leases()
	if err != nil {
		t.Fatalf("read leases: %v", err)
	}
	slices.SortFunc(got, func(a, b dhcp.Lease) int { return a.Addr.Compare(b.Addr) })
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("leases are\n%v\nwant\n%v", got, want)
	}
}

func same(a, b dhcp.Lease) bool {
	return a.Addr == b.Addr && a.MAC.String() == b.MAC.String() && a.Hostname == b.Hostname && a.Expires.Equal(b.Expires)
}
