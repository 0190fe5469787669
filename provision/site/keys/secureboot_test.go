package keys_test

import (
	"strings"
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
		var profiles []string
		if strings.Contains(text, "extends") {
			profiles = []string{`{"secureBoot": "owner"}`}
		}
		got := goodMachine(t, text, profiles...)
		if got.SecureBoot != want.SecureBoot || got.Handover != want.Handover {
			t.Errorf("%s: signed by %q, handover %q", text, got.SecureBoot, got.Handover)
		}
	}
}
