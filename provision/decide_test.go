package provision_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
)

const mac provision.MAC = "52:54:00:00:00:01"

// Every combination of what a file can say and what can have happened.
func TestDecideTable(t *testing.T) {
	const image, once, armed, cancelled, installed, failed = 1, 2, 4, 8, 16, 32
	for bits := range 64 {
		has := func(bit int) bool { return bits&bit != 0 }
		spec := &provision.Spec{MAC: mac, InstallOnce: has(once)}
		if has(image) {
			spec.Image = "debian"
		}
		state := provision.State{MAC: mac, Armed: has(armed), Cancelled: has(cancelled)}
		if has(installed) {
			state.Installs = 1
		}
		if has(failed) {
			state.Failure, state.Stage = "disk full", provision.StageFailed
		}
		want := provision.ActionLocal
		if has(image) && (has(armed) || has(once) && !has(installed) && !has(cancelled)) {
			want = provision.ActionInstall
		}
		name := fmt.Sprintf("image=%t once=%t armed=%t cancelled=%t installed=%t failed=%t",
			has(image), has(once), has(armed), has(cancelled), has(installed), has(failed))
		got := provision.Decide(spec, state)
		if got.Action != want {
			t.Errorf("%s: %s (%s), want %s", name, got.Action, got.Reason, want)
		}
		if got.Reason == "" {
			t.Errorf("%s: no reason", name)
		}
		if stranger := provision.Decide(nil, state); stranger.Action != provision.ActionDiscover {
			t.Errorf("%s: a stranger got %s", name, stranger.Action)
		}
	}
}

func TestDecideSaysWhy(t *testing.T) {
	spec := provision.Spec{MAC: mac, Image: "debian"}
	once := spec
	once.InstallOnce = true
	at := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	for want, got := range map[string]provision.Decision{
		"no file in machines/ describes":                 provision.Decide(nil, provision.State{}),
		"the site has no good file machines/52:54":       provision.Decide(nil, provision.State{MAC: mac}),
		"names no image":                                 provision.Decide(&provision.Spec{MAC: mac}, provision.State{}),
		"debian was armed by ann at 2026-11-23 12:00:00": provision.Decide(&spec, provision.State{Armed: true, ArmedBy: "ann", ArmedAt: at}),
		`says "install": "once"`:                         provision.Decide(&once, provision.State{}),
		"disk full":                                      provision.Decide(&once, provision.State{Failure: "disk full"}),
		"its install was cancelled":                      provision.Decide(&once, provision.State{Cancelled: true}),
		"it was installed at 2026-11-23 12:00:00":        provision.Decide(&once, provision.State{Installs: 1, InstalledAt: at}),
		"`cloudlets install " + string(mac) + "` arms":   provision.Decide(&spec, provision.State{}),
	} {
		if !strings.Contains(got.Reason, want) {
			t.Errorf("%q does not say %q", got.Reason, want)
		}
	}
}
