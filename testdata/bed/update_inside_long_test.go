//go:build long

package bed_test

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// TestLongUpdateFromInside updates a machine that no server ever saw, while it runs, and
// rolls it back. The program and the images are on a second disk.
func TestLongUpdateFromInside(t *testing.T) {
	t.Parallel()
	for n, firmware := range []bed.Firmware{bed.BIOS, bed.UEFI} {
		t.Run(string(firmware), func(t *testing.T) {
			t.Parallel()
			updateFromInside(t, firmware, fmt.Sprintf("52:54:00:00:08:1%d", 2+n))
		})
	}
}

// settleSoon has a system on trial accepted soon after it says that it runs.
const settleSoon = "cloudlets.trial.settle=2"

func updateFromInside(t *testing.T, firmware bed.Firmware, mac string) {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), 3*smallPatience)
	t.Cleanup(stop)
	made := newVersions(t, "first", "second")
	file := filepath.Join(t.TempDir(), "disk.img")
	makeSmall(ctx, t, made["first"].tarball, file, "--slots", "2", "--free", "60MB", "--persistent-partition", "96MiB", "--cmdline", settleSoon)
	m := bootAlone(ctx, t, bed.Spec{
		MAC: mac, Firmware: firmware, LocalOnly: true, Disks: []bed.Disk{{File: file}, updateMedium(ctx, t, made["second"].tarball)},
	})
	s := &shell{ctx: ctx, TB: t, m: m, host: "stick", seen: map[string]int{}}
	comesUp := func(accepted bool, version string) {
		t.Helper()
		s.comesUp("a disk of its own", accepted, version) // by the configuration of the first system
	}
	comesUp(false, "first")
	s.says("echo kept >>~/notes; sync", "", 0)

	s.says("echo guest:x:1000:1000::/tmp:/bin/sh >>/etc/passwd; busybox start-stop-daemon -S -c guest -x $PWD/cloudlets -- update second.tar", `run this as root`, 1)
	s.says("mkdir /tmp/away && mount -t tmpfs none /tmp/away && cp cloudlets /tmp/away && busybox chroot /tmp/away /cloudlets update /second.tar", `it is not in a slot of a disk with two`, 1)
	s.says("umount /tmp/away; ./cloudlets update large.tar", `slot B has .*, and the image needs .*: use a smaller image`, 1)
	s.says("./cloudlets update --rollback", `go back to the system in slot B: there is no whole system in it`, 1)
	s.says("./cloudlets update second.tar --dry-run", `would write slot B of /dev/vda`, 0)
	s.types("./cloudlets update second.tar --cmdline " + settleSoon + " --restart")
	s.next(`wrote slot B of /dev/vda .*slot A stays until it has proved itself`)

	comesUp(true, "second")
	s.says("cat ~/notes", `what the image has\nkept\n`, 0)
	s.types("./cloudlets update --rollback --restart")
	s.next(`the next start tries the system in slot A, and slot B stays until that has proved itself`)

	comesUp(true, "first")
	s.says("cat ~/notes; umount /tmp/medium 2>&1", `what the image has\nkept\n`, 1) // it is the shell's directory
	switchOff(ctx, t, m)
}

// TestLongUpdateFromInsideOfAServersMachine updates a machine from inside that a server
// installed and still boots. The server writes nothing.
func TestLongUpdateFromInsideOfAServersMachine(t *testing.T) {
	t.Parallel()
	made := newVersions(t, "first", "second")
	r := newRig(t, map[string]string{"first": made["first"].tarball}, asServer)
	const mac = "52:54:00:00:08:14"
	r.describe(mac, object{
		"image": "first", "hostname": "node1", "address": "10.77.0.11", "slots": 2, "persistent": "96MiB", "disk": object{"serial": "NODE1"},
		"config": object{"args": object{"role": "a machine of a site"}},
	})
	r.run("install", "node1")
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk("node1"), updateMedium(r.ctx, t, made["second"].tarball)}})
	s := &shell{ctx: r.ctx, TB: t, m: m, host: "node1", seen: map[string]int{}}
	s.comesUp("a machine of a site", false, "first")
	s.says("echo kept >>~/notes; sync", "", 0)
	s.types("./cloudlets update second.tar --cmdline " + settleSoon + " --restart")
	s.next(`wrote slot B of /dev/vda .*slot A stays until it has proved itself`)
	s.comesUp("a machine of a site", true, "second")
	s.says("cat ~/notes", `what the image has\nkept\n`, 0)
	if found := r.machine(mac); found.Installs != 1 || found.Has == nil || found.Has.Image != "first" {
		t.Errorf("the server, which knows nothing of it, has %d installs and %+v", found.Installs, found.Has)
	}
}

