package httpboot

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"cloudlets/dhcp"
	"cloudlets/provision"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

func (b *bed) console(said wire.Console) answer {
	b.t.Helper()
	return b.do(http.MethodPost, wire.ConsolePath, "", said)
}

// TestConsoleBeforeTheClaim: who has the machine's unclaimed token tells what its console
// shows, and that it failed.
func TestConsoleBeforeTheClaim(t *testing.T) {
	b := newBed(t, nil)
	request := b.request(node1)
	b.console(wire.Console{Token: request.Token, MAC: node1, Lines: []string{"network: eth0 has 10.0.0.1", "disk vda\x1b[2J"}}).want(t, http.StatusNoContent)
	b.wantTrace(node1, "console: network: eth0 has 10.0.0.1", "console: disk vda?[2J")
	b.console(wire.Console{Token: request.Token, MAC: node1, Failure: "look at the hardware: no driver"}).want(t, http.StatusNoContent)
	if state := b.state(node1); state.Stage != provision.StageFailed || state.Failure != "look at the hardware: no driver" {
		t.Errorf("the state is %s", state)
	}
	b.console(wire.Console{Token: "0123456789abcdef0123456789abcdef", MAC: node1}).want(t, http.StatusForbidden, "not issued here")
	b.console(wire.Console{Token: request.Token, MAC: node2}).want(t, http.StatusConflict, "is of "+string(node1))
	b.claimAs(request)
	b.console(wire.Console{Token: request.Token, MAC: node1, Failure: "late"}).want(t, http.StatusForbidden, "was claimed")
}

func TestConsoleIsBounded(t *testing.T) {
	b := newBed(t, nil)
	token := b.token(node1).Token
	for n := range 8 {
		var lines []string
		for i := range 2 * wire.MaxConsoleLines {
			lines = append(lines, fmt.Sprint(n, " ", i, strings.Repeat("x", 2*wire.MaxConsoleLine)))
		}
		b.console(wire.Console{Token: token, MAC: node1, Lines: lines, Failure: fmt.Sprint("failure ", n)}).want(t, http.StatusNoContent)
	}
	trace := b.trace(node1)
	// A minute may end in between.
	if lines := strings.Count(trace, "console: "); lines < maxConsoleLines || lines > 2*maxConsoleLines {
		t.Errorf("%d lines are recorded", lines)
	}
	if failures := strings.Count(trace, " failed "); failures < maxConsoleFailure || failures > 2*maxConsoleFailure {
		t.Errorf("%d failures are recorded", failures)
	}
}

func (b *bed) askAgain(mac provision.MAC) (a wire.Answer) {
	b.t.Helper()
	text := b.get(wire.ParamsPath(mac)+"?"+wire.AgainQuery).want(b.t, http.StatusOK)
	must(b.t, json.Unmarshal([]byte(text.body), &a))
	return a
}

// TestAgentAsksAgain: after a failure the agent gets a new token, as long as the machine
// shall be installed, and the machine counts as failed until the token is claimed.
func TestAgentAsksAgain(t *testing.T) {
	b := newBed(t, nil)
	b.change(node1, func(s *provision.Spec) { s.Retry = 2 })
	spec, _ := b.site.Spec(node1)
	plan := b.claim(node1)
	if plan.Retry != 2 {
		t.Errorf("the plan allows %d further attempts", plan.Retry)
	}
	b.report(plan.Session, provision.Event{Kind: provision.KindFailed, Text: "the disk burns", Again: true}).want(t, http.StatusNoContent)
	first := b.askAgain(node1)
	if state := b.state(node1); state.Stage != provision.StageFailed || !state.Again || first.Order == "" {
		t.Errorf("the state is %s, the answer %+v", state, first)
	}
	params, err := wire.ParseParams(first.Cmdline)
	must(t, err)
	request := b.request(node1)
	request.Token, request.Nonce = params.Token, "the second attempt"
	if second := b.claimAs(request); second.Session == plan.Session {
		t.Error("the second attempt has the session of the first")
	}
	if state := b.state(node1); state.Again || state.Failure != "" {
		t.Errorf("the state is %s", state)
	}
	if again := b.askAgain(node1); again.Order != first.Order {
		t.Error("the order changed by itself")
	}
	must(t, b.Tracker.Arm(t.Context(), node1, &spec, track.Order{By: "anna"}))
	if again := b.askAgain(node1); again.Order == first.Order {
		t.Error("arming again does not change the order")
	}
	must(t, b.Tracker.Cancel(t.Context(), node1, "anna", "wrong disk", b.Tickets))
	if no := b.askAgain(node1); no.Leave == "" || no.Mendable {
		t.Errorf("after the end the agent is told %+v", no)
	}
}

// TestStartedAgain: a reset in the middle of an install is told.
func TestStartedAgain(t *testing.T) {
	b := newBed(t, nil)
	plan := b.claim(node1)
	b.report(plan.Session,
		provision.Event{Kind: provision.KindStage, Stage: provision.StageStream, Text: "streaming"},
		provision.Event{Kind: provision.KindProgress, Progress: &provision.Progress{Done: 20e6, Total: 50e6}},
	).want(t, http.StatusNoContent)
	start := dhcp.Exchange{Request: "DISCOVER", Client: dhcp.Client{MAC: node1.HardwareAddr(), Kind: dhcp.PXE, Firmware: dhcp.BIOS}}
	b.SawExchange(start)
	b.SawExchange(start)
	const want = `the machine started again in the stage "stream" at 20.0 MB: that install was broken off`
	if trace := b.trace(node1); strings.Count(trace, want) != 1 {
		t.Errorf("want %q once in the trace:\n%s", want, trace)
	}
}
