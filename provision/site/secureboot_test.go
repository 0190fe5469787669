package site_test

import (
	"testing"

	"cloudlets/provision"
)

// TestSecureBoot reads who signed what the firmware starts: true is what it always
// was, and a profile's word may be taken back. The default of the handover follows.
func TestSecureBoot(t *testing.T) {
	for text, want := range map[string]provision.Spec{
		`{}`:                      {Handover: provision.Switch},
		`{"secureBoot": false}`:   {Handover: provision.Switch},
		`{"secureBoot": true}`:    {SecureBoot: provision.ByShim, Handover: provision.Switch},
		`{"secureBoot": "shim"}`:  {SecureBoot: provision.ByShim, Handover: provision.Switch},
		`{"secureBoot": "owner"}`: {SecureBoot: provision.ByOwner, Handover: provision.Reboot},
		`{"secureBoot": "owner", "handover": "switch"}`: {SecureBoot: provision.ByOwner, Handover: provision.Switch},
		`{"extends": "p", "secureBoot": false}`:         {Handover: provision.Switch},
		`{"extends": "p"}`:                              {SecureBoot: provision.ByOwner, Handover: provision.Reboot},
	} {
		s := open(t, folder(t, map[string]string{"machines/52-54-00-00-00-01.json": text, "profiles/p.json": `{"secureBoot": "owner"}`}))
		if p := problems(s); p != "" {
			t.Errorf("%s: %s", text, p)
		}
		got, _ := s.Spec("52:54:00:00:00:01")
		if got.SecureBoot != want.SecureBoot || got.Handover != want.Handover {
			t.Errorf("%s: signed by %q, handover %q", text, got.SecureBoot, got.Handover)
		}
	}
}
