package bed_test

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web"
)

// What TestMain makes, once for all tests. The small image has drivers for what
// is virtual, and smallHardware for USB and AHCI too.
var binary, debian, small, smallHardware string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		dir, err := os.MkdirTemp("", "cloudlets-bed-")
		if err != nil {
			return fatal(err)
		}
		defer os.RemoveAll(dir)
		root := filepath.Join("..", "..")
		binary = filepath.Join(dir, "cloudlets")
		if err := bed.Build(context.Background(), root, binary, os.Stderr); err != nil {
			return fatal(err)
		}
		overlay, err := filepath.Abs(filepath.Join(root, "testdata", "debian"))
		if err != nil {
			return fatal(err)
		}
		cache, err := filepath.Abs(filepath.Join(root, ".cache"))
		if err != nil {
			return fatal(err)
		}
		if debian, err = bed.DebianCloudlet(context.Background(), cache, overlay, os.Stderr); err != nil {
			return fatal(err)
		}
		if small, err = smallCloudlet(context.Background(), bed.CloudKernel, bed.AMD64); err != nil {
			return fatal(err)
		}
		if smallHardware, err = smallCloudlet(context.Background(), bed.StandardKernel, bed.AMD64); err != nil {
			return fatal(err)
		}
		return m.Run()
	}())
}

// smallCloudlet is a small cloudlet, from the cache.
func smallCloudlet(ctx context.Context, kernel bed.SmallKernel, arch bed.Arch) (string, error) {
	root, err := filepath.Abs(filepath.Join("..", ".."))
	if err != nil {
		return "", err
	}
	return bed.SmallCloudlet(ctx, filepath.Join(root, ".cache"), filepath.Join(root, "testdata", "small"), kernel, arch, os.Stderr)
}

func fatal(err error) int {
	fmt.Fprintln(os.Stderr, err)
	return 1
}

// TestBIOS installs the small cloudlet on a BIOS machine by switch, once a person has
// confirmed what would be lost, and then Debian over it by reboot: the machine is sent to
// its disk, and boots Debian from there.
func TestBIOS(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"debian-12": debian, "small": small}, asServer)
	const mac = "52:54:00:00:00:01"
	file := object{
		"image": "small", "hostname": "node1", "address": "10.77.0.11", "handover": "switch",
		"disk":   object{"serial": "NODE1"},
		"config": object{"args": object{"role": "a mail server"}},
	}
	r.describe(mac, file)
	disk := r.newDisk("node1")
	if err := writeAt(disk.File, bytes.Repeat([]byte("precious "), 1000)); err != nil {
		t.Fatal(err)
	}
	spec := bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}}
	before := digestOf(t, disk.File)
	r.run("install", "node1", "--wipe", "--confirm")

	m := r.on(spec)
	r.shows(mac, func(m web.Detail) bool { return m.Stage == provision.StageConfirm })
	r.expect(m, "nothing is written until a person confirms this")
	if digestOf(t, disk.File) != before {
		t.Error("the disk was written before anyone confirmed that")
	}
	plan := r.confirmed(mac)
	r.expect(m, `node1: a mail server \(Linux`)
	r.expect(m, `node1 login: `)
	if strings.Count(m.Console.Text(), seaBIOS) != 1 {
		t.Error("a switch went through the firmware a second time")
	}
	r.installed(mac, 1)
	r.reported(mac, plan)
	m.Stop()

	file["image"], file["handover"] = "debian-12", "reboot"
	file["config"] = object{"args": object{"role": "a web server"}}
	r.describe(mac, file)
	r.shows(mac, func(m web.Detail) bool { return len(m.Outdated) > 0 })
	if shown := r.run("machines", "node1"); !strings.Contains(shown, "it has small, and its file names debian-12; its configuration has changed") {
		t.Errorf("the machine has another system than its file names, and is shown as\n%s", shown)
	}
	r.run("install", "node1", "--wipe")
	m = r.on(spec)
	r.expect(m, `node1: a web server \(Linux`)
	r.expect(m, `node1 login: `)
	if strings.Count(m.Console.Text(), seaBIOS) != 2 {
		t.Error("a reboot did not go through the firmware a second time")
	}
	r.wentToDisk(mac, 2)
	r.sshAnswers("10.77.0.11")
	r.saysThatItRuns(mac)
	r.routerAnswered(mac, provision.StageKernel)
}

// confirmed confirms a plan to overwrite a whole disk that was not empty, and returns it.
func (r *rig) confirmed(mac string) web.Plan {
	r.Helper()
	waits := r.machine(mac).Plan
	if waits == nil || !waits.Waits || waits.Disk.Serial != "NODE1" || waits.Lost == "" || len(waits.Layout) == 0 || waits.Fetch == 0 {
		r.Fatalf("the machine waits with the plan %+v", waits)
	}
	shown := r.run("confirm", mac)
	for _, want := range []string{"serial NODE1", waits.Lost, waits.Pack, waits.Layout[0].String(), "confirmed"} {
		if !strings.Contains(shown, want) {
			r.Errorf("a person who confirms is not shown %q:\n%s", want, shown)
		}
	}
	return *waits
}

