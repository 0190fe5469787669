package bed_test

import (
	"context"
	"encoding/json"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// patience bounds a boot with its install. Firmware is emulated here, on
// machines that may be slow and busy.
const patience = 25 * time.Minute

// diskSize leaves room for the Debian root twice over.
const diskSize = 3 << 30

// broken is what no console may show.
var broken = []*regexp.Regexp{
	regexp.MustCompile(`cloudlets: FAILED: .*`),
	regexp.MustCompile(`Kernel panic.*`),
	regexp.MustCompile(`Attempted to kill init`),
}

// rig is a network with a daemon, and the machines that a test switches on.
type rig struct {
	testing.TB
	ctx     context.Context
	dir     string
	network *bed.Network
	daemon  *bed.Daemon
}

// asServer and asProxy are how a daemon takes part in DHCP.
var (
	asServer = []string{"--dhcp", "10.77.0.100-10.77.0.200"}
	asProxy  = []string{"--dhcp", "proxy"}
)

// newRig starts a daemon whose site has some images: tarballs, by the name
// that machines' files use.
func newRig(t testing.TB, images map[string]string, args []string) *rig {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	dir := t.TempDir()
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	for name, image := range images {
		if err := bed.NewSite(filepath.Join(dir, "site"), image, name); err != nil {
			t.Fatal(err)
		}
		if err := giveDepot(filepath.Join(dir, "state", "depot"), name, image); err != nil {
			t.Fatal(err)
		}
	}
	daemon, err := serve(ctx, network, dir, args...)
	if err != nil {
		t.Fatal(err)
	}
	r := &rig{TB: t, ctx: ctx, dir: dir, network: network, daemon: daemon}
	t.Cleanup(func() {
		if err := r.daemon.Stop(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("log of the daemon:\n%s", r.daemon.Log())
		}
	})
	return r
}

// serve starts a daemon. What a depot records of an image, it records under its path, so the
// site has the same path for each: that from the folder in which the daemon is.
func serve(ctx context.Context, network *bed.Network, dir string, args ...string) (*bed.Daemon, error) {
	return bed.Serve(ctx, network, binary, dir, append([]string{"--site", "/proc/self/cwd/site"}, args...)...)
}

// object is a machine's file.
type object = map[string]any

func (r *rig) describe(mac string, file object) {
	r.Helper()
	if err := r.daemon.WriteMachine(mac, file); err != nil {
		r.Fatal(err)
	}
}

// configure gives the daemon its settings, cloudlets.json, which it reads when it starts.
func (r *rig) configure(settings object) {
	r.Helper()
	text, err := json.Marshal(settings)
	if err != nil {
		r.Fatal(err)
	}
	if err := r.daemon.Stop(); err != nil {
		r.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(r.daemon.Site, "cloudlets.json"), text, 0o600); err != nil {
		r.Fatal(err)
	}
	if err := r.daemon.Start(r.ctx); err != nil {
		r.Fatal(err)
	}
}

// authorities is a file with the site's authority, as firmware takes it.
func (r *rig) authorities() string {
	r.Helper()
	file := filepath.Join(r.dir, "ca.esl")
	r.run("ca", "--format", "esl", "--out", file)
	return file
}

// newDisk makes a blank disk.
func (r *rig) newDisk(name string) bed.Disk {
	r.Helper()
	return r.newDiskOf(name, diskSize)
}

// newDiskOf makes a blank disk of so many bytes.
func (r *rig) newDiskOf(name string, size int64) bed.Disk {
	r.Helper()
	d := bed.Disk{File: filepath.Join(r.dir, name+".img"), Serial: strings.ToUpper(name)}
	if err := bed.NewDisk(d.File, size); err != nil {
		r.Fatal(err)
	}
	return d
}

// on switches a machine on.
func (r *rig) on(spec bed.Spec) *bed.Machine {
	r.Helper()
	m, err := bed.Start(r.ctx, r.network, r.dir, spec)
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(func() {
		m.Stop()
		logCost(r, m)
		if r.Failed() {
			trace, _ := r.daemon.Run(context.Background(), "trace", spec.MAC)
			r.Logf("console of %s:\n%s\ntrace:\n%s", spec.MAC, m.Console.Tail(), trace)
		}
	})
	return m
}

// expect waits for a machine to print something.
func (r *rig) expect(m *bed.Machine, want string) {
	r.Helper()
	expect(r.ctx, r.TB, m, want)
}

func expect(ctx context.Context, t testing.TB, m *bed.Machine, want string) {
	t.Helper()
	start := time.Now()
	if _, err := m.Console.Expect(ctx, regexp.MustCompile(want), broken...); err != nil {
		t.Fatal(err)
	}
	t.Logf("%s %s printed %q after %s", m.Spec.Firmware, m.Spec.MAC, want, time.Since(start).Round(time.Second))
}

// logCost logs what a machine that is off has cost. Time that passed says little on a
// computer that has other things to do.
func logCost(t testing.TB, m *bed.Machine) {
	t.Helper()
	t.Logf("%s %s took %s of processor time", m.Spec.Firmware, m.Spec.MAC, m.ProcessorTime().Round(time.Second))
}

// machine asks the daemon about a machine.
func (r *rig) machine(mac string) api.Detail {
	r.Helper()
	m, err := r.ask(mac)
	if err != nil {
		r.Fatal(err)
	}
	return m
}

func (r *rig) ask(mac string) (m api.Detail, err error) {
	text, err := r.daemon.Run(r.ctx, "machines", mac, "--json")
	if err == nil {
		err = json.Unmarshal([]byte(text), &m)
	}
	return m, err
}

func (r *rig) run(args ...string) string {
	r.Helper()
	out, err := r.daemon.Run(r.ctx, args...)
	if err != nil {
		r.Fatal(err)
	}
	return out
}

// installed checks what the daemon knows of a machine that was installed.
func (r *rig) installed(mac string, times int) {
	r.Helper()
	m := r.machine(mac)
	if m.Stage != provision.StageInstalled && m.Stage != provision.StageRunning || m.Installs != times || m.Armed || m.Next.Action != provision.ActionLocal || m.Failure != "" {
		r.Errorf("after install %d the machine is in stage %s with %d installs, armed %v, next %s, failure %q", times, m.Stage, m.Installs, m.Armed, m.Next.Action, m.Failure)
	}
}

// wentToDisk checks what the daemon knows of a machine that has asked the network again
// since it was installed.
func (r *rig) wentToDisk(mac string, installs int) {
	r.Helper()
	m := r.machine(mac)
	if m.Stage != provision.StageLocal && m.Stage != provision.StageRunning || m.Installs != installs || m.Armed || m.Failure != "" {
		r.Errorf("an installed machine that asked the network again is in stage %s with %d installs, armed %t, failure %q", m.Stage, m.Installs, m.Armed, m.Failure)
	}
}

// saysThatItRuns waits until the installed system has said that it runs, with its own
// program that starts services.
func (r *rig) saysThatItRuns(mac string) {
	r.Helper()
	r.shows(mac, func(m api.Detail) bool { return m.Running != nil })
	if m := r.machine(mac); m.Stage != provision.StageRunning || m.Quiet != nil || len(m.Outdated) > 0 {
		r.Errorf("it runs, and is in stage %s, quiet %v, outdated %q", m.Stage, m.Quiet, m.Outdated)
	}
}

// shows waits until the daemon shows a machine as it shall be. It does not know the machine
// before it has read its file.
func (r *rig) shows(mac string, as func(api.Detail) bool) {
	r.Helper()
	for {
		if m, err := r.ask(mac); err == nil && as(m) {
			return
		}
		select {
		case <-r.ctx.Done():
			r.Fatalf("the daemon does not show %s as it shall be:\n%s\n%s", mac, r.run("machines", mac), r.run("trace", mac))
		case <-time.After(time.Second):
		}
	}
}

// sshAnswers waits until the installed system answers at an address.
func (r *rig) sshAnswers(address string) {
	r.Helper()
	for {
		read := "exec 3<>/dev/tcp/" + address + "/22 && head -c 8 <&3"
		out, _ := r.network.Command(r.ctx, "timeout", "5", "bash", "-c", read).Output()
		if string(out) == "SSH-2.0-" {
			return
		}
		select {
		case <-r.ctx.Done():
			r.Fatalf("no SSH server answers at %s", address)
		case <-time.After(time.Second):
		}
	}
}

// dnsmasq is the network's own DHCP server, on a host of its own.
func (r *rig) dnsmasq() {
	r.Helper()
	host, done, err := r.network.Leg(r.ctx, "52:54:00:00:00:fe")
	if err != nil {
		r.Fatal(err)
	}
	r.Cleanup(done)
	if out, err := host.Command(r.ctx, "ip", "addr", "add", "10.77.0.2/24", "dev", "eth0").CombinedOutput(); err != nil {
		r.Fatalf("%v: %s", err, out)
	}
	cmd := host.Command(context.WithoutCancel(r.ctx), "dnsmasq", "--keep-in-foreground", "--conf-file=/dev/null", "--port=0", "--interface=eth0",
		"--dhcp-range=10.77.0.50,10.77.0.90,255.255.255.0,1h", "--dhcp-leasefile="+filepath.Join(r.dir, "dnsmasq.leases"), "--pid-file=", "--user=root")
	if err := cmd.Start(); err != nil {
		r.Fatalf("start dnsmasq: %v (Debian package dnsmasq-base)", err)
	}
	r.Cleanup(func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
	})
}

func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer in.Close()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	defer out.Close()
	_, err = io.Copy(out, in)
	return err
}
