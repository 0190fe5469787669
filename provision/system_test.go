package provision_test

import (
	"strings"
	"testing"
	"time"

	"cloudlets/images/manifest"
	"cloudlets/provision"
)

// installed is a machine that has the system of a spec.
func installed(t *testing.T, system provision.System) provision.State {
	t.Helper()
	events := install()
	for i := range events {
		if events[i].Kind == provision.KindClaim {
			events[i].System = &system
		}
	}
	s := fold(append(events, provision.Event{Kind: provision.KindDone})...)
	if s.Has == nil || s.Has.Image != system.Image || !s.Has.Time.Equal(s.InstalledAt) || s.Writing != nil {
		t.Fatalf("after the install the machine has %+v, and writes %+v", s.Has, s.Writing)
	}
	return s
}

// TestHasIsWhatWasWritten: what a machine has is set by the end of an install alone,
// whatever its file says meanwhile.
func TestHasIsWhatWasWritten(t *testing.T) {
	s := installed(t, provision.System{Image: "web@v1", Pack: "sha256:1"})
	for _, e := range []provision.Event{
		{Kind: provision.KindArmed, By: "ann"},
		{Kind: provision.KindHTTP, Stage: provision.StageKernel, Facts: map[string]string{"image": "web@v2"}},
		{Kind: provision.KindClaim, Stage: provision.StageAgent, System: &provision.System{Image: "web@v2"}},
		{Kind: provision.KindFailed, Text: "the disk is not empty"}, // nothing was written yet
	} {
		e.MAC = mac
		s = provision.Fold(s, e)
	}
	if s.Has == nil || s.Has.Image != "web@v1" {
		t.Fatalf("a refused install of v2 left the machine with %+v", s.Has)
	}
	if s = provision.Fold(s, provision.Event{MAC: mac, Kind: provision.KindStage, Stage: provision.StagePartition}); s.Has != nil {
		t.Errorf("the disk is being overwritten, and the machine has %+v", s.Has)
	}
}

func TestOutdated(t *testing.T) {
	key := []byte("secret")
	spec := provision.Spec{MAC: mac, Image: "web", Config: manifest.Config{Args: map[string]any{"role": "web"}}}
	has := spec.System("sha256:1", key)
	if why := provision.Outdated(&has, spec.System("sha256:1", key)); why != nil {
		t.Errorf("just installed, and outdated: %q", why)
	}
	if why := provision.Outdated(&has, spec.System("", key)); why != nil {
		t.Errorf("while the image is packed: %q", why)
	}
	for want, change := range map[string]func(*provision.Spec) string{
		"the image web has changed":          func(*provision.Spec) string { return "sha256:2" },
		"it has web, and its file names db":  func(s *provision.Spec) string { s.Image = "db"; return "sha256:3" },
		"its configuration has changed":      func(s *provision.Spec) string { s.Config.Args = map[string]any{"role": "mail"}; return "sha256:1" },
		"its file names another entry point": func(s *provision.Spec) string { s.EntryPoint = "serial"; return "sha256:1" },
	} {
		now := spec
		pack := change(&now)
		if why := provision.Outdated(&has, now.System(pack, key)); len(why) != 1 || why[0] != want {
			t.Errorf("got %q, want %q", why, want)
		}
	}
	local := spec
	local.Image = ""
	if why := provision.Outdated(&has, local.System("", key)); why != nil {
		t.Errorf("without an image: %q", why)
	}
}

// TestConfigMarkTellsNothing: one who has the mark cannot try out passwords without
// the site's key.
func TestConfigMarkTellsNothing(t *testing.T) {
	spec := provision.Spec{MAC: mac, Image: "web", Config: manifest.Config{Args: map[string]any{"password": "1234"}}}
	if spec.ConfigMark([]byte("a")) == spec.ConfigMark([]byte("b")) {
		t.Error("the mark does not depend on the key")
	}
}

