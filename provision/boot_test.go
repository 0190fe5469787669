package provision_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
)

var ordered = time.Date(2026, 11, 29, 12, 0, 0, 0, time.UTC)

func memtest() provision.Boot {
	return provision.Boot{Kind: provision.BootKernel, Image: "memtest"}
}

// TestDecideBoot: which of an install, an order and a file goes first, and why.
func TestDecideBoot(t *testing.T) {
	plain := &provision.Spec{MAC: mac, Image: "debian"}
	first := &provision.Spec{MAC: mac, Image: "debian", InstallOnce: true}
	names := &provision.Spec{MAC: mac, Boot: &provision.FileBoot{Boot: memtest()}}
	both := &provision.Spec{MAC: mac, Image: "debian", InstallOnce: true, Boot: names.Boot}
	local := &provision.Spec{MAC: mac, Image: "debian", Boot: &provision.FileBoot{Boot: provision.Boot{Kind: provision.BootLocal}}}
	once := func(b provision.Boot) *provision.BootOrder {
		return &provision.BootOrder{Boot: b, By: "ann", At: ordered}
	}
	for name, c := range map[string]struct {
		spec   *provision.Spec
		state  provision.State
		action provision.Action
		reason string
		order  bool
	}{
		"order":                       {plain, provision.State{Once: once(memtest())}, provision.ActionKernel, "boot kernel memtest, once, ordered by ann at 2026-11-29 12:00:00", true},
		"order local":                 {names, provision.State{Once: once(provision.Boot{Kind: provision.BootLocal})}, provision.ActionLocal, "boot local, once, ordered by ann", true},
		"order before first install":  {first, provision.State{Once: once(memtest())}, provision.ActionKernel, "ordered by ann", true},
		"order after a restore":       {plain, provision.State{Once: once(memtest()), Restored: true}, provision.ActionKernel, "ordered by ann", true},
		"armed before all":            {both, provision.State{Armed: true, Once: once(memtest())}, provision.ActionInstall, "was armed", false},
		"order of a rescue":           {plain, provision.State{Once: once(provision.Boot{Kind: provision.BootRescue})}, provision.ActionRescue, "boot rescue, once, ordered by ann", true},
		"rescue while armed":          {plain, provision.State{Armed: true, Once: once(provision.Boot{Kind: provision.BootRescue})}, provision.ActionInstall, "was armed", false},
		"file":                        {names, provision.State{}, provision.ActionKernel, "boot kernel memtest, since machines/52:54:00:00:00:01.json says so", false},
		"file after its install":      {both, provision.State{Installs: 1}, provision.ActionKernel, "says so", false},
		"file after a cancelled one":  {both, provision.State{Cancelled: true}, provision.ActionKernel, "says so", false},
		"first install before a file": {both, provision.State{}, provision.ActionInstall, `"install": "once"`, false},
		"file local":                  {local, provision.State{}, provision.ActionLocal, "boot local, since", false},
		"stranger":                    {nil, provision.State{Once: once(memtest())}, provision.ActionDiscover, "no file", false},
	} {
		got := provision.Decide(c.spec, c.state)
		if got.Action != c.action || !strings.Contains(got.Reason, c.reason) || got.Order.Equal(ordered) != c.order {
			t.Errorf("%s: %+v", name, got)
		}
	}
}

// TestRescueOfAnImage: whose files a rescue has, and by which kernel they are started.
func TestRescueOfAnImage(t *testing.T) {
	spec := &provision.Spec{MAC: mac, Image: "debian", EntryPoint: "old", Boot: &provision.FileBoot{Boot: memtest()}}
	for _, c := range []struct{ order, want provision.Boot }{
		{provision.Boot{}, provision.Boot{Image: "debian", EntryPoint: "old"}},
		{provision.Boot{EntryPoint: "new"}, provision.Boot{Image: "debian", EntryPoint: "new"}},
		{provision.Boot{Image: "debian"}, provision.Boot{Image: "debian", EntryPoint: "old"}},
		{provision.Boot{Image: "other"}, provision.Boot{Image: "other"}},
	} {
		c.order.Kind = provision.BootRescue
		if got := spec.Booting(c.order); got.Image != c.want.Image || got.EntryPoint != c.want.EntryPoint {
			t.Errorf("%s: %s (%s)", c.order, got.Image, got.EntryPoint)
		}
	}
	booted := provision.Booted{ID: "1"}
	if booted.RescueToken(mac, nil) == booted.FilesToken(mac, nil) {
		t.Error("two uses have one token")
	}
}

