package web_test

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/provision/leases"
	"cloudlets/provision/store"
	"cloudlets/web/api"
)

func TestLeases(t *testing.T) {
	kept := &store.Memory{}
	b := newBedOn(t, kept)
	write(t, b.dir, "machines/52:54:00:00:00:01.json", `{"hostname": "web-1.example.org", "macs": ["52:54:00:00:00:11"]}`)
	b.Site.Reload()
	in := leases.Leases{Store: kept, Server: "pxe1"}
	for i, l := range []struct{ addr, mac, hostname string }{
		{"10.0.0.100", "52:54:00:00:00:09", "laptop"}, {"10.0.0.21", "52:54:00:00:00:01", "debian"},
		{"10.1.0.7", "52:54:00:00:00:11", ""}, {"fd77::7", "52:54:00:00:00:01", ""}, {"10.0.0.8", "00:00:00:00:00:00", ""},
	} {
		mac, _ := net.ParseMAC(l.mac)
		expires := noon.Add(time.Hour)
		if i == 3 {
			expires = noon.Add(-time.Minute)
		}
		change := dhcp.LeaseChange{Client: mac, Lease: dhcp.Lease{Addr: netip.MustParseAddr(l.addr), MAC: mac, Hostname: l.hostname, Expires: expires}}
		if _, err := in.Commit(t.Context(), noon.Add(-time.Hour), []dhcp.LeaseChange{change}); err != nil {
			t.Fatal(err)
		}
	}
	book, err := in.Open(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer book.Close()
	b.Server.Leases = book
	b.Server.Networks = func() api.Networks {
		return api.Networks{Networks: []api.NetworkInfo{{Name: "lab", Subnet: "10.0.0.0/24"}, {Name: "later", Interface: "br0"}}}
	}
	h := b.Handler()
	for query, want := range map[string]string{
		"":                           "10.0.0.8 10.0.0.21 10.0.0.100 10.1.0.7",
		"?all=true":                  "10.0.0.8 10.0.0.21 10.0.0.100 10.1.0.7 fd77::7",
		"?of=web-1":                  "10.0.0.21 10.1.0.7",
		"?of=web-1&network=lab":      "10.0.0.21",
		"?of=web-2":                  "",
		"?of=5254.0000.0009":         "10.0.0.100",
		"?of=Laptop":                 "10.0.0.100",
		"?of=nobody":                 "",
		"?network=lab":               "10.0.0.8 10.0.0.21 10.0.0.100",
		"?network=lab&of=10.1.0.7":   "",
		"?network=lab&of=10.0.0.21":  "10.0.0.21",
		"?network=lab&of=10.0.0.0/8": "10.0.0.8 10.0.0.21 10.0.0.100",
		"?limit=1&after=10.0.0.8":    "10.0.0.21",
	} {
		var got []string
		for _, l := range get[api.LeasePage](t, h, "/api/v1/leases"+query).Leases {
			got = append(got, l.Address.String())
		}
		if strings.Join(got, " ") != want {
			t.Errorf("%s: %v, want %s", query, got, want)
		}
	}
	all := get[api.LeasePage](t, h, "/api/v1/leases?all=1").Leases
	nobodys, machine, stranger, card, ended := all[0], all[1], all[2], all[3], all[4]
	if nobodys.MAC != "" || nobodys.Machine != "" {
		t.Errorf("an address out of use is %+v", nobodys)
	}
	want := api.Lease{
		Address: netip.MustParseAddr("10.0.0.21"), MAC: mac1, Machine: mac1, Name: "web-1.example.org", Hostname: "debian",
		Network: "lab", Server: "pxe1", Since: noon.Add(-time.Hour), Expires: noon.Add(time.Hour),
	}
	if machine != want {
		t.Errorf("a machine's is %+v, want %+v", machine, want)
	}
	if stranger.Machine != "" || stranger.MAC != mac9 || stranger.Name != "" {
		t.Errorf("a stranger's is %+v", stranger)
	}
	if card.Machine != mac1 || card.MAC == mac1 || card.Network != "" || !ended.Ended || card.Ended {
		t.Errorf("a further card's is %+v, one that has ended %+v", card, ended)
	}
	for query, want := range map[string]string{
		"network=lba": "did you mean", "after=x": "not a place in the list", "limit=2000": "ask for 1 to 1000", "all=maybe": "neither true nor false",
		"network=later": "has no subnet now",
	} {
		w := ask(t, h, "GET", "/api/v1/leases?"+query, "")
		if w.Code/100 != 4 || !strings.Contains(w.Body.String(), want) {
			t.Errorf("%s: %d %s", query, w.Code, w.Body)
		}
	}
	b.Server.Leases = nil
	if w := ask(t, h, "GET", "/api/v1/leases", ""); w.Code != http.StatusOK || strings.TrimSpace(w.Body.String()) != `{"leases":[]}` {
		t.Error(fmt.Sprint(w.Code, w.Body))
	}
}
