package leases_test

import (
	"fmt"
	"net"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/provision/leases"
	"cloudlets/provision/store"
)

var morning = time.Date(2030, 1, 2, 8, 0, 0, 0, time.UTC)

// lease stores the lease of a client.
func lease(tb testing.TB, l leases.Leases, now time.Time, addr string, mac byte, term time.Duration, left string) {
	tb.Helper()
	change := dhcp.LeaseChange{Lease: dhcp.Lease{
		Addr: netip.MustParseAddr(addr), MAC: net.HardwareAddr{2, 0, 0, 0, 0, mac}, Hostname: fmt.Sprint("host", mac), Expires: now.Add(term),
	}}
	change.Client = change.Lease.MAC
	if left != "" {
		change.Left = netip.MustParseAddr(left)
	}
	if o, err := l.Commit(tb.Context(), now, []dhcp.LeaseChange{change}); err != nil || !o[0].Made {
		tb.Fatal(o, err)
	}
}

func open(tb testing.TB, l leases.Leases) *leases.Book {
	tb.Helper()
	book, err := l.Open(tb.Context())
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(book.Close)
	return book
}

// addresses walks all pages.
func addresses(b *leases.Book, q leases.Query, now time.Time) string {
	var all []string
	for {
		page := b.Page(q, now)
		for _, r := range page.Leases {
			all = append(all, r.Addr.String())
		}
		if q.After = page.Next; !q.After.IsValid() {
			return strings.Join(all, " ")
		}
	}
}

func TestTheBookHasAllLeasesInTheOrderOfTheirAddresses(t *testing.T) {
	kept := &store.Memory{}
	one, two := leases.Leases{Store: kept, Server: "one"}, leases.Leases{Store: kept, Server: "two"}
	lease(t, one, morning, "10.0.0.10", 1, time.Hour, "") // before the book is opened
	book := open(t, one)
	lease(t, two, morning, "10.0.0.9", 2, time.Hour, "")
	lease(t, two, morning, "fd77::9", 2, time.Hour, "")
	lease(t, one, morning, "10.1.0.1", 3, time.Minute, "")
	lease(t, one, morning, "255.255.255.255", 4, time.Hour, "")
	at := func(mac byte) [][6]byte { return [][6]byte{{2, 0, 0, 0, 0, mac}} }
	later := morning.Add(2 * time.Minute)
	for _, c := range []struct {
		query leases.Query
		want  string
	}{
		{leases.Query{}, "10.0.0.9 10.0.0.10 255.255.255.255 fd77::9"},
		{leases.Query{Ended: true}, "10.0.0.9 10.0.0.10 10.1.0.1 255.255.255.255 fd77::9"},
		{leases.Query{Of: at(2)}, "10.0.0.9 fd77::9"},
		{leases.Query{Of: at(3)}, ""},
		{leases.Query{Of: at(3), Ended: true}, "10.1.0.1"},
		{leases.Query{Of: [][6]byte{}}, ""},
		{leases.Query{In: netip.MustParsePrefix("10.0.0.7/24")}, "10.0.0.9 10.0.0.10"},
		{leases.Query{In: netip.MustParsePrefix("10.0.0.10/32")}, "10.0.0.10"},
		{leases.Query{In: netip.MustParsePrefix("fd77::/64"), Of: at(2)}, "fd77::9"},
		{leases.Query{In: netip.MustParsePrefix("10.9.0.0/16")}, ""},
		{leases.Query{Hostname: "HOST2"}, "10.0.0.9 fd77::9"},
	} {
		for _, c.query.Limit = range []int{0, 1, 2} {
			if got := addresses(book, c.query, later); got != c.want {
				t.Errorf("%+v finds %s, want %s", c.query, got, c.want)
			}
		}
	}
}

// TestSinceAndServer: a lease that is renewed keeps its beginning; one that had ended, or
// was another client's, begins anew.
func TestSinceAndServer(t *testing.T) {
	kept := &store.Memory{}
	one, two := leases.Leases{Store: kept, Server: "one"}, leases.Leases{Store: kept, Server: "two"}
	book := open(t, one)
	at := func(hours float64) time.Time { return morning.Add(time.Duration(hours * float64(time.Hour))) }
	for _, step := range []struct {
		by    leases.Leases
		now   float64
		mac   byte
		since float64
	}{
		{one, 0, 1, 0}, {two, 0.5, 1, 0}, {one, 1, 1, 0}, {one, 3, 1, 3}, {two, 5, 2, 5},
	} {
		lease(t, step.by, at(step.now), "10.0.0.9", step.mac, time.Hour, "")
		r := book.Page(leases.Query{}, at(step.now)).Leases[0]
		if !r.Since.Equal(at(step.since)) || r.Server != step.by.Server {
			t.Errorf("after %v hours it is since %s by %s", step.now, r.Since, r.Server)
		}
	}
	// It goes to another address, and has the old one no more.
	lease(t, one, at(5), "10.0.0.8", 2, time.Hour, "10.0.0.9")
	if got := addresses(book, leases.Query{Ended: true, Of: [][6]byte{{2, 0, 0, 0, 0, 2}}}, at(5)); got != "10.0.0.8" {
		t.Errorf("it has %s", got)
	}
}

// TestALeaseOfAnOlderProgram: it has no beginning, and keeps none as long as it is renewed.
func TestALeaseOfAnOlderProgram(t *testing.T) {
	kept := &store.Memory{}
	text := `{"Addr":"10.0.0.9","MAC":"AgAAAAAB","Hostname":"","Expires":"2030-01-02T09:00:00Z"}`
	if err := kept.Update(t.Context(), func(tx store.Tx) error { return tx.Put(leases.Bucket, "10.0.0.9", []byte(text)) }); err != nil {
		t.Fatal(err)
	}
	l := leases.Leases{Store: kept, Server: "one"}
	book := open(t, l)
	lease(t, l, morning, "10.0.0.9", 1, time.Hour, "")
	if r := book.Page(leases.Query{}, morning).Leases[0]; !r.Since.IsZero() || r.Server != "one" {
		t.Errorf("it is %+v", r)
	}
}

// What a page costs must not grow with the number of leases.
func BenchmarkBook(b *testing.B) {
	for _, n := range []int{100, 1000, 10_000, 100_000} {
		kept := &store.Memory{}
		var changes []dhcp.LeaseChange
		for i := range n {
			mac := net.HardwareAddr{2, 0, 0, byte(i >> 16), byte(i >> 8), byte(i)}
			changes = append(changes, dhcp.LeaseChange{Client: mac, Lease: dhcp.Lease{
				Addr: netip.AddrFrom4([4]byte{10, byte(i >> 16), byte(i >> 8), byte(i)}), MAC: mac, Expires: morning.Add(time.Hour),
			}})
		}
		l := leases.Leases{Store: kept, Server: "one"}
		if _, err := l.Commit(b.Context(), morning, changes); err != nil {
			b.Fatal(err)
		}
		book := open(b, l)
		for name, q := range map[string]leases.Query{
			"first page": {}, "a later page": {After: changes[n/2].Lease.Addr, Limit: 40},
			"a machine": {Of: [][6]byte{[6]byte(changes[n/2].Client)}},
		} {
			b.Run(fmt.Sprintf("%s/%d", name, n), func(b *testing.B) {
				for b.Loop() {
					if len(book.Page(q, morning).Leases) == 0 {
						b.Fatal("no leases")
					}
				}
			})
		}
	}
}
