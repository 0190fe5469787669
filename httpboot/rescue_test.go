package httpboot

import (
	"encoding/json"
	"errors"
	"net/http"
	"slices"
	"strings"
	"testing"

	"cloudlets/httpboot/dialect"
	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// TestRescueOnce: the agent is told what to start for as long as the machine was not told
// to boot again, its token claims no plan, and nothing of it is an install.
func TestRescueOnce(t *testing.T) {
	b := newBed(t, nil)
	b.Rescue = func() provision.Rescue { return provision.Rescue{SSHKeys: []string{"site's"}} }
	b.change(node1, func(s *provision.Spec) { s.Rescue = &provision.Rescue{SSHKeys: []string{"machine's"}} })
	b.orderBoot(provision.Boot{Kind: provision.BootRescue, Mount: true})
	if boot := b.Boot(t.Context(), bootClient(node1)); boot.File == "" {
		t.Errorf("DHCP answers %+v", boot)
	}
	script := b.script(node1)
	state := b.state(node1)
	if state.Once != nil || state.Booted == nil || state.Stage != provision.StageKernel {
		t.Fatalf("after the script: once %+v, booted %+v, stage %s", state.Once, state.Booted, state.Stage)
	}
	token := state.Booted.RescueToken(node1, b.Tracker.Key())
	for _, want := range []string{"cloudlets.rescue=1", "cloudlets.token=" + token, "no disk is written"} {
		if !strings.Contains(script, want) {
			t.Errorf("the script has no %s:\n%s", want, script)
		}
	}

	ask := func(token string) answer {
		return b.do(http.MethodPost, wire.RescuePath, "", wire.RescueRequest{Token: token, MAC: node1})
	}
	for range 2 { // an answer may be lost
		got := ask(token)
		got.want(t, http.StatusOK)
		var told wire.Rescue
		must(t, json.Unmarshal([]byte(got.body), &told))
		if told.Image == "" || !told.Mount || told.Hostname != "web1" || !slices.Equal(told.SSHKeys, []string{"site's", "machine's"}) {
			t.Errorf("the agent is told %+v", told)
		}
		b.get(told.Pack.Path).want(t, http.StatusOK)
	}
	b.do(http.MethodPost, wire.ClaimPath, "", wire.ClaimRequest{Token: token, Nonce: "n", MAC: node1}).want(t, http.StatusForbidden)
	ask(state.Booted.FilesToken(node1, b.Tracker.Key())).want(t, http.StatusForbidden, "not the token")
	b.do(http.MethodPost, wire.RescuePath, "", wire.RescueRequest{Token: token, MAC: node2}).want(t, http.StatusForbidden)
	b.do(http.MethodPost, wire.RescueSaidPath, "", wire.RescueRequest{Token: token, MAC: node1, Text: "the rescue system runs"}).want(t, http.StatusNoContent)
	b.do(http.MethodPost, wire.RescueSaidPath, "", wire.RescueRequest{Token: token, MAC: node1, Failure: "too little memory"}).want(t, http.StatusNoContent)
	b.wantTrace(node1, "into memory", "the rescue system runs", "too little memory")
	if s := b.state(node1); s.Stage != provision.StageRescue || s.Failure != "" || s.Installs != 0 || s.Installing() {
		t.Errorf("the machine is %+v", s)
	}
	if _, may := b.state(node1).QuietFrom(); may {
		t.Error("a machine in a rescue becomes quiet")
	}
	if next := b.script(node1); !strings.Contains(next, "cloudlets.token=") || strings.Contains(next, "cloudlets.rescue") {
		t.Errorf("after the order the machine gets\n%s", next)
	}
	ask(token).want(t, http.StatusForbidden)
}

// TestRescueByOtherLoaders: an agent that has failed an install starts no rescue, since
// it has other things in memory; one in a program that the owner signed does.
func TestRescueByOtherLoaders(t *testing.T) {
	for _, d := range []dialect.Dialect{dialect.Agent{Asked: true}, dialect.Pi{}} {
		if _, err := d.Boot(dialect.Program{Rescues: true}); !errors.Is(err, dialect.ErrAgentAsIs) && !errors.Is(err, dialect.ErrPiAsIs) {
			t.Errorf("%T starts a rescue: %v", d, err)
		}
	}
	if text, err := (dialect.Agent{}).Boot(dialect.Program{Rescues: true, Cmdline: "x"}); err != nil || !strings.Contains(text, `"cmdline":"x"`) {
		t.Errorf("a signed program is told %s (%v)", text, err)
	}
}
