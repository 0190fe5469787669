package provision_test

import (
	"errors"
	"strings"
	"testing"

	"cloudlets/provision"
)

// TestSelectMirror: two disks match, and each by the rules of one.
func TestSelectMirror(t *testing.T) {
	nvme, sata, spin, stick := bench()
	third, small, larger := spin, spin, spin
	third.Name, third.Serial, third.WWN = "sdx", "ZA3", "naa.5000c500a3"
	small.Size, larger.Size = sata.Size/2, sata.Size+sata.Size/100*mirrorLimit
	path1 := sata
	path1.Name = "sdy" // the same disk, by another way
	frozen := spin
	frozen.ReadOnly = true
	model := provision.DiskHints{Model: "ST4000"}
	for name, c := range map[string]struct {
		hints provision.DiskHints
		disks []provision.DiskInfo
		want  string // the disks' names, or what the error says
	}{
		"two, and others":        {model, []provision.DiskInfo{nvme, sata, stick, spin}, "sda sdb"},
		"two and a stick":        {provision.DiskHints{}, []provision.DiskInfo{sata, spin, stick}, "sda sdb"},
		"nearly of one size":     {model, []provision.DiskInfo{sata, larger}, "sda sdb"},
		"two paths to one":       {model, []provision.DiskInfo{sata, path1, spin}, "sda sdb"},
		"one by two paths":       {model, []provision.DiskInfo{sata, path1}, "and 1 do: sda"},
		"one alone":              {model, []provision.DiskInfo{sata, nvme}, `not nvme0n1`},
		"three":                  {model, []provision.DiskInfo{sata, spin, third}, "and 3 do: sda"},
		"none":                   {model, nil, "and 0 do"},
		"one half as large":      {model, []provision.DiskInfo{sata, small}, "sizes differ"},
		"one is read-only":       {model, []provision.DiskInfo{sata, frozen}, "read-only"},
		"a stick is none of two": {provision.DiskHints{}, []provision.DiskInfo{nvme, stick}, "removable"},
	} {
		got, err := provision.SelectMirror(c.hints, c.disks)
		if err != nil && !errors.Is(err, provision.ErrNotTwoDisks) {
			t.Errorf("%s: the error is %v", name, err)
		}
		names := got[0].Name + " " + got[1].Name
		if err == nil && names != c.want || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: got %q, %v; want %q", name, names, err, c.want)
		}
	}
}

// mirrorLimit is by how many percent one disk may be larger.
const mirrorLimit = 10

// TestBothDisksAreConfirmed: a person confirms both disks of a mirror, and sees both.
func TestBothDisksAreConfirmed(t *testing.T) {
	alone, both, renamed, other := someProposal(), someProposal(), someProposal(), someProposal()
	both.Second = &provision.DiskInfo{Name: "sdb", Serial: "S5", Contents: "xfs"}
	renamed.Second = &provision.DiskInfo{Name: "sdc", Serial: "S5"}
	other.Second = &provision.DiskInfo{Name: "sdb", Serial: "S6", Contents: "xfs"}
	if both.Digest() != renamed.Digest() {
		t.Error("another name of the second disk makes another plan")
	}
	if both.Digest() == alone.Digest() || both.Digest() == other.Digest() {
		t.Error("another second disk is the same plan")
	}
	if text := both.String(); !strings.Contains(text, "the same to /dev/sdb") || !strings.Contains(text, "on it now: xfs") {
		t.Errorf("the plan says %s", text)
	}
	both.Second.Contents = strings.Repeat("x", 1<<16)
	if cut := both.Bounded(); len(cut.Second.Contents) > 2048 || cut.Second == both.Second {
		t.Errorf("what is on the second disk is cut to %d bytes", len(cut.Second.Contents))
	}
}

// TestMirrorIsArmed: what was armed for one disk is not installed on two.
func TestMirrorIsArmed(t *testing.T) {
	one := provision.Spec{Image: "web", Slots: 2}
	two := one
	two.Mirror = true
	if one.Order() == two.Order() {
		t.Error("one disk and two are the same order")
	}
}
