package provision_test

import (
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
)

// TestOrderOfAnotherCopy: a server whose copy of the machine's file is another one
// writes nothing, and says so. What does not decide about the disk may differ.
func TestOrderOfAnotherCopy(t *testing.T) {
	spec := provision.Spec{MAC: mac, Image: "web", Hostname: "web1", Filesystem: "ext4", Disk: provision.DiskHints{Serial: "A"}}
	armed := provision.Fold(provision.State{}, provision.Event{
		MAC: mac, Kind: provision.KindArmed, By: "ann", Time: time.Now(), Pin: &provision.Pin{Order: spec.Order(), Pack: "sha256:1"},
	})
	if got := provision.Decide(&spec, armed); got.Action != provision.ActionInstall {
		t.Fatalf("the server where it was armed decides %+v", got)
	}
	renamed := spec
	renamed.Hostname, renamed.Address = "web2", spec.Address
	if got := provision.Decide(&renamed, armed); got.Action != provision.ActionInstall {
		t.Errorf("with another name: %+v", got)
	}
	for what, change := range map[string]func(*provision.Spec){
		"image":      func(s *provision.Spec) { s.Image = "db" },
		"kernel":     func(s *provision.Spec) { s.EntryPoint = "other" },
		"disk":       func(s *provision.Spec) { s.Disk.Serial = "B" },
		"loader":     func(s *provision.Spec) { s.SecureBoot = provision.ByShim },
		"filesystem": func(s *provision.Spec) { s.Filesystem = "xfs" },
	} {
		other := spec
		change(&other)
		got := provision.Decide(&other, armed)
		if got.Action != provision.ActionLocal || !strings.Contains(got.Reason, mac.File()) {
			t.Errorf("another %s: %+v", what, got)
		}
	}
	if err := armed.Pin.CheckPack(&spec, "sha256:1"); err != nil {
		t.Error(err)
	}
	if err := armed.Pin.CheckPack(&spec, "sha256:2"); err == nil {
		t.Error("another pack is as good")
	}
	// Whoever arms it again means what is there now.
	db := spec
	db.Image = "db"
	again := provision.Fold(armed, provision.Event{MAC: mac, Kind: provision.KindArmed, By: "bob", Pin: &provision.Pin{Order: db.Order()}})
	if got := provision.Decide(&db, again); got.Action != provision.ActionInstall || again.Pin.CheckPack(&db, "sha256:2") != nil {
		t.Errorf("armed again: %+v", got)
	}
	if done := provision.Fold(again, provision.Event{MAC: mac, Kind: provision.KindDone}); done.Pin != nil {
		t.Error("the pin outlives the install")
	}
}
