// Package leasetest tests that a lease store does what package dhcp relies on.
// Every implementation of [dhcp.LeaseStore] runs it.
package leasetest

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
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
		{"what is stored is there, expired or not", putAndRead},
		{"a client renews its lease", renews},
		{"an address that a client has is no other's", refuses},
		{"an address whose lease has ended is anyone's", takesOver},
		{"of two claims in one write one wins", decides},
		{"an address that a client left is free", leaves},
		{"an address that is another's by now is not left", leavesNothing},
		{"an address can be taken out of use", blocks},
		{"only who has an address gives it back", givesBack},
		{"a lost claim says who has the address", says},
		{"more changes than one transaction takes", many},
		{"a write that is cancelled changes nothing", cancelled},
		{"followers see each change", follows},
		{"nothing to store is no error", putsNothing},
		{"many goroutines at once", concurrent},
		{"of many claims of one address one wins", claimsAtOnce},
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
	a, b := lease(1, 1, "web1", day.Add(time.Hour)), lease(2, 2, "", day.AddDate(-50, 0, 0))
	put(t, s, a, b)
	expect(t, s, a, b)
}

func renews(t *testing.T, s dhcp.LeaseStore) {
	put(t, s, lease(1, 1, "old", day.Add(time.Hour)))
	renewed := lease(1, 1, "new", day.Add(2*time.Hour))
	put(t, s, renewed)
	expect(t, s, renewed)
}

func refuses(t *testing.T, s dhcp.LeaseStore) {
	first := lease(1, 1, "", day.Add(time.Second))
	put(t, s, first)
	if commit(t, s, claim(lease(1, 2, "", day.Add(time.Hour))))[0] {
		t.Error("another client got the address")
	}
	expect(t, s, first)
}

func takesOver(t *testing.T, s dhcp.LeaseStore) {
	put(t, s, lease(1, 1, "", day))
	next := lease(1, 2, "", day.Add(time.Hour))
	put(t, s, next)
	expect(t, s, next)
}

func decides(t *testing.T, s dhcp.LeaseStore) {
	first, second := lease(1, 1, "", day.Add(time.Hour)), lease(1, 2, "", day.Add(time.Hour))
	if made := commit(t, s, claim(first), claim(second)); !made[0] || made[1] {
		t.Errorf("made %v", made)
	}
	expect(t, s, first)
}

func leaves(t *testing.T, s dhcp.LeaseStore) {
	first, other := lease(1, 1, "", day.Add(time.Hour)), lease(3, 3, "", day.Add(time.Hour))
	put(t, s, first, other)
	change := claim(lease(2, 1, "", day.Add(time.Hour)))
	change.Left = first.Addr
	if !commit(t, s, change)[0] {
		t.Error("the client does not get its new address")
	}
	expect(t, s, change.Lease, other)
}

func leavesNothing(t *testing.T, s dhcp.LeaseStore) {
	first, taken := lease(1, 9, "", day.Add(time.Hour)), lease(3, 3, "", day.Add(time.Hour))
	put(t, s, first, taken)
	change := claim(lease(2, 1, "", day.Add(time.Hour)))
	change.Left = first.Addr
	commit(t, s, change)
	lost := claim(lease(3, 9, "", day.Add(time.Hour)))
	lost.Left = first.Addr
	if commit(t, s, lost)[0] {
		t.Error("a client got the address of another")
	}
	expect(t, s, first, change.Lease, taken)
}

func blocks(t *testing.T, s dhcp.LeaseStore) {
	put(t, s, lease(1, 1, "", day.Add(time.Hour)))
	blocked := lease(1, 0, "", day.Add(time.Minute))
	blocked.MAC = make(net.HardwareAddr, 6)
	change := dhcp.LeaseChange{Lease: blocked, Client: lease(1, 2, "", day).MAC}
	if commit(t, s, change)[0] {
		t.Error("a client took another's address out of use")
	}
	change.Client = lease(1, 1, "", day).MAC
	if !commit(t, s, change)[0] {
		t.Error("a client could not take its address out of use")
	}
	if commit(t, s, claim(lease(1, 1, "", day.Add(time.Hour))))[0] {
		t.Error("a client got an address that is out of use")
	}
	expect(t, s, blocked)
}

func givesBack(t *testing.T, s dhcp.LeaseStore) {
	held, ended := lease(1, 1, "", day.Add(time.Hour)), lease(2, 2, "", day.Add(-time.Hour))
	put(t, s, held, ended)
	for _, other := range []dhcp.Lease{lease(1, 9, "", day), lease(2, 9, "", day.Add(time.Minute)), lease(3, 9, "", day.Add(time.Minute))} {
		if commit(t, s, dhcp.LeaseChange{Lease: other, Client: other.MAC, Held: true})[0] {
			t.Errorf("a client gave %s back, and does not have it", other.Addr)
		}
	}
	expect(t, s, held, ended)
	given := lease(1, 1, "", day.Add(time.Minute))
	if !commit(t, s, dhcp.LeaseChange{Lease: given, Client: given.MAC, Held: true})[0] {
		t.Error("a client could not give its address back")
	}
	expect(t, s, given, ended)
}

func says(t *testing.T, s dhcp.LeaseStore) {
	first := lease(1, 1, "web1", day.Add(time.Hour))
	put(t, s, first)
	nobodys := lease(2, 2, "", day)
	got := outcomes(t, s,
		claim(lease(1, 2, "", day.Add(time.Hour))),
		dhcp.LeaseChange{Lease: nobodys, Client: nobodys.MAC, Held: true})
	for i, want := range []dhcp.Lease{first, {Addr: nobodys.Addr}} {
		if o := got[i]; o.Made || !same(o.Before, want) {
			t.Errorf("change %d: %v, want that %v is there", i, o, want)
		}
	}
}

