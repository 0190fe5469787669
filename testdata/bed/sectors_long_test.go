//go:build long

package bed_test

import (
	"testing"

	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// TestLongLargeSectors installs a machine whose disk has sectors of 4096 bytes, and updates it
// twice: the first new version proves itself, and the second stays silent. Each start goes
// through the firmware, which finds the boot loader and the state of the slots by those
// sectors.
func TestLongLargeSectors(t *testing.T) {
	t.Parallel()
	made := newVersions(t, "first", "second", "third")
	r := newRig(t, made.tarballs(), asServer)
	const mac = "52:54:00:00:08:16"
	version := func(name string) {
		t.Helper()
		r.describe(mac, object{
			"image": name, "hostname": "node1", "address": "10.77.0.11", "slots": 2, "persistent": "96MiB", "handover": "reboot",
			"config":  object{"args": object{"role": name}},
			"cmdline": "cloudlets.trial.patience=30 cloudlets.trial.settle=2",
		})
		if name != "first" { // the server knows the machine, and reads its file soon
			r.shows(mac, func(m api.Detail) bool { return m.Image == name })
		}
		r.run("install", "node1")
	}
	version("first")
	d := r.newDisk("node1")
	d.Sector = 4096
	s := &shell{ctx: r.ctx, TB: t, m: r.on(bed.Spec{MAC: mac, Firmware: bed.UEFI, Disks: []bed.Disk{d}}), host: "node1", seen: map[string]int{}}
	comesUp := func(version string) {
		t.Helper()
		s.next(`node1: ` + version + ` \(Linux`)
		s.next(`node1 login: `)
		s.types("root")
		s.next(`Enter .help. for a list.*?/root # `)
		s.says("head -n 1 /"+versionFile, version+`\n`, 0)
		s.says("cat /sys/block/vda/queue/logical_block_size", `(?m)^4096\n`, 0)
	}
	comesUp("first")
	s.says("echo kept >>~/notes; sync", "", 0)

	version("second")
	s.types("reboot")
	comesUp("second")
	s.says("cat ~/notes", `what the image has\nkept\n`, 0)
	s.says("mkdir -p /run/cloudlets; touch /run/cloudlets/running", "", 0)
	s.next(`cloudlets: this system is accepted`)

	version("third")
	s.types("reboot")
	s.next(`did not say that it runs`)
	comesUp("second")
	s.says("cat ~/notes", `what the image has\nkept\n`, 0)
}
