package provision_test

import (
	"reflect"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"

	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)

// fold plays events a second apart.
func fold(events ...provision.Event) provision.State {
	var s provision.State
	for i, e := range events {
		e.MAC, e.Time = mac, noon.Add(time.Duration(i)*time.Second)
		s = provision.Fold(s, e)
	}
	return s
}

func stage(s provision.Stage) provision.Event {
	return provision.Event{Kind: provision.KindStage, Stage: s}
}

func install() []provision.Event {
	return []provision.Event{
		{Kind: provision.KindArmed, By: "ann"},
		{Kind: provision.KindDHCP, Stage: provision.StageFirmware, Facts: map[string]string{"firmware": "BIOS"}},
		{Kind: provision.KindTFTP, Stage: provision.StageLoader},
		{Kind: provision.KindHTTP, Stage: provision.StageKernel},
		{Kind: provision.KindClaim, Stage: provision.StageAgent, Facts: map[string]string{"cpus": "4"}},
		stage(provision.StagePartition), stage(provision.StageStream),
		{Kind: provision.KindProgress, Progress: &provision.Progress{Done: 1, Total: 2}},
		stage(provision.StageBootable),
	}
}

func TestFoldAnInstall(t *testing.T) {
	s := fold(append(install(), provision.Event{Kind: provision.KindDone})...)
	if s.Stage != provision.StageInstalled || s.Armed || s.Installs != 1 || s.Progress != nil || s.ArmedBy != "" {
		t.Errorf("got %+v", s)
	}
	if want := map[string]string{"firmware": "BIOS", "cpus": "4"}; !cmp.Equal(s.Facts, want) {
		t.Errorf("facts: %s", cmp.Diff(want, s.Facts))
	}
	var stages []string
	for _, st := range s.Stages {
		stages = append(stages, string(st.Stage))
	}
	if got, want := strings.Join(stages, " "), "firmware loader kernel agent partition stream bootable installed"; got != want {
		t.Errorf("stages %q, want %q", got, want)
	}
	if !s.InstalledAt.Equal(s.Since) || !s.Seen.Equal(noon.Add(9*time.Second)) {
		t.Errorf("installed at %s, since %s, seen %s", s.InstalledAt, s.Since, s.Seen)
	}
}

func TestFoldCountsAnInstallOnce(t *testing.T) {
	done := provision.Event{Kind: provision.KindDone}
	events := append(install(), stage(provision.StageInstalled), done, done)
	if s := fold(events...); s.Installs != 1 {
		t.Errorf("told twice that it is done: %d installs", s.Installs)
	}
	again := append(append(events, install()...), done)
	if s := fold(again...); s.Installs != 2 {
		t.Errorf("after a second install: %d installs", s.Installs)
	}
}

func TestFoldAFailure(t *testing.T) {
	failed := append(install(), provision.Event{Kind: provision.KindFailed, Text: "write /dev/vda: input/output error"})
	s := fold(failed...)
	if s.Stage != provision.StageFailed || !s.Armed || s.Installs != 0 || !strings.Contains(s.String(), "/dev/vda") {
		t.Errorf("got %+v (%s)", s, s)
	}
	late := provision.Event{Kind: provision.KindProgress, Progress: &provision.Progress{Done: 2, Total: 2}}
	if s := fold(append(failed, late)...); s.Progress != nil || s.Stage != provision.StageFailed {
		t.Errorf("progress after the end: %+v", s)
	}
	refused := provision.Event{Kind: provision.KindClaim, Text: "refused"}
	if s := fold(append(failed, refused)...); s.Failure == "" {
		t.Error("a refused claim took the failure away")
	}
	if s := fold(append(failed, install()...)...); s.Failure != "" || s.Stages[0].Stage != provision.StageFirmware || len(s.Stages) != 7 {
		t.Errorf("a new install begins: %+v", s)
	}
}

