//go:build linux

package daemon

import (
	"os"
	"path/filepath"
	"testing"
	"time"

	"cloudlets/provision"
)

// TestRulesFollowTheHardware: the daemon settles a machine anew when its hardware becomes
// known, and a daemon that starts later knows it already.
func TestRulesFollowTheHardware(t *testing.T) {
	dir := t.TempDir()
	for name, text := range map[string]string{
		machine.File():      `{"extends": "web"}`,
		"profiles/web.json": `{"rules": [{"when": {"disks": 2}, "set": {"cmdline": "two"}}]}`,
	} {
		file := filepath.Join(dir, "site", name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b := startDaemon(t, dir)
	changes := b.Site.Changes(t.Context())
	if spec, _ := b.Site.Spec(machine); spec.Cmdline != "" || spec.Rules == nil {
		t.Fatalf("before anything is known: %+v", spec)
	}
	e := provision.Event{MAC: machine, Kind: provision.KindLog, Text: "told", Found: map[string]string{"disks": "2"}}
	if err := b.tracker.Record(t.Context(), e); err != nil {
		t.Fatal(err)
	}
	select {
	case <-changes:
	case <-time.After(time.Minute):
		t.Fatal("the site is not read again")
	}
	if spec, _ := b.Site.Spec(machine); spec.Cmdline != "two" {
		t.Errorf("it has %q: %s", spec.Cmdline, spec.Rules)
	}
	b.end()
	if spec, _ := startDaemon(t, dir).Site.Spec(machine); spec.Cmdline != "two" {
		t.Errorf("after a restart it has %q: %s", spec.Cmdline, spec.Rules)
	}
}
