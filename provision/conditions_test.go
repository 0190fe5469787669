package provision_test

import (
	"testing"

	"cloudlets/provision"
)

// TestAttributes: "disks" counts those that can take a system, and what nobody looked at is
// not known.
func TestAttributes(t *testing.T) {
	i := provision.Inspection{Inventory: provision.Inventory{Arch: "amd64", Disks: []provision.DiskInfo{
		{Name: "sda", Size: 1 << 40, WWN: "0x5000000000000001", Serial: "A"},
		{Name: "sdb", Size: 1 << 40, WWN: "0x5000000000000001", Serial: "A"}, // another path to it
		{Name: "nvme0n1", Size: 1 << 40, Serial: "B"},
		{Name: "sdc", Size: 8 << 30, Transport: "usb"},
		{Name: "sdd", Size: 8 << 30, Removable: true},
		{Name: "sde", Size: 8 << 30, ReadOnly: true},
		{Name: "sdf"},
	}}}
	if got := i.Attributes(); got["disks"] != "2" || got["cpus"] != "" {
		t.Errorf("disks %q, cpus %q", got["disks"], got["cpus"])
	}
	if got := (provision.Inspection{}).Attributes(); got["disks"] != "" {
		t.Errorf("a machine that nobody looked at has %q disks", got["disks"])
	}
	if got := (provision.Inspection{Inventory: provision.Inventory{Arch: "arm64"}}).Attributes(); got["disks"] != "0" {
		t.Errorf("a machine without disks has %q", got["disks"])
	}
}

// TestAttributesAfter: what an install does not look at stays, unless the board is another.
func TestAttributesAfter(t *testing.T) {
	now := provision.Inspection{Inventory: provision.Inventory{Arch: "amd64", UUID: "u1"}}
	before := map[string]string{"switch": "sw3", "disks": "7", "uuid": "u1", "arch": "arm64"}
	if got := now.AttributesAfter(before); got["switch"] != "sw3" || got["disks"] != "0" || got["arch"] != "amd64" {
		t.Errorf("%v", got)
	}
	before["uuid"] = "u2"
	if got := now.AttributesAfter(before); got["switch"] != "" {
		t.Errorf("another board is at the switch %q", got["switch"])
	}
}

// TestRuling: facts that are not known are not the same as none.
func TestRuling(t *testing.T) {
	var none *provision.Ruling
	known := &provision.Ruling{Found: map[string]string{"disks": "2"}}
	for _, c := range []struct {
		r     *provision.Ruling
		found map[string]string
		want  bool
	}{
		{none, map[string]string{"disks": "1"}, true},
		{&provision.Ruling{}, nil, true},
		{&provision.Ruling{}, map[string]string{}, false},
		{known, map[string]string{"disks": "2"}, true},
		{known, map[string]string{"disks": "3"}, false},
		{known, nil, false},
	} {
		if got := c.r.JudgedBy(c.found); got != c.want {
			t.Errorf("%v judged by %v: %t", c.r, c.found, got)
		}
	}
}
