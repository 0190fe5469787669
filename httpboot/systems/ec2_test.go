package systems

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/httpboot/machines"
	"cloudlets/httpboot/machines/machinestest"
	"cloudlets/provision"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
)

// The machines of the tests.
const (
	node1    provision.MAC = "52:54:00:00:00:01"
	node2    provision.MAC = "52:54:00:00:00:02"
	stranger provision.MAC = "52:54:00:00:00:99"
)

// bed answers the systems of two machines.
type bed struct {
	*Systems
	t    testing.TB
	site *machinestest.Site
	log  *bytes.Buffer
}

func newBed(t testing.TB) *bed {
	t.Helper()
	b := &bed{t: t, site: &machinestest.Site{}, log: &bytes.Buffer{}}
	tracker, err := track.NewTracker(&store.Memory{}, track.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tracker.Close)
	b.Systems = &Systems{Machines: &machines.Machines{Site: b.site, Tracker: tracker, Log: slog.New(slog.NewTextHandler(b.log, nil))}}
	b.site.Put(provision.Spec{MAC: node1, Image: "web", Hostname: "web1"})
	b.site.Put(provision.Spec{MAC: node2, Image: "web", Hostname: "web2"})
	return b
}

// change changes what the site says of a machine.
func (b *bed) change(mac provision.MAC, change func(*provision.Spec)) {
	spec, _ := b.site.Spec(mac)
	change(&spec)
	b.site.Put(spec)
}

// answer is what a system gets.
type answer struct{ *httptest.ResponseRecorder }

// do makes one request from an address.
func (b *bed) do(from, method, path string, headers ...string) answer {
	b.t.Helper()
	r := httptest.NewRequestWithContext(b.t.Context(), method, path, nil)
	r.RemoteAddr = from + ":4567"
	for i := 0; i+1 < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	a := answer{httptest.NewRecorder()}
	b.Metadata().ServeHTTP(a, r)
	return a
}

func (b *bed) get(path string, headers ...string) answer {
	b.t.Helper()
	return b.do("127.0.0.1", http.MethodGet, path, headers...)
}

// want fails unless the answer has the status, and the words in its body.
func (a answer) want(t testing.TB, status int, words ...string) {
	t.Helper()
	if a.Code != status {
		t.Fatalf("status %d, want %d: %s", a.Code, status, a.Body)
	}
	for _, word := range words {
		if !strings.Contains(a.Body.String(), word) {
			t.Errorf("%q does not say %q", a.Body, word)
		}
	}
}

// TestEC2IsForTheMachine: an address without a lease, or that of another machine, gets
// nothing of this one, whatever a request says of itself.
func TestEC2IsForTheMachine(t *testing.T) {
	b := newBed(t)
	const secret = "/latest/user-data"
	b.change(node1, func(s *provision.Spec) {
		s.CloudInit = &provision.CloudInit{UserData: "of node1", Datasource: provision.DatasourceEC2}
	})
	b.change(node2, func(s *provision.Spec) {
		s.CloudInit, s.Address = &provision.CloudInit{UserData: "of node2", Datasource: provision.DatasourceImage}, netip.MustParseAddr("127.0.0.2")
	})
	holders := map[string]provision.MAC{"127.0.0.1": node1, "127.0.0.9": stranger}
	b.Holder = func(_ context.Context, addr netip.Addr) (provision.MAC, bool, error) {
		holder, held := holders[addr.String()]
		return holder, held, nil
	}
	for from, want := range map[string]string{"127.0.0.1": "of node1", "127.0.0.2": "of node2"} {
		if a := b.do(from, http.MethodGet, secret); a.Code != http.StatusOK || a.Body.String() != want || a.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s gets %d %q", from, a.Code, a.Body)
		}
	}
	for _, from := range []string{"127.0.0.3", "127.0.0.9"} {
		b.do(from, http.MethodGet, secret).want(t, http.StatusNotFound)
	}
	if log := b.log.String(); !strings.Contains(log, "127.0.0.3") || !strings.Contains(log, "had no answer") {
		t.Errorf("the log says %s", log)
	}
	// What was seen at an address is only a guess, and a lease counts more than a file.
	b.Machines.SawExchange(dhcp.Exchange{Client: dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.BIOS}, Request: "DISCOVER", Reply: "OFFER", Addr: netip.MustParseAddr("127.0.0.3"), Reason: "test"})
	b.do("127.0.0.3", http.MethodGet, secret).want(t, http.StatusNotFound)
	for _, other := range []provision.MAC{stranger, ""} { // "" is an address that is kept out of use
		holders["127.0.0.2"] = other
		b.do("127.0.0.2", http.MethodGet, secret).want(t, http.StatusNotFound)
	}
	// Who finds it elsewhere is not told here.
	b.change(node1, func(s *provision.Spec) { s.CloudInit = &provision.CloudInit{UserData: "of node1"} })
	b.do("127.0.0.1", http.MethodGet, secret).want(t, http.StatusNotFound)
	for _, header := range []string{"X-Forwarded-For", "Forwarded", "Via"} {
		b.get(secret, header, "127.0.0.2").want(t, http.StatusForbidden)
	}
	b.Holder = func(context.Context, netip.Addr) (provision.MAC, bool, error) {
		return "", false, errors.New("the store is away")
	}
	b.do("127.0.0.2", http.MethodGet, secret).want(t, http.StatusServiceUnavailable)
}

// TestEC2Token: a token is good for one machine, at one address, until its end.
func TestEC2Token(t *testing.T) {
	b := newBed(t)
	here, other := netip.MustParseAddr("127.0.0.1"), netip.MustParseAddr("127.0.0.2")
	b.change(node1, func(s *provision.Spec) {
		s.CloudInit, s.Address = &provision.CloudInit{Datasource: provision.DatasourceEC2}, here
	})
	for ttl, want := range map[string]int{"": 400, "0": 400, "21601": 400, "x": 400, "60": 200} {
		b.do("127.0.0.1", http.MethodPut, "/latest/api/token", tokenTTLHeader, ttl).want(t, want)
	}
	token := b.do("127.0.0.1", http.MethodPut, "/latest/api/token", tokenTTLHeader, "60").Body.String()
	b.get("/latest/meta-data/hostname", tokenHeader, token).want(t, http.StatusOK, "web1")
	for _, wrong := range []string{"", "x", token + "A", "B" + token[1:], token[:8]} {
		b.get("/latest/meta-data/hostname", tokenHeader, wrong).want(t, http.StatusUnauthorized)
	}
	now := time.Unix(1e9, 0)
	given := b.metadataToken(node1, here, now.Unix())
	for _, c := range []struct {
		mac  provision.MAC
		at   netip.Addr
		now  time.Time
		good bool
	}{{node1, here, now.Add(-time.Second), true}, {node1, here, now, false}, {node1, other, now.Add(-time.Second), false}, {node2, here, now.Add(-time.Second), false}} {
		if got := b.isToken(given, c.mac, c.at, c.now); got != c.good {
			t.Errorf("%+v: %v", c, got)
		}
	}
	b.do("127.0.0.1", http.MethodPost, "/latest/user-data").want(t, http.StatusMethodNotAllowed)
	b.get("/latest/user-data").want(t, http.StatusNotFound) // it has none, as at Amazon
}