// TestLongUpdateInPlace has a machine carry out what its server armed while it runs: an
// update, which is away for one restart, and a roll-back. An update that power cuts in the
// middle leaves the system as it is.
func TestLongUpdateInPlace(t *testing.T) {
	t.Parallel()
	made := newVersions(t, "first", "second")
	r := newRig(t, made.tarballs(), asServer)
	const mac = "52:54:00:00:08:15"
	describe := func(image string) {
		r.describe(mac, object{
			"image": image, "hostname": "node1", "address": "10.77.0.11", "slots": 2, "persistent": "96MiB", "disk": object{"serial": "NODE1"},
			"config": object{"args": object{"role": "a machine of a site"}}, "cmdline": settleSoon,
		})
		if image != "first" { // the server knows the machine, and reads its file soon
			r.shows(mac, func(m api.Detail) bool { return m.Image == image })
		}
	}
	describe("first")
	r.run("install", "node1")
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk("node1"), updateMedium(r.ctx, t, made["second"].tarball)}})
	s := &shell{ctx: r.ctx, TB: t, m: m, host: "node1", seen: map[string]int{}}
	update := "./cloudlets update http://10.77.0.1 --card " + mac
	comesUp := func(accepted bool, version string) {
		t.Helper()
		s.comesUp("a machine of a site", false, version)
		if accepted { // nothing in the image says so by itself
			s.says("mkdir -p /run/cloudlets; touch /run/cloudlets/running", "", 0)
			s.next(`cloudlets: this system is accepted`)
		}
		s.says("busybox modprobe virtio_net; busybox ip addr add 10.77.0.11/24 dev eth0; busybox ip link set eth0 up; busybox ip addr", `10\.77\.0\.11`, 0)
	}
	nothingStays := func() {
		t.Helper()
		s.says("grep -c newroot /proc/mounts", `(?m)^0\n`, 1)
		s.says("ls -d /.cloudlet/newroot /.cloudlet/program", `No such file`, 1)
	}
	comesUp(false, "first")
	s.says("echo kept >>~/notes; sync", "", 0)
	s.says("./cloudlets update http://10.77.0.1", `give --card MAC`, 1)
	s.says(update+" --cmdline quiet", `--cmdline is for an image`, 2)
	before := r.machine(mac)
	s.says(update, `the server has no install for this machine: .*cloudlets install `+mac, 1)
	s.says("./cloudlets update http://10.77.0.1 --card 52:54:00:00:08:99", `this machine has no network card 52:54:00:00:08:99`, 1)
	s.says("./cloudlets update https://10.77.0.1 --card "+mac, `give --authority FILE`, 2)
	if after := r.machine(mac); after.Stage != before.Stage || !after.Since.Equal(before.Since) {
		t.Errorf("a machine that asked is in stage %s since %s, and was in %s since %s", after.Stage, after.Since, before.Stage, before.Since)
	}

	describe("second")
	r.run("install", "node1", "--wipe")
	s.says(update, `was armed with --wipe, and the system runs from the disk: the machine has to start from the network`, 1)
	nothingStays()
	r.run("install", "node1")
	s.types(update)
	s.next(`streaming second to vda`)
	m.Kill()
	r.run("install", "node1", "--cancel")
	m = r.on(m.Spec)
	s.m, s.seen = m, map[string]int{}
	comesUp(false, "first")
	nothingStays()

	r.run("install", "node1") // and the connection ends by which a person runs the update
	s.types(update + " &")
	s.next(`streaming second to vda`)
	s.types("kill -HUP $!")
	s.next(`the system that runs stays as it is`)
	r.shows(mac, func(m api.Detail) bool { return m.Stage == provision.StageFailed && !m.Armed })
	nothingStays()

	r.run("install", "node1")
	s.says(update+" --restart=false", `wrote slot B of /dev/vda; the next start tries it, and slot A stays until it has proved itself\n.*restart the machine`, 0)
	nothingStays()
	report := r.machine(mac).Report
	if report == nil || report.Slot != "b" || report.Copied == 0 || report.Fetched > report.Copied {
		t.Errorf("the report of the update is %+v", report)
	}
	s.says(update, `the server has no install for this machine`, 1)
	r.run("rollback", "node1") // a person thinks again, before it restarts
	s.types(update)
	s.next(`goes back to slot A of /dev/vda`)
	comesUp(false, "first")

	r.run("install", "node1")
	s.types(update)
	s.next(`wrote slot B of /dev/vda`)
	comesUp(true, "second")
	s.says("cat ~/notes", `what the image has\nkept\n`, 0)
	if found := r.machine(mac); found.Has == nil || found.Has.Image != "second" || found.Has.Slot != "b" || len(found.Outdated) > 0 {
		t.Errorf("after the update the server has %+v, outdated %q", found.Has, found.Outdated)
	}

	r.run("rollback", "node1")
	s.types(update)
	s.next(`goes back to slot A of /dev/vda`)
	comesUp(true, "first")
	s.says("cat ~/notes", `what the image has\nkept\n`, 0)
	if has := r.machine(mac).Has; has == nil || has.Slot != "a" {
		t.Errorf("after the roll-back it has %+v", has)
	}
}

