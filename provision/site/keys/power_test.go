package keys_test

import (
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/site/keys"
)

// rack is a profile that has what is the same for all controllers.
const rack = `{"power": {"user": "admin", "passwordFile": "secrets/bmc"}}`

// TestPowerOfMachine: how a machine is switched is read, part of it from a profile.
func TestPowerOfMachine(t *testing.T) {
	spec := goodMachine(t, `{"extends": "rack", "power": {"redfish": "https://10.9.0.14"}}`, rack)
	if got := (keys.PowerSettings{}).Spacing(); got != keys.DefaultStagger {
		t.Errorf("without a setting machines are switched on every %v", got)
	}
	if p := spec.Power; p.Redfish != "https://10.9.0.14" || p.User != "admin" || p.PasswordFile != "secrets/bmc" || p.Kind() != "redfish" {
		t.Errorf("%+v", p)
	}
	if got := goodSettings(t, `{"power": {"stagger": "2s"}}`).Power.Spacing(); got != 2*time.Second {
		t.Errorf("machines are switched on every %v", got)
	}
}

// TestPowerThatIsWrong: what cannot be meant is refused, and a password that somebody
// wrote into a URL or a name is not repeated.
func TestPowerThatIsWrong(t *testing.T) {
	for power, want := range map[string]string{
		`{"redfish": "https://admin:hunter2@10.9.0.14"}`:                              "no place for a user and a password",
		`{"redfish": "ftp://admin:hunter2@10.9.0.14"}`:                                "not the URL",
		`{"redfish": "https://10.9.0.14/redfish/v1/Systems/1"}`:                       "has a path",
		`{"redfish": "http://10.9.0.14"}`:                                             "plain HTTP",
		`{"ipmi": "10.9.0.14:0"}`:                                                     "not a UDP port",
		`{"ipmi": "10.9.0.14", "redfish": "https://10.9.0.14"}`:                       "more than one",
		`{"ipmi": "10.9.0.14", "passwordEnv": "hunter2!"}`:                            "not the name of a variable",
		`{"ipmi": "10.9.0.14", "passwordEnv": "BMC"}`:                                 "both",
		`{"ipmi": "10.9.0.14", "passwordFile": "../shadow"}`:                          "out of the site",
		`{"redfish": "https://10.9.0.14", "certificate": "sha256:12"}`:                "not a SHA-256 fingerprint",
		`{"wakeOnLAN": true}`:                                                         "for \"redfish\" and \"ipmi\"",
		`{"command": ["pdu"], "user": "", "passwordFile": ""}`:                        "absolute path",
		`{"ipmi": "10.9.0.14", "console": ["ssh", "hunter2"]}`:                        "for the console has no absolute path",
		`{"command": ["/bin/pdu"], "user": "", "passwordFile": "", "insecure": true}`: "are for \"redfish\"",
		`{"ipmi": "10.9.0.14", "user": ""}`:                                           "\"user\" is missing",
		`{"ipmi": "10.9.0.14", "passwordFile": ""}`:                                   "no password",
		`{"ipmi": "10.9.0.14", "pasword": "hunter2"}`:                                 "unknown key",
	} {
		_, problems := machine(`{"extends": "rack", "power": `+power+`}`, rack)
		if len(problems) != 1 || !strings.Contains(problems[0].Error(), want) || strings.Contains(problems[0].Error(), "hunter2") {
			t.Errorf("%s: %v, want one problem with %q", power, problems, want)
		}
	}
}

// TestPowerShown: a command's arguments are not shown, since one may be a password.
func TestPowerShown(t *testing.T) {
	p := &provision.Power{Command: []string{"/bin/pdu", "hunter2"}}
	if shown := p.Shown(); strings.Contains(strings.Join(shown.Command, " "), "hunter2") || shown.Command[0] != "/bin/pdu" || p.Command[1] != "hunter2" {
		t.Errorf("%+v", shown)
	}
	p = &provision.Power{Console: []string{"/bin/serial", "hunter2"}}
	if shown := p.Shown(); shown == nil || strings.Join(shown.Console, " ") != "/bin/serial …" || p.Console[1] != "hunter2" || p.ConsoleKind() != "command" || p.Kind() != "" {
		t.Errorf("%+v", shown)
	}
}