func TestFoldArming(t *testing.T) {
	arm := provision.Event{Kind: provision.KindArmed, By: "ann"}
	cancel := provision.Event{Kind: provision.KindDisarmed, By: "bob"}
	server := provision.Event{Kind: provision.KindDisarmed}
	for name, c := range map[string]struct {
		events           []provision.Event
		armed, cancelled bool
	}{
		"armed":                         {[]provision.Event{arm}, true, false},
		"cancelled":                     {[]provision.Event{arm, cancel}, false, true},
		"cancelled before anything":     {[]provision.Event{cancel}, false, true},
		"armed again":                   {[]provision.Event{arm, cancel, arm}, true, false},
		"disarmed by the server":        {[]provision.Event{arm, server}, false, false},
		"the server does not un-cancel": {[]provision.Event{arm, cancel, server}, false, true},
	} {
		if s := fold(c.events...); s.Armed != c.armed || s.Cancelled != c.cancelled {
			t.Errorf("%s: armed %t, cancelled %t", name, s.Armed, s.Cancelled)
		}
	}
}

func TestFoldIsPure(t *testing.T) {
	before := fold(install()...)
	same := fold(install()...)
	provision.Fold(before, provision.Event{MAC: mac, Kind: provision.KindStage, Stage: provision.StageVerify, Facts: map[string]string{"cpus": "8", "new": "x"}})
	provision.Fold(before, provision.Event{MAC: mac, Kind: provision.KindStage, Stage: provision.StageHandover})
	if !reflect.DeepEqual(before, same) {
		t.Errorf("Fold changed the state that it was given: %s", cmp.Diff(same, before))
	}
}

func TestFoldBoundsStages(t *testing.T) {
	var events []provision.Event
	for range 500 {
		events = append(events, stage(provision.StageLoader), stage(provision.StageKernel))
	}
	s := fold(events...)
	if len(s.Stages) > 100 || s.Stages[len(s.Stages)-1].Stage != provision.StageKernel {
		t.Errorf("%d stages are kept", len(s.Stages))
	}
}

func TestRenderings(t *testing.T) {
	e := provision.Event{Time: noon, Kind: provision.KindDHCP, Text: "DISCOVER → OFFER", Reason: "it is reserved", Count: 3}
	p := provision.Progress{Done: 120e6, Total: 330e6, Rate: 45e6}
	for want, got := range map[string]string{
		"2026-11-23 12:00:00.000  dhcp      DISCOVER → OFFER (3 times): it is reserved": e.String(),
		"120.0 MB of 330.0 MB (36%), 45.0 MB/s, 5s left":                                p.String(),
		"5 B":      provision.Progress{Done: 5}.String(),
		"new":      provision.State{}.String(),
		"stranger": provision.State{Stage: provision.StageStranger}.String(),
		"stream, 120.0 MB of 330.0 MB (36%), 45.0 MB/s, 5s left": provision.State{Stage: provision.StageStream, Progress: &p, Armed: true}.String(),
		"local, armed by ann": provision.State{Stage: provision.StageLocal, Armed: true, ArmedBy: "ann"}.String(),
	} {
		if got != want {
			t.Errorf("got  %q\nwant %q", got, want)
		}
	}
	if n := (provision.Progress{Done: 1 << 62, Total: 1 << 62}).Percent(); n != 100 {
		t.Errorf("%d%%", n)
	}
}

// TestPlainDHCPIsHeard: a system that asks by DHCP ends a machine's silence, except after
// an install, where it is expected to say that it runs.
func TestPlainDHCPIsHeard(t *testing.T) {
	start := time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)
	late := start.Add(time.Hour)
	for stage, heard := range map[provision.Stage]bool{provision.StageFirmware: true, provision.StageKernel: true, provision.StageInstalled: false} {
		s := provision.State{Stage: stage, Since: start, Heard: start, Has: &provision.System{Tells: true}}
		s = provision.Fold(s, s.QuietEvent(late))
		if s.Quiet == nil {
			t.Fatalf("%s: not quiet after an hour", stage)
		}
		s = provision.Fold(s, provision.Event{Kind: provision.KindDHCP, Plain: true, Time: late})
		if (s.Quiet == nil) != heard || !s.Asked.Equal(late) || s.Running != nil || s.Stage != stage {
			t.Errorf("%s: after plain DHCP it is %+v", stage, s)
		}
	}
}
