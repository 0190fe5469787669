package httpboot

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

const newcomer = provision.MAC("52:54:00:00:00:41")

// inspectsStrangers has the site inspect strangers, by some rules.
func (b *bed) inspectsStrangers(rules ...provision.Rule) (approved *[]provision.Approval) {
	approved = new([]provision.Approval)
	b.Chain.Strangers = func() provision.Strangers { return provision.Strangers{Image: "web", Rules: rules} }
	b.Chain.Approve = func(a provision.Approval) error {
		*approved = append(*approved, a)
		return nil
	}
	return approved
}

func (b *bed) inspected(token string, found provision.Inspection) (a answer, told wire.InspectAnswer) {
	b.t.Helper()
	a = b.do(http.MethodPost, wire.InspectPath, "", wire.InspectRequest{Token: token, MAC: newcomer, Inspection: found})
	if a.StatusCode == http.StatusOK {
		must(b.t, json.Unmarshal([]byte(a.body), &told))
	}
	return a, told
}

// TestStrangerIsInspected: its script has no token for a plan, what it reports is kept
// once, and it goes on when it has a file.
func TestStrangerIsInspected(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	b.get("/boot/"+string(newcomer)+"/script").want(t, http.StatusOK, "exit")
	b.inspectsStrangers()
	if boot := b.Boot(t.Context(), bootClient(newcomer)); boot.File == "" {
		t.Errorf("its firmware gets no boot file: %s", boot.Reason)
	}
	script := b.get("/boot/"+string(newcomer)+"/script").want(t, http.StatusOK, "cloudlets.inspect=1", "nothing is written").body
	token := provision.InspectToken(newcomer, b.Tracker.Key())
	if !strings.Contains(script, "cloudlets.token="+token) {
		t.Fatalf("the script is\n%s", script)
	}
	request := b.request(node1)
	request.Token, request.MAC = token, newcomer
	b.do(http.MethodPost, wire.ClaimPath, "", request).want(t, http.StatusForbidden)

	found := provision.Inspection{Inventory: provision.Inventory{Product: "R640\x1b[2J", Disks: []provision.DiskInfo{{Name: "sda", Size: 1 << 30}}}}
	for range 3 {
		if _, told := b.inspected(token, found); !strings.Contains(told.Wait, "cloudlets approve") || told.Restart != "" {
			t.Fatalf("it is told %+v", told)
		}
	}
	if kept, known, err := b.Tracker.Inspection(t.Context(), newcomer); err != nil || !known || kept.Product != "R640?[2J" || len(kept.Disks) != 1 || kept.Card != newcomer {
		t.Errorf("%+v, %t, %v is kept", kept, known, err)
	}
	if s := b.state(newcomer); s.Stage != provision.StageInspect {
		t.Errorf("its stage is %s", s.Stage)
	}
	events, err := b.Tracker.Events(t.Context(), newcomer, 0, 0)
	must(t, err)
	n := 0
	for _, e := range events {
		if strings.Contains(e.Text, "inspected: ") {
			n += max(1, e.Count)
		}
	}
	if n != 1 {
		t.Errorf("the same was recorded %d times", n)
	}
	a, _ := b.inspected("x", found)
	a.want(t, http.StatusForbidden)

	b.site.Put(provision.Spec{MAC: newcomer, Image: "web"})
	if _, told := b.inspected(token, found); !strings.Contains(told.Restart, "a machine of the site now") {
		t.Errorf("with a file it is told %+v", told)
	}
}

// TestRuleApprovesAStranger: what the rule says becomes its file, and the trace says why.
func TestRuleApprovesAStranger(t *testing.T) {
	b := newBed(t, nil)
	b.kit(node1)
	approved := b.inspectsStrangers(
		provision.Rule{When: map[string]string{"product": "R7*"}, Profile: "big"},
		provision.Rule{When: map[string]string{"product": "R640"}, Profile: "web", Hostname: "node-{serial}"},
	)
	token := provision.InspectToken(newcomer, b.Tracker.Key())
	found := provision.Inspection{Inventory: provision.Inventory{Product: "R640"}}
	if _, told := b.inspected(token, found); !strings.Contains(told.Wait, "it has no serial") || len(*approved) > 0 {
		t.Errorf("without a serial number it is told %+v", told)
	}
	found.Serial = "S7"
	if _, told := b.inspected(token, found); told.Restart == "" || len(*approved) != 1 || (*approved)[0] != (provision.Approval{MAC: newcomer, Profile: "web", Hostname: "node-s7"}) {
		t.Errorf("it is told %+v, and approved as %+v", told, *approved)
	}
	b.wantTrace(newcomer, `approved by the site's rules as node-s7`)
	b.wantTrace(newcomer, `rule 1 wants product "R7*", and it is "R640"; rule 2 matches`)
}

// TestFactsOfAnEarlierVersion: what an inspection found before a machine's state kept it is
// seen by templates all the same.
func TestFactsOfAnEarlierVersion(t *testing.T) {
	b := newBed(t, nil)
	must(t, b.Tracker.RecordInspection(t.Context(), provision.Event{MAC: node1, Kind: provision.KindLog, Text: "inspected", Facts: map[string]string{"inspected": "yes"}},
		track.Inspected{Inspection: provision.Inspection{Card: node1, BMC: "10.9.0.1"}}))
	if facts := b.factsFor(t.Context(), node1, provision.Inventory{}); facts["bmc"] != "10.9.0.1" {
		t.Errorf("the facts are %v", facts)
	}
}
