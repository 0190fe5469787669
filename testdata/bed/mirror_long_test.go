//go:build long

package bed_test

import (
	"fmt"
	"testing"

	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// TestLongMirror installs a system on two disks, and has it start from each of them alone.
func TestLongMirror(t *testing.T) {
	t.Parallel()
	t.Run("BIOS", func(t *testing.T) {
		t.Parallel()
		mirrors(t, bed.BIOS, "52:54:00:00:0f:01")
	})
	t.Run("UEFI", func(t *testing.T) {
		t.Parallel()
		mirrors(t, bed.UEFI, "52:54:00:00:0f:02")
	})
}

// mirrors installs a system on two disks, writes a file at a persistent path, and pulls the
// first disk. The machine starts from the other one, and writes. The first one comes back,
// and is out of date: the machine starts from it, and has what was written last. An update
// makes both the same again, so that then the second one may be pulled. Each runs without the
// other. At last a new disk takes the place of the second one: an install fills it, and it starts
// the system alone.
func mirrors(t *testing.T, firmware bed.Firmware, mac string) {
	made := newVersions(t, "first", "second")
	r := newRig(t, made.tarballs(), asServer)
	// The second disk is a little larger, as those of two makers are.
	disks := []bed.Disk{r.newDiskOf("one", 1<<30), r.newDiskOf("two", 1<<30+8<<20)}
	file := object{
		"hostname": "node1", "address": "10.77.0.11", "slots": 2, "mirror": true, "persistent": "96MiB",
		"cmdline": "cloudlets.trial.patience=60 cloudlets.trial.settle=2",
	}
	version := func(name string) {
		file["image"], file["config"] = name, object{"args": object{"role": name}}
		r.describe(mac, file)
		r.shows(mac, func(m api.Detail) bool { return len(m.Outdated) > 0 || m.Installs == 0 })
		r.run("install", "node1")
	}
	var m *bed.Machine
	var seen map[string]int
	next := func(text string) { // what was printed before does not count
		r.Helper()
		seen[text]++
		r.expect(m, fmt.Sprintf(`(?s)(%s.*){%d}`, text, seen[text]))
	}
	on := func(disks ...bed.Disk) {
		r.Helper()
		m, seen = r.on(bed.Spec{MAC: mac, Firmware: firmware, Disks: disks}), map[string]int{}
	}
	onAlone := func(disks ...bed.Disk) { // with no network
		r.Helper()
		m, seen = r.on(bed.Spec{MAC: mac, Firmware: firmware, LocalOnly: true, Disks: disks}), map[string]int{}
	}
	comesUp := func(name string) {
		r.Helper()
		next(`node1: ` + name + ` \(Linux`)
		next(`node1 login: `)
		enter(r, m, "root")
		next(`node1 login: .*?root\r?\n.*?/root # `) // the kernel may say something between
	}
	asks := func(line, answer string) {
		r.Helper()
		enter(r, m, line)
		next(answer)
	}
	off := func() {
		r.Helper()
		enter(r, m, "poweroff")
		select {
		case <-m.Done():
		case <-r.ctx.Done():
			r.Fatalf("the machine did not go off; its console ends:\n%s", m.Console.Tail())
		}
	}
	one, two := disks[0], disks[1]

	version("first")
	on(one, two)
	comesUp("first")
	asks("echo written to both >>notes; sync; cat notes", `what the image has\r?\nwritten to both`)
	off()

	on(two) // the first one is pulled
	next(`mirror-a runs on one disk of two: the other one is missing`)
	comesUp("first")
	asks("echo written to one >>notes; sync; cat notes", `written to both\r?\nwritten to one`)
	off()

	on(one, two) // it comes back
	next(`mirror-data runs on one disk of two: the other one was away`)
	comesUp("first")
	asks("cat notes", `written to both\r?\nwritten to one`)

	version("second")
	enter(r, m, "reboot")
	next(`was away, and is made like the other one: mirror-a is copied while the machine goes on`)
	m.Kill() // the firmware's first disk has only a part of the system now, and is not bootable
	onAlone(one, two)
	next(`mirror-a runs on one disk of two: the other one is missing`)
	comesUp("first")
	asks("cat notes", `written to both\r?\nwritten to one`)
	off()
	on(one, two)
	next(`mirror-a is copied while the machine goes on`)
	next(`mirror-data is copied while the machine goes on`) // after the good slot
	comesUp("second")
	asks("cat notes", `written to both\r?\nwritten to one`)
	asks("mkdir -p /run/cloudlets; touch /run/cloudlets/running", `cloudlets: this system is accepted`)
	// The kernel copies what the first disk lacks.
	asks("while grep -q _ /proc/mdstat; do sleep 1; done; echo made the same | sed s/made/are/", `are the same`)
	off()

	on(one) // the second one is pulled
	next(`mirror-b runs on one disk of two: the other one is missing`)
	comesUp("second")
	asks("echo on the first >>notes; sync; cat notes", `written to one\r?\non the first\r?\n`)
	off()

	on(two) // and the first one in its place
	comesUp("second")
	asks("echo on the second >>notes; sync; cat notes", `written to one\r?\non the second\r?\n`)
	off()

	on(one, two) // each has what the other lacks: one of them counts, and they are not mixed
	next(`mirror-data runs on one disk of two: the other one was away`)
	comesUp("second")
	asks("cat notes", `written to one\r?\non the (first|second)\r?\n/root # `)
	off()

	three := r.newDiskOf("three", 1<<30+16<<20)
	on(one, three) // a new disk is in the place of the second one
	next(`mirror-data runs on one disk of two: the other one is missing`)
	comesUp("second")
	asks("cat notes", `written to one\r?\non the (first|second)\r?\n/root # `)
	version("first")
	enter(r, m, "reboot")
	next(`is new, and is made like the other one: mirror-b is copied while the machine goes on`)
	next(`is new, and is made like the other one: mirror-data is copied while the machine goes on`)
	comesUp("first")
	asks("mkdir -p /run/cloudlets; touch /run/cloudlets/running", `cloudlets: this system is accepted`)
	asks("while grep -q _ /proc/mdstat; do sleep 1; done; echo filled the new | sed s/filled/has/", `has the new`)
	off()

	on(three) // the last of the old disks is pulled
	next(`mirror-a runs on one disk of two: the other one is missing`)
	comesUp("first")
	asks("echo on the new >>notes; sync; cat notes", `written to one\r?\non the (first|second)\r?\non the new\r?\n`)
	off()
}
