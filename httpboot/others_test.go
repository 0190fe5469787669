package httpboot

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"testing"
	"time"

	"cloudlets/dhcp"
	"cloudlets/provision"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

// doFrom makes a request from another address of loopback.
func (b *bed) doFrom(addr, method, path string, body any) answer {
	b.t.Helper()
	text, err := json.Marshal(body)
	must(b.t, err)
	r, err := http.NewRequestWithContext(b.t.Context(), method, b.Base+path, bytes.NewReader(text))
	must(b.t, err)
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(addr)}}
	transport := &http.Transport{DialContext: dialer.DialContext}
	defer transport.CloseIdleConnections()
	response, err := transport.RoundTrip(r)
	must(b.t, err)
	defer response.Body.Close()
	content, err := io.ReadAll(response.Body)
	must(b.t, err)
	return answer{response, string(content)}
}

// startsAt has a machine's firmware ask for an address.
func (b *bed) startsAt(mac provision.MAC, addr string) {
	client := dhcp.Client{MAC: mac.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.BIOS}
	b.SawExchange(dhcp.Exchange{Client: client, Request: "DISCOVER", Reply: "OFFER", Addr: netip.MustParseAddr(addr), Reason: "test"})
}

// TestLookingHasNoEffect: somebody looks at the boot script of a machine that
// loads its kernel. Its claim is good, and the trace says who looked.
func TestLookingHasNoEffect(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	b.startsAt(node1, "127.0.0.1")
	request := b.request(node1)
	before := b.state(node1)
	for range 20 {
		b.doFrom("127.0.0.9", http.MethodGet, "/boot/"+string(node1)+"/script", nil).want(t, http.StatusOK)
	}
	if after := b.state(node1); after.Stage != before.Stage || after.Facts["image"] != before.Facts["image"] {
		t.Errorf("looking changed the machine from %s to %s", before, after)
	}
	b.wantTrace(node1, "asked from 127.0.0.1", "asks from 127.0.0.9", "DHCP gave 127.0.0.1 to this machine")
	b.claimAs(request)
	b.wantTrace(node1, "the agent is up at 127.0.0.1")
}

// TestNobodyElseEndsAnInstall: another host fetches the script and claims while
// the machine's install runs. It is refused, and the install goes on, until the
// machine itself starts again.
func TestNobodyElseEndsAnInstall(t *testing.T) {
	b := newBed(t, nil)
	b.startsAt(node1, "127.0.0.1")
	plan := b.claim(node1)
	b.report(plan.Session, provision.Event{Kind: provision.KindStage, Stage: provision.StageStream}).want(t, http.StatusNoContent)

	request := b.request(node1)
	request.Nonce = "of another host"
	b.doFrom("127.0.0.9", http.MethodPost, wire.ClaimPath, request).want(t, http.StatusForbidden, "127.0.0.9", "an agent at 127.0.0.1 installs this machine")
	b.report(plan.Session, provision.Event{Kind: provision.KindLog, Text: "going on"}).want(t, http.StatusNoContent)
	b.wantTrace(node1, "a claim was refused")

	b.startsAt(node1, "127.0.0.9") // a reset, and another address
	b.doFrom("127.0.0.9", http.MethodPost, wire.ClaimPath, request).want(t, http.StatusOK)
	b.report(plan.Session, provision.Event{Kind: provision.KindLog}).want(t, http.StatusForbidden, "the machine started again")
}

// TestOneEndOnly: a report tells two ends of an install. The first one counts.
func TestOneEndOnly(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	b.report(plan.Session, provision.Event{Kind: provision.KindLog, Text: "almost"},
		provision.Event{Kind: provision.KindDone}, provision.Event{Kind: provision.KindFailed, Text: "no"},
	).want(t, http.StatusForbidden, "its install has ended")
	if state := b.state(node1); state.Stage != provision.StageInstalled || state.Failure != "" {
		t.Errorf("the state is %+v", state)
	}
}

// TestCancelledDuringAReport: the install is cancelled after its agent's report
// was let in, and before the report's last event is recorded.
func TestCancelledDuringAReport(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	body, entered := io.Pipe()
	answered := make(chan string, 1)
	go func() {
		r, err := http.NewRequest(http.MethodPost, b.Base+wire.EventsPath, body)
		if err != nil {
			answered <- err.Error()
			return
		}
		r.Header.Set("Authorization", "Bearer "+plan.Session)
		response, err := http.DefaultTransport.RoundTrip(r)
		if err != nil {
			answered <- err.Error()
			return
		}
		defer response.Body.Close()
		text, _ := io.ReadAll(response.Body)
		answered <- response.Status + " " + string(text)
	}()
	_, err := io.WriteString(entered, `[{"kind": "log", "text": "almost"}, `)
	must(t, err)
	must(t, b.Tracker.Cancel(t.Context(), node1, "anna", "cancelled by anna", b.Tickets))
	_, err = io.WriteString(entered, `{"kind": "done"}]`)
	must(t, err)
	must(t, entered.Close())
	if got := <-answered; !strings.HasPrefix(got, "403") || !strings.Contains(got, "cancelled by anna") {
		t.Errorf("the report is answered with %s", got)
	}
	if state := b.state(node1); state.Installs != 0 || state.Failure != "cancelled by anna" {
		t.Errorf("the state is %+v", state)
	}
}

// TestOverlaysGo: the rendered files of a machine, which may hold secrets, do not
// outlive its install, however that ends.
func TestOverlaysGo(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	file := b.Overlays.Path(node1)
	exists := func() bool { _, err := os.Stat(file); return err == nil }
	age := func() { then := time.Now().Add(-time.Hour); must(t, os.Chtimes(file, then, then)) }
	age()
	must(t, b.SweepOverlays())
	if !exists() {
		t.Fatal("the overlay of a running install is gone")
	}
	b.report(plan.Session, provision.Event{Kind: provision.KindDone}).want(t, http.StatusNoContent)
	if exists() {
		t.Error("the overlay outlives the install")
	}
	spec, _ := b.site.Spec(node1)
	must(t, b.Tracker.Arm(t.Context(), node1, &spec, track.Order{By: "anna", Wipe: true}))
	request := b.request(node1)
	request.Nonce = "again"
	b.claimAs(request)
	must(t, b.Tracker.Cancel(t.Context(), node1, "anna", "cancelled by anna", b.Tickets))
	must(t, b.SweepOverlays())
	if !exists() {
		t.Error("the overlay goes although its claim may not be recorded yet")
	}
	age()
	must(t, b.SweepOverlays())
	if exists() {
		t.Error("the overlay outlives a cancelled install")
	}
}