// updateMedium is a disk with the program, an image, and one that is too large.
func updateMedium(ctx context.Context, t *testing.T, image string) bed.Disk {
	t.Helper()
	dir := t.TempDir()
	for from, to := range map[string]string{binary: "cloudlets", image: "second.tar"} {
		if err := os.Link(from, filepath.Join(dir, to)); err != nil {
			command(ctx, t, "cp", from, filepath.Join(dir, to)) // it is on another filesystem
		}
	}
	content := make([]byte, 120<<20)
	if _, err := rand.NewChaCha8([32]byte{9}).Read(content); err != nil {
		t.Fatal(err)
	}
	large := version{filepath.Join(dir, "large.tar"), map[string][32]byte{}}
	if err := large.make(content); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(t.TempDir(), "medium.img")
	command(ctx, t, "mke2fs", "-q", "-t", "ext4", "-d", dir, file, "300M")
	return bed.Disk{File: file, ReadOnly: true}
}

// shell is that of a machine's console.
type shell struct {
	testing.TB
	ctx  context.Context
	m    *bed.Machine
	host string
	seen map[string]int
	said int
}

// next waits for words that are printed again and again. What was waited for before does
// not count.
func (s *shell) next(words string) {
	s.Helper()
	s.seen[words]++
	expect(s.ctx, s.TB, s.m, fmt.Sprintf(`(?s)(%s.*){%d}`, words, s.seen[words]))
}

func (s *shell) types(line string) {
	s.Helper()
	if err := s.m.Console.Type(line + "\n"); err != nil {
		s.Fatal(err)
	}
}

// comesUp waits for a system, which is on trial if it is to be accepted, and goes to the
// medium's files in its shell.
func (s *shell) comesUp(role string, accepted bool, version string) {
	s.Helper()
	s.next(s.host + `: ` + role + ` \(Linux`)
	if accepted {
		s.next(`cloudlets: this system is accepted: its trial has ended well`)
	}
	s.next(s.host + ` login: `)
	s.types("root")
	s.next(`Enter .help. for a list.*?/root # `)
	s.says("head -n 1 /"+versionFile, version+`\n`, 0)
	s.says("mkdir -p /tmp/medium && mount -o ro /dev/vdb /tmp/medium && cd /tmp/medium", "", 0)
}

// says types a line, and wants that to print words and to end with an exit code. What is
// printed between the two is logged.
func (s *shell) says(line, words string, code int) {
	s.Helper()
	s.said++
	s.types(fmt.Sprintf("%s; echo code $? of $((%d+0))", line, s.said)) // the echo of the line itself must not look like its end
	end := regexp.MustCompile(fmt.Sprintf(`code (\d+) of %d\n`, s.said))
	expect(s.ctx, s.TB, s.m, end.String())
	text := s.m.Console.Text()
	found := end.FindStringSubmatchIndex(text)
	got := text[strings.LastIndex(text[:found[0]], "$(("):found[1]]
	if !regexp.MustCompile(words).MatchString(got) || text[found[2]:found[3]] != fmt.Sprint(code) {
		s.Fatalf("%s said %s; want %q, and code %d", line, got, words, code)
	}
}
