//go:build long

package bed_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/testdata/etcd"
	"cloudlets/web/api"
)

// fleet is three hosts of one network, each with a daemon and a member of etcd.
type fleet struct {
	*rig
	cluster *etcd.Cluster
	daemons []*bed.Daemon
}

func newFleet(t *testing.T, image string) *fleet {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	f := &fleet{rig: &rig{TB: t, ctx: ctx, dir: t.TempDir(), network: network}}
	var hosts []etcd.Host
	var legs []*bed.Network
	for i := range 3 {
		host, done, err := network.Leg(ctx, fmt.Sprintf("52:54:00:00:00:e%d", i))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(done)
		addr := fmt.Sprintf("10.77.0.%d", 11+i)
		if out, err := host.Command(ctx, "ip", "addr", "add", addr+"/24", "dev", "eth0").CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		hosts = append(hosts, etcd.Host{Addr: addr, Enter: []string{"ip", "netns", "exec", host.Name}})
		legs = append(legs, host)
	}
	f.cluster = etcd.StartOn(t, hosts...)
	for i, leg := range legs {
		f.serve(leg, filepath.Join(f.dir, fmt.Sprint("server", i)), image)
	}
	f.daemon = f.daemons[0]
	return f
}

// serve starts a daemon with a copy of the site.
func (f *fleet) serve(host *bed.Network, dir, image string) {
	f.Helper()
	site := filepath.Join(dir, "site")
	if err := bed.NewSite(site, image, "small"); err != nil {
		f.Fatal(err)
	}
	text, err := json.Marshal(object{"store": object{"etcd": f.cluster.Endpoints()}})
	if err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(site, "cloudlets.json"), text, 0o644); err != nil {
		f.Fatal(err)
	}
	d, err := bed.Serve(f.ctx, host, binary, dir, append([]string{"--interface", "eth0"}, asServer...)...)
	if err != nil {
		f.Fatal(err)
	}
	f.daemons = append(f.daemons, d)
	f.Cleanup(func() {
		if err := d.Stop(); err != nil {
			f.Error(err)
		}
		if f.Failed() {
			f.Logf("log of %s:\n%s", dir, d.Log())
		}
	})
}

// servers waits until a daemon knows of n servers.
func (f *fleet) servers(d *bed.Daemon, n int) {
	f.Helper()
	for {
		text, err := d.Run(f.ctx, "servers", "--json")
		var list api.Servers
		if err == nil {
			err = json.Unmarshal([]byte(text), &list)
		}
		if err != nil {
			f.Fatal(err)
		}
		if len(list.Servers) == n {
			return
		}
		select {
		case <-f.ctx.Done():
			f.Fatalf("%d servers, want %d", len(list.Servers), n)
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// claimedFrom waits until one of the daemons has given an agent its plan.
func (f *fleet) claimedFrom() int {
	f.Helper()
	for {
		for i, d := range f.daemons {
			if strings.Contains(d.Log(), "claimed its plan") {
				return i
			}
		}
		select {
		case <-f.ctx.Done():
			f.Fatal("no agent claimed a plan")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// TestLongThreeServers: a machine is installed by three servers that share a store.
// The one that gave it its plan is killed, and with it a member of etcd. The
// others go on, and all of them know the whole story.
func TestLongThreeServers(t *testing.T) {
	t.Parallel()
	f := newFleet(t, small)
	for _, d := range f.daemons {
		f.servers(d, 3)
	}
	const mac = "52:54:00:00:09:01"
	for _, d := range f.daemons {
		if err := d.WriteMachine(mac, object{"image": "small", "hostname": "three"}); err != nil {
			t.Fatal(err)
		}
	}
	f.waitForFile(mac)
	f.run("install", mac)
	m := f.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{f.newDisk("three")}})
	dead := f.claimedFrom()
	if err := f.daemons[dead].Kill(); err != nil {
		t.Fatal(err)
	}
	f.cluster.Kill(dead)
	f.daemon = f.daemons[(dead+1)%3]
	f.expect(m, `going on with another server`)
	expectLogin(f, m)
	f.installed(mac, 1)
	f.servers(f.daemon, 2)

	f.cluster.Restart(dead)
	if err := f.daemons[dead].Start(f.ctx); err != nil {
		t.Fatal(err)
	}
	f.daemon = f.daemons[dead]
	f.servers(f.daemon, 3)
	f.installed(mac, 1)
	story := f.run("trace", mac)
	for _, want := range []string{"install of small armed", "claimed its plan", "is complete, verified and bootable"} {
		if strings.Count(story, want) != 1 {
			t.Errorf("the trace does not say %q once:\n%s", want, story)
		}
	}
}

// waitForFile waits until all servers have read a machine's file.
func (f *fleet) waitForFile(mac string) {
	f.Helper()
	for _, d := range f.daemons {
		for {
			text, err := d.Run(f.ctx, "machines", mac, "--json")
			var detail api.Detail
			if err == nil && json.Unmarshal([]byte(text), &detail) == nil && detail.Image == "small" {
				break
			}
			select {
			case <-f.ctx.Done():
				f.Fatalf("a server does not know %s: %v", mac, err)
			case <-time.After(100 * time.Millisecond):
			}
		}
	}
}

func expectLogin(f *fleet, m *bed.Machine) {
	f.Helper()
	f.expect(m, `three login: `)
	if d := f.machine(m.Spec.MAC); d.Stage != provision.StageInstalled {
		f.Errorf("the machine is in stage %s", d.Stage)
	}
}
