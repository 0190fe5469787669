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
	"cloudlets/web/api"
)

// What TestMain makes, once for all tests. The small image has drivers for what is
// virtual.
var binary, debian, small string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		if err := openQueue(); err != nil {
			return fatal(err)
		}
		dir, err := os.MkdirTemp("", "cloudlets-bed-")
		if err != nil {
			return fatal(err)
		}
		defer os.RemoveAll(dir)
		depots.dir = dir
		root := filepath.Join("..", "..")
		if binary, err = program(context.Background(), root, dir); err != nil {
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
		return m.Run()
	}())
}

// program is the file of cloudlets that is tested: the one that CLOUDLETS_TEST_PROGRAM
// names, which make has just built, or one that is built in dir.
func program(ctx context.Context, root, dir string) (string, error) {
	if built := os.Getenv("CLOUDLETS_TEST_PROGRAM"); built != "" {
		return filepath.Abs(built)
	}
	file := filepath.Join(dir, "cloudlets")
	return file, bed.Build(ctx, root, file, os.Stderr)
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

// TestBIOS installs Debian on a BIOS machine whose disk is not empty, once a person has
// confirmed what would be lost. It restarts, is sent to its disk, and boots Debian from
// there, which says that it runs.
func TestBIOS(t *testing.T) {
	alongside(t, 128)
	r := newRig(t, map[string]string{"debian-12": debian}, asServer)
	const mac = "52:54:00:00:00:01"
	r.describe(mac, object{
		"image": "debian-12", "hostname": "node1", "address": "10.77.0.11", "handover": "reboot",
		"disk":   object{"serial": "NODE1"},
		"config": object{"args": object{"role": "a web server"}},
	})
	m, plan := r.onceConfirmed(mac)
	r.expect(m, `node1: a web server \(Linux`)
	r.expect(m, `node1 login: `)
	if strings.Count(m.Console.Text(), seaBIOS) != 2 {
		t.Error("a reboot did not go through the firmware a second time")
	}
	r.wentToDisk(mac, 1)
	r.reported(mac, plan)
	r.sshAnswers("10.77.0.11")
	r.saysThatItRuns(mac)
	r.routerAnswered(mac, provision.StageKernel)
}

// onceConfirmed switches a BIOS machine on whose disk, NODE1, has something on it, and
// which is to be installed. It waits until a person has confirmed the plan, and returns
// the machine and that plan.
func (r *rig) onceConfirmed(mac string) (*bed.Machine, api.Plan) {
	r.Helper()
	disk := r.newDisk("node1")
	if err := writeAt(disk.File, bytes.Repeat([]byte("precious "), 1000)); err != nil {
		r.Fatal(err)
	}
	before := digestOf(r.TB, disk.File)
	r.run("install", "node1", "--wipe", "--confirm")
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{disk}})
	r.shows(mac, func(m api.Detail) bool { return m.Stage == provision.StageConfirm })
	r.expect(m, "nothing is written until a person confirms this")
	if digestOf(r.TB, disk.File) != before {
		r.Error("the disk was written before anyone confirmed that")
	}
	return m, r.confirmed(mac)
}

// confirmed confirms a plan to overwrite a whole disk that was not empty, and returns it.
func (r *rig) confirmed(mac string) api.Plan {
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
func (r *rig) reported(mac string, plan api.Plan) {
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

// TestUEFIHTTP installs Debian on a machine that boots by UEFI HTTP Boot alone. It ends
// when Debian answers at its static address, which its systemd-networkd gave to the card
// that has the MAC, and has said that it runs. The firmware keeps a boot entry.
func TestUEFIHTTP(t *testing.T) {
	alongside(t, 110)
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
	r.saysThatItRuns(mac)
}

// TestStranger switches on a machine that nobody described: it is recorded,
// its disk stays as it is, and it goes to its next boot device.
func TestStranger(t *testing.T) {
	alongside(t, 4)
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
