package web_test

import (
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/web/api"
)

// TestApproveAStranger: the file is written and the install armed. Not by the address that
// only reads.
func TestApproveAStranger(t *testing.T) {
	b := newBed(t)
	const path = "/api/v1/approvals"
	body := `{"by": "ann", "install": true, "machines": [{"mac": "52-54-00-00-00-09", "image": "debian", "hostname": "node9"}]}`
	if a := ask(t, b.ReadOnly(), "POST", path, body); a.Code != http.StatusForbidden {
		t.Errorf("the address that only reads answers %d", a.Code)
	}
	var done api.Approved
	decode(t, ask(t, b.Handler(), "POST", path, strings.Replace(body, "{", `{"dryRun": true, `, 1)), http.StatusOK, &done)
	if len(done.Files) != 1 || !strings.Contains(done.Files[0].Text, `"hostname": "node9"`) || b.Site.Has(mac9) {
		t.Errorf("the dry run answers %+v", done)
	}
	decode(t, ask(t, b.Handler(), "POST", path, body), http.StatusOK, &done)
	if _, err := os.Stat(filepath.Join(b.dir, mac9.File())); err != nil {
		t.Error(err)
	}
	if s, _ := b.Tracker.State(mac9); !s.Armed || s.ArmedBy != "ann" {
		t.Errorf("its state is %+v", s)
	}
	wantRefusal(t, ask(t, b.Handler(), "POST", path, `{"by": "ann", "machines": [{"mac": "52:54:00:00:00:0a", "hostname": "node9", "image": "debian"}]}`), http.StatusConflict, "give each machine its own")
	for _, wrong := range []string{"", "{", `{"by": "ann"}`, `{"machines": [{"mac": "52:54:00:00:00:0a"}]}`, `{"by": "a", "machines": [{"mac": "x"}]}`} {
		if a := ask(t, b.Handler(), "POST", path, wrong); a.Code != http.StatusBadRequest {
			t.Errorf("%s: %d", wrong, a.Code)
		}
	}
}

// TestForgetAStranger: nothing is left of it. What a file describes is not forgotten.
func TestForgetAStranger(t *testing.T) {
	b := newBed(t)
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindLog, Text: "seen"})
	wantRefusal(t, ask(t, b.Handler(), "DELETE", "/api/v1/machines/"+string(mac1), ""), http.StatusConflict, "remove that file first")
	wantRefusal(t, ask(t, b.Handler(), "DELETE", "/api/v1/machines/"+string(mac9), ""), http.StatusNotFound, "never seen")
}