// TestOrderIsUsedUpOnce: by the boot that carries it out, and by no other.
func TestOrderIsUsedUpOnce(t *testing.T) {
	fold := func(s provision.State, e provision.Event) provision.State {
		e.MAC = mac
		return provision.Fold(s, e)
	}
	b := memtest()
	s := fold(provision.State{}, provision.Event{Kind: provision.KindOrdered, Time: ordered, By: "ann", Order: &b})
	if s.Once == nil || s.Once.By != "ann" || s.Once.Boot != b {
		t.Fatalf("after the order: %+v", s.Once)
	}
	decision := func(order time.Time, stage provision.Stage) provision.Event {
		return provision.Event{Kind: provision.KindDecision, Stage: stage, Booted: &provision.Booted{Boot: b, ID: "1", Order: order}}
	}
	for name, e := range map[string]provision.Event{
		"another order": decision(ordered.Add(time.Second), provision.StageBooted),
		"by the file":   decision(time.Time{}, provision.StageBooted),
		"a look":        decision(ordered, ""),
	} {
		if after := fold(s, e); after.Once == nil {
			t.Errorf("%s used up the order", name)
		}
	}
	used := fold(s, decision(ordered, provision.StageBooted))
	if used.Once != nil || used.Booted == nil || used.Booted.ID != "1" || used.Stage != provision.StageBooted {
		t.Errorf("after the boot: once %+v, booted %+v, stage %s", used.Once, used.Booted, used.Stage)
	}
	if err := used.CheckOrdered(provision.Booted{Order: ordered}); !errors.Is(err, provision.ErrBootTaken) {
		t.Errorf("a second boot by the order: %v", err)
	}
	if next := fold(used, provision.Event{Kind: provision.KindDecision, Stage: provision.StageLocal}); next.Booted != nil {
		t.Error("the files of a boot are there after the next one")
	}
	if back := fold(s, provision.Event{Kind: provision.KindOrdered}); back.Once != nil {
		t.Error("an order that was taken back stays")
	}
}

// TestCheckBoot: what cannot be ordered, and what to do.
func TestCheckBoot(t *testing.T) {
	spec := &provision.Spec{MAC: mac}
	owner := &provision.Spec{MAC: mac, SecureBoot: provision.ByOwner}
	for want, err := range map[string]error{
		"cloudlets approve":                    provision.CheckBoot(mac, nil, memtest()),
		"no image is named":                    provision.CheckBoot(mac, spec, provision.Boot{Kind: provision.BootKernel}),
		"leave out memtest":                    provision.CheckBoot(mac, spec, provision.Boot{Kind: provision.BootLocal, Image: "memtest"}),
		`"disk" is not known`:                  provision.CheckBoot(mac, spec, provision.Boot{Kind: "disk"}),
		"--once rescue IMAGE":                  provision.CheckBoot(mac, spec, provision.Boot{Kind: provision.BootRescue}),
		"only a rescue mounts":                 provision.CheckBoot(mac, spec, provision.Boot{Kind: provision.BootLocal, Mount: true}),
		"leave out other":                      provision.CheckBoot(mac, owner, provision.Boot{Kind: provision.BootRescue, Image: "other"}),
		"only what the owner signed":           provision.CheckBoot(mac, owner, memtest()),
		"install " + string(mac) + " --cancel": provision.State{MAC: mac, Armed: true}.CheckNotArmed(memtest()),
	} {
		if !errors.Is(err, provision.ErrNotBootable) || !strings.Contains(err.Error(), want) {
			t.Errorf("%v does not say %q", err, want)
		}
	}
	if err := provision.CheckBoot(mac, owner, provision.Boot{Kind: provision.BootLocal}); err != nil {
		t.Error(err)
	}
	state := provision.State{MAC: mac, Once: &provision.BootOrder{Boot: memtest()}}
	if err := state.CheckNotOrdered(); !errors.Is(err, provision.ErrNotInstallable) || !strings.Contains(err.Error(), "boot "+string(mac)+" --cancel") {
		t.Errorf("%v", err)
	}
}
