package bed_test

import (
	"fmt"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// TestUpdates updates a machine that has two slots, beside the system that it has, and
// keeps its data. Then it looks at the disk as it would be after power cuts.
func TestUpdates(t *testing.T) {
	alongside(t, 100)
	const cuts, seed = 120, 1
	p := updates(t, bed.BIOS, "52:54:00:00:08:01", false)
	p.installsWhole(t, cuts/10, seed)
	p.survives(t, cuts, seed)
}

// updates installs a machine, and then versions that prove themselves, stay silent, and do
// not start. None but the first stays in the place of the one before. All has the machine
// restart with the second, be rolled back, and try a version that does not start, and one
// that says that it runs and then dies, too. It returns what the machine wrote.
func updates(t *testing.T, firmware bed.Firmware, mac string, all bool) *tape {
	names := []string{"first", "second", "third"}
	if all {
		names = append(names, "fourth", "fifth") // each is packed, whether it is installed or not
	}
	made := newVersions(t, names...)
	r := newRig(t, made.tarballs(), asServer)
	p := newTape(t, made)
	file := object{
		"hostname": "node1", "address": "10.77.0.11", "slots": 2, "persistent": "96MiB",
		"cmdline": "cloudlets.trial.patience=30 cloudlets.trial.settle=2",
	}
	version := func(name, words string) {
		file["image"], file["config"] = name, object{"args": object{"role": name}}
		changed := object{}
		for key, value := range file {
			changed[key] = value
		}
		changed["cmdline"] = file["cmdline"].(string) + words
		r.describe(mac, changed)
		r.shows(mac, func(m api.Detail) bool { return len(m.Outdated) > 0 || m.Installs == 0 })
		r.run("install", "node1")
	}
	version("first", "")
	m := r.on(bed.Spec{MAC: mac, Firmware: firmware, Disks: []bed.Disk{p.serve(t)}})
	seen := map[string]int{}
	next := func(text string) { // what was printed before does not count
		r.Helper()
		seen[text]++
		r.expect(m, fmt.Sprintf(`(?s)(%s.*){%d}`, text, seen[text]))
	}
	comesUp := func(name string) {
		r.Helper()
		next(`node1: ` + name + ` \(Linux`)
		next(`node1 login: `)
		enter(r, m, "root")
		next(`node1 login: .*?root\r?\n.*?/root # `) // there were other prompts before, and the kernel may say something between
	}
	comesUp("first")
	if strings.Contains(m.Console.Text(), "the disk is complete: rebooting") {
		t.Error("the installer did not hand over, but restarted the machine")
	}
	asks := func(line string) {
		r.Helper()
		enter(r, m, line)
		next(`what the image has\r?\nwhat was added`)
	}
	asks("echo what was added >>notes; sync; cat notes")
	p.mayStart("first", "second")
	version("second", "")
	enter(r, m, "reboot")
	comesUp("second")
	if report := r.machine(mac).Report; report == nil || report.Slot != "b" || report.Copied == 0 {
		t.Errorf("the report of the update is %+v", report)
	}
	asks("cat notes; mkdir -p /run/cloudlets; touch /run/cloudlets/running")
	next(`cloudlets: this system is accepted`)
	p.mayStart("second")

	if !all {
		p.mayStart("second", "third")
		version("third", " cloudlets.trial.patience=15") // this counts, as the last such word
		enter(r, m, "reboot")
		next(`node1: third \(Linux`)
		next(`did not say that it runs`)
		comesUp("second")
		p.mayStart("second")
		asks("cat notes")
		m.Stop()
		return p
	}
	enter(r, m, "reboot")
	comesUp("second")
	p.mayStart("first", "second", "third", "fourth", "fifth")
	r.run("rollback", "node1")
	enter(r, m, "reboot")
	comesUp("first")
	asks("cat notes; mkdir -p /run/cloudlets; touch /run/cloudlets/running")
	next(`cloudlets: this system is accepted`)
	if has := r.machine(mac).Has; has == nil || has.Slot != "a" {
		t.Errorf("after the roll-back it has %+v", has)
	}

	version("third", "")
	enter(r, m, "reboot")
	comesUp("third")
	next(`did not say that it runs`)
	comesUp("first")

	version("fourth", " cloudlets.init=/nowhere")
	enter(r, m, "reboot")
	for range 4 { // by hand-over, and three times by the boot loader
		next(`it is on trial, so the machine starts again`)
	}
	comesUp("first")
	asks("cat notes")

	// The rest of a line is printed twice: as it is typed, and as it is carried out.
	tells := func() {
		r.Helper()
		enter(r, m, "busybox modprobe virtio_net; busybox ip addr add 10.77.0.11/24 dev eth0; busybox ip link set eth0 up; sh /etc/cloudlets/say-running && ls /run/cloudlets")
		next(`\nrunning\r?\n`)
	}
	version("fifth", " cloudlets.trial.settle=600")
	enter(r, m, "reboot")
	for range 4 {
		comesUp("fifth")
		tells()
		enter(r, m, "sync; busybox reboot -f")
	}
	comesUp("first")
	tells()
	r.shows(mac, func(m api.Detail) bool { return m.Has != nil && m.Has.Slot == "a" })
	trace := r.run("trace", "node1")
	for _, why := range []string{"the machine is back to slot A with first; fifth in slot B was on trial: it said at ", "and did not stay up long enough to be accepted"} {
		if !strings.Contains(trace, why) {
			t.Errorf("the trace does not say %q:\n%s", why, trace)
		}
	}
	if n := strings.Count(m.Console.Text(), "copying what the image has"); n != 1 {
		t.Errorf("what is persistent was made %d times", n)
	}
	m.Stop()
	return p
}

// enter types a line on the console of a machine.
func enter(r *rig, m *bed.Machine, line string) {
	r.Helper()
	if err := m.Console.Type(line + "\n"); err != nil {
		r.Fatal(err)
	}
}
