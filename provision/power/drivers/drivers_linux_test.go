package drivers

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/power"
	bmc "cloudlets/testdata/redfish"
)

// TestSecrets: a password is read from a file that only its owner can read, and no link
// leads out of the site.
func TestSecrets(t *testing.T) {
	site, outside := t.TempDir(), filepath.Join(t.TempDir(), "shadow")
	put := func(path, text string, mode os.FileMode) {
		t.Helper()
		if err := os.WriteFile(path, []byte(text), mode); err != nil {
			t.Fatal(err)
		}
		if err := os.Chmod(path, mode); err != nil { // whatever the umask is
			t.Fatal(err)
		}
	}
	put(outside, "hunter2", 0o600)
	for name, text := range map[string]string{"good": "hunter2\r\n", "empty": "\n", "two": "hunter2\nhunter3", "long": strings.Repeat("x", maxPassword+1)} {
		put(filepath.Join(site, name), text, 0o600)
	}
	put(filepath.Join(site, "group"), "hunter2", 0o640)
	put(filepath.Join(site, "open"), "hunter2", 0o644)
	if err := os.Symlink(outside, filepath.Join(site, "out")); err != nil {
		t.Fatal(err)
	}
	if err := os.Symlink("good", filepath.Join(site, "in")); err != nil {
		t.Fatal(err)
	}
	d := Drivers{Site: site, Getenv: func(name string) string { return map[string]string{"BMC": "hunter2"}[name] }}
	for _, p := range []provision.Power{{PasswordFile: "good"}, {PasswordFile: "group"}, {PasswordFile: "in"}, {PasswordFile: outside}, {PasswordEnv: "BMC"}} {
		if secret, err := d.password(&p); err != nil || secret.Reveal() != "hunter2" {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for want, p := range map[string]provision.Power{
		"is empty": {PasswordFile: "empty"}, "more than one line": {PasswordFile: "two"}, "more than 4096 bytes": {PasswordFile: "long"},
		"chmod 600": {PasswordFile: "open"}, "links stay in there": {PasswordFile: "out"}, "no such file": {PasswordFile: "gone"},
		"not an ordinary file": {PasswordFile: "."}, "no variable NONE": {PasswordEnv: "NONE"},
	} {
		if _, err := d.password(&p); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), "hunter2") {
			t.Errorf("%+v: %v, want %q", p, err, want)
		}
	}
}

// TestCertificates: a service is known by its fingerprint or by a file, and one that
// shows another certificate gets no password.
func TestCertificates(t *testing.T) {
	s, site := bmc.Start(t, "1"), t.TempDir()
	if err := os.WriteFile(filepath.Join(site, "bmc.pem"), s.CertificatePEM(), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(site, "none.pem"), []byte("hello"), 0o644); err != nil {
		t.Fatal(err)
	}
	d := Drivers{Site: site, Getenv: func(string) string { return bmc.Password }}
	state := func(p provision.Power) error {
		p.Redfish, p.User, p.PasswordEnv = s.URL, bmc.User, "BMC"
		c, err := d.Open(&provision.Spec{MAC: "52:54:00:00:00:01", Power: &p}, "")
		if err == nil {
			var is power.State
			if is, err = c.State(t.Context()); err == nil && is != power.IsOff {
				t.Errorf("the state is %s", is)
			}
		}
		return err
	}
	for _, p := range []provision.Power{{Certificate: "sha256:" + s.Fingerprint()}, {Certificate: "bmc.pem"}, {Insecure: true}} {
		if err := state(p); err != nil {
			t.Errorf("%+v: %v", p, err)
		}
	}
	for certificate, want := range map[string]string{
		"": "unknown authority", "sha256:" + strings.Repeat("00", 32): "fingerprint sha256:" + s.Fingerprint(), "none.pem": "none in PEM form",
	} {
		if err := state(provision.Power{Certificate: certificate}); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want %q", certificate, err, want)
		}
	}
}