// TestConfigMarkOfVarsAndTags: templates see them, so a machine whose file says other ones
// is outdated. A machine without any has the mark that it had before there were any.
func TestConfigMarkOfVarsAndTags(t *testing.T) {
	key := []byte("key")
	plain := provision.Spec{MAC: mac, Image: "web"}
	empty, tagged, set := plain, plain, plain
	empty.Vars, empty.Tags = map[string]any{}, []string{}
	tagged.Tags = []string{"a"}
	set.Vars = map[string]any{"rack": 3}
	if plain.ConfigMark(key) != empty.ConfigMark(key) {
		t.Error("no vars and empty ones differ")
	}
	if plain.ConfigMark(key) == tagged.ConfigMark(key) || plain.ConfigMark(key) == set.ConfigMark(key) {
		t.Error("vars or tags are not in the mark")
	}
}

func TestCheckDisk(t *testing.T) {
	s := installed(t, provision.System{Image: "web@v1"})
	spec := &provision.Spec{MAC: mac, Image: "web@v2"}
	err := provision.CheckDisk(spec, s)
	if err == nil || !strings.Contains(err.Error(), "cloudlets install "+string(mac)+" --wipe") {
		t.Errorf("over a system of ours: %v", err)
	}
	if err := provision.CheckDisk(spec, fold(install()...)); err != nil {
		t.Errorf("over a disk that an install left half written: %v", err)
	}
	if err := provision.CheckDisk(&provision.Spec{MAC: mac, Image: "web@v2", Disk: provision.DiskHints{Serial: "NEW"}}, s); err != nil {
		t.Errorf("on another disk: %v", err)
	}
}

// TestQuiet: in each stage of an install a machine becomes quiet when its time is over,
// not before, and is quiet no more once it is heard.
func TestQuiet(t *testing.T) {
	for _, p := range provision.Patiences() {
		s := provision.State{MAC: mac, Stage: p.Stage, Since: noon, Seen: noon, Heard: noon, Again: true, Has: &provision.System{Tells: true}, Live: &provision.System{Tells: true}}
		at, can := s.QuietFrom()
		if !can || !at.Equal(noon.Add(p.Limit)) {
			t.Errorf("%s: quiet from %s (%t), want %s", p.Stage, at, can, noon.Add(p.Limit))
		}
		s = provision.Fold(s, s.QuietEvent(at))
		if s.Quiet == nil || !s.Quiet.Since.Equal(noon) || s.Quiet.Cause == "" || s.Stage != p.Stage {
			t.Errorf("%s: after its time the machine is %+v", p.Stage, s)
		}
		if _, again := s.QuietFrom(); again {
			t.Errorf("%s: a quiet machine becomes quiet", p.Stage)
		}
		armed := provision.Fold(s, provision.Event{MAC: mac, Kind: provision.KindArmed, By: "ann", Time: at.Add(time.Second)})
		if armed.Quiet == nil {
			t.Errorf("%s: what a person does is taken for a sign of life", p.Stage)
		}
		heard := provision.Fold(s, provision.Event{MAC: mac, Kind: provision.KindDHCP, Stage: provision.StageFirmware, Time: at.Add(time.Minute)})
		if heard.Quiet != nil {
			t.Errorf("%s: heard, and still quiet", p.Stage)
		}
	}
	for _, stage := range []provision.Stage{provision.StageNew, provision.StageStranger, provision.StageLocal, provision.StageFailed, provision.StageRunning} {
		if at, can := (provision.State{Stage: stage, Since: noon, Seen: noon}).QuietFrom(); can {
			t.Errorf("%s: quiet from %s", stage, at)
		}
	}
	if _, can := (provision.State{Stage: provision.StageInstalled, Has: &provision.System{}}).QuietFrom(); can {
		t.Error("a system that cannot tell that it runs is missed")
	}
}

func TestRunning(t *testing.T) {
	s := installed(t, provision.System{Image: "web", Tells: true})
	s = provision.Fold(s, provision.Event{MAC: mac, Kind: provision.KindRunning, Time: noon, Boot: 30 * time.Second})
	if s.Stage != provision.StageRunning || s.Running == nil || s.Running.Boot != 30*time.Second {
		t.Errorf("it says that it runs: %+v", s)
	}
	s = provision.Fold(s, provision.Event{MAC: mac, Kind: provision.KindDHCP, Stage: provision.StageLocal, Time: noon})
	if s.Running != nil || s.Has == nil {
		t.Errorf("it starts anew: %+v", s)
	}
}