// many makes more changes than a store of several servers takes in one transaction.
func many(t *testing.T, s dhcp.LeaseStore) {
	var want []dhcp.Lease
	var changes []dhcp.LeaseChange
	for n := range byte(200) {
		want = append(want, lease(n, n, "", day.Add(time.Hour)))
		changes = append(changes, claim(want[n]), claim(lease(n, n+1, "", day.Add(time.Hour))))
	}
	for i, made := range commit(t, s, changes...) {
		if made != (i%2 == 0) {
			t.Errorf("change %d of %s: made is %t", i, changes[i].Lease.Addr, made)
		}
	}
	expect(t, s, want...)
}

func cancelled(t *testing.T, s dhcp.LeaseStore) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Commit(ctx, day, []dhcp.LeaseChange{claim(lease(1, 1, "", day))}); err == nil {
		t.Error("there is no error")
	}
	expect(t, s)
}

func follows(t *testing.T, s dhcp.LeaseStore) {
	first := lease(1, 1, "", day.Add(time.Hour))
	put(t, s, first)
	var told []string
	stop, err := s.Follow(t.Context(), func(leases []dhcp.Lease, all bool) {
		told = append(told, fmt.Sprint(all))
		for _, l := range leases {
			told = append(told, fmt.Sprintf("%s %s", l.Addr, l.MAC))
		}
	})
	if err != nil {
		t.Fatal(err)
	}
	moved := claim(lease(2, 1, "", day.Add(time.Hour)))
	moved.Left = first.Addr
	commit(t, s, moved, claim(lease(2, 2, "", day.Add(time.Hour))))
	stop()
	put(t, s, lease(3, 3, "", day.Add(time.Hour)))
	got := strings.Join(told, ", ")
	if want := "true, 10.0.0.1 52:54:00:00:00:01, false, 10.0.0.1 , 10.0.0.2 52:54:00:00:00:01"; got != want {
		t.Errorf("told  %s\nwant %s", got, want)
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
		l := lease(i, i+1, "", day.Add(time.Hour))
		want = append(want, l)
		group.Go(func() {
			if made, err := s.Commit(t.Context(), day, []dhcp.LeaseChange{claim(l)}); err != nil || !made[0].Made {
				t.Errorf("store lease of %s: %v, %v", l.Addr, made, err)
			}
		})
	}
	group.Wait()
	expect(t, s, want...)
}

func claimsAtOnce(t *testing.T, s dhcp.LeaseStore) {
	var winners atomic.Int64
	var group sync.WaitGroup
	for i := range byte(10) {
		group.Go(func() {
			made, err := s.Commit(t.Context(), day, []dhcp.LeaseChange{claim(lease(1, i+1, "", day.Add(time.Hour)))})
			if err != nil {
				t.Error(err)
			} else if made[0].Made {
				winners.Add(1)
			}
		})
	}
	group.Wait()
	if n := winners.Load(); n != 1 {
		t.Errorf("%d clients won one address", n)
	}
}

// claim is the change by which a client gets a lease.
func claim(l dhcp.Lease) dhcp.LeaseChange { return dhcp.LeaseChange{Lease: l, Client: l.MAC} }

// commit makes changes on [day], and returns which were made.
func commit(t *testing.T, s dhcp.LeaseStore, changes ...dhcp.LeaseChange) (made []bool) {
	t.Helper()
	for _, o := range outcomes(t, s, changes...) {
		made = append(made, o.Made)
	}
	return made
}

// outcomes makes changes on [day].
func outcomes(t *testing.T, s dhcp.LeaseStore, changes ...dhcp.LeaseChange) []dhcp.LeaseOutcome {
	t.Helper()
	all, err := s.Commit(t.Context(), day, changes)
	if err != nil || len(all) != len(changes) {
		t.Fatalf("make %d changes: %v, %v", len(changes), all, err)
	}
	return all
}

// put stores leases, each of which must be possible.
func put(t *testing.T, s dhcp.LeaseStore, leases ...dhcp.Lease) {
	t.Helper()
	var changes []dhcp.LeaseChange
	for _, l := range leases {
		changes = append(changes, claim(l))
	}
	for i, made := range commit(t, s, changes...) {
		if !made {
			t.Fatalf("the lease %v was not stored", leases[i])
		}
	}
}

// expect compares the stored leases with want, which is in order of addresses.
func expect(t *testing.T, s dhcp.LeaseStore, want ...dhcp.Lease) {
	t.Helper()
	var got []dhcp.Lease
	stop, err := s.Follow(t.Context(), func(leases []dhcp.Lease, _ bool) { got = slices.Clone(leases) })
	if err != nil {
		t.Fatalf("read leases: %v", err)
	}
	stop()
	slices.SortFunc(got, func(a, b dhcp.Lease) int { return a.Addr.Compare(b.Addr) })
	if !slices.EqualFunc(got, want, same) {
		t.Errorf("leases are\n%v\nwant\n%v", got, want)
	}
}

func same(a, b dhcp.Lease) bool {
	return a.Addr == b.Addr && a.MAC.String() == b.MAC.String() && a.Hostname == b.Hostname && a.Expires.Equal(b.Expires)
}