// reported checks what the daemon knows of an install that has ended: all of its plan was
// fetched, written, and read back.
func (r *rig) reported(mac string, plan web.Plan) {
	r.Helper()
	report := r.machine(mac).Report
	if report == nil {
		r.Fatal("the install has no report")
	}
	var stages []string
	for _, s := range report.Stages {
		stages = append(stages, string(s.Stage))
		if s.Seconds <= 0 {
			r.Errorf("the stage %s took %g seconds", s.Stage, s.Seconds)
		}
	}
	if got := strings.Join(stages, " "); got != "agent confirm partition stream configure verify bootable" {
		r.Errorf("the report has the stages %s", got)
	}
	// A little of each pack frames its content, and need not be fetched.
	if report.Fetched < plan.Fetch-plan.Fetch/100 || report.Written == 0 || report.Files == 0 || !slices.Contains(report.Digests, plan.Pack) {
		r.Errorf("the plan was to fetch %d bytes of %s, and the report is %+v, with %d bytes fetched", plan.Fetch, plan.Pack, *report, report.Fetched)
	}
}

// seaBIOS is what a BIOS machine says when it starts.
const seaBIOS = "SeaBIOS (version"

// TestUEFIProxy installs a UEFI machine by reboot, beside dnsmasq. The small image has
// no program that could configure its network, which the trace tells.
func TestUEFIProxy(t *testing.T) {
	t.Parallel()
	r, mac := installBesideDNSMasq(t, small)
	if trace := r.run("trace", mac); !strings.Contains(trace, `warning: the installed system does not get the "network" of its file`) {
		t.Errorf("the trace does not warn of the network:\n%s", trace)
	}
}

// installBesideDNSMasq installs a machine that is sent to its disk afterwards.
func installBesideDNSMasq(t *testing.T, image string) (r *rig, mac string) {
	r = newRig(t, map[string]string{"image": image}, asProxy)
	r.dnsmasq()
	mac = "52:54:00:00:00:02"
	r.describe(mac, object{
		"image": "image", "hostname": "node2", "install": "once", "handover": "reboot",
		"network": object{"interfaces": []object{{"mac": mac, "dhcp": true}}},
	})
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.UEFI, Disks: []bed.Disk{r.newDisk("node2")}})
	r.expect(m, `node2 login: `)
	if !strings.Contains(m.Console.Text(), "handing over by reboot") {
		t.Error("the machine did not go through a reboot")
	}
	r.routerAnswered(mac, provision.StageLocal)
	r.wentToDisk(mac, 1)
	return r, mac
}

// TestUEFIHTTP installs Debian on a machine that boots by UEFI HTTP Boot alone. It ends
// when Debian answers at its static address, which its systemd-networkd gave to the card
// that has the MAC. The firmware keeps a boot entry.
func TestUEFIHTTP(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"debian-12": debian}, asServer)
	const mac = "52:54:00:00:00:03"
	r.describe(mac, object{
		"image": "debian-12", "hostname": "node3", "install": "once", "bootEntry": true,
		"network": object{"interfaces": []object{{"mac": mac, "addresses": []string{"10.77.0.77/24"}}}},
	})
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.UEFIHTTP, Disks: []bed.Disk{r.newDisk("node3")}})
	r.expect(m, `node3 login: `)
	r.installed(mac, 1)
	if trace := r.run("trace", mac); !strings.Contains(trace, "UEFI HTTP Boot") {
		t.Errorf("the trace does not tell of UEFI HTTP Boot:\n%s", trace)
	}
	r.wantBootEntry(m, "debian-12")
	r.sshAnswers("10.77.0.77")
}

// TestServerKilled kills the server in the middle of an install, as a power
// failure would, and starts it again: the install goes on, ends right, and
// hands over by kexec.
func TestServerKilled(t *testing.T) {
	t.Parallel()
	large := filepath.Join(t.TempDir(), "large.tar") // so that the kill does not miss its middle
	if err := enlarge(small, large, 96<<20); err != nil {
		t.Fatal(err)
	}
	installAcrossKill(t, large)
}

func installAcrossKill(t *testing.T, image string) {
	r := newRig(t, map[string]string{"image": image}, asProxy)
	r.dnsmasq()
	const mac = "52:54:00:00:00:04"
	r.describe(mac, object{"image": "image", "hostname": "node4", "install": "once", "handover": "kexec"})
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{r.newDisk("node4")}})
	r.expect(m, `cloudlets:   [0-9.]+ (kB|MB) of `)
	if err := r.daemon.Kill(); err != nil {
		t.Fatal(err)
	}
	r.expect(m, `connection lost, trying again`)
	if err := r.daemon.Start(r.ctx); err != nil {
		t.Fatal(err)
	}
	r.expect(m, `node4 login: `)
	r.installed(mac, 1)
}

// TestStranger switches on a machine that nobody described: it is recorded,
// its disk stays as it is, and it goes to its next boot device.
func TestStranger(t *testing.T) {
	t.Parallel()
	r := newRig(t, map[string]string{"small": small}, asServer)
	const mac = "52:54:00:00:00:05"
	disk := r.newDisk("stranger")
	before := bytes.Repeat([]byte("precious "), 1000)
	if err := writeAt(disk.File, before); err != nil {
		t.Fatal(err)
	}
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}})
	r.expect(m, `Booting from Hard Disk`)
	state := r.machine(mac)
	if state.Stage != provision.StageStranger || state.Facts["firmware"] != "BIOS" || state.Facts["address"] == "" {
		t.Errorf("the stranger is in stage %s with %v", state.Stage, state.Facts)
	}
	m.Stop()
	after := make([]byte, len(before))
	f, err := os.Open(disk.File)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, err := f.ReadAt(after, 0); err != nil || !bytes.Equal(before, after) {
		t.Errorf("the stranger's disk was written to (%v)", err)
	}
}

func writeAt(file string, data []byte) error {
	f, err := os.OpenFile(file, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	defer f.Close()
	_, err = f.WriteAt(data, 0)
	return err
}
