//go:build long

package bed_test

import (
	"fmt"
	"math/rand/v2"
	"testing"

	"cloudlets/testdata/bed"
	"cloudlets/testdata/powercut"
	"cloudlets/web/api"
)

// TestLongPowerCutsForReal ends a machine in the middle of an update, ten times: QEMU is
// killed while its disk gets a request. The disk loses what it may lose, and the machine
// starts from it. The server that armed the update sees only that it is not made, and the
// machine's next boot from the network begins it anew.
func TestLongPowerCutsForReal(t *testing.T) {
	t.Parallel()
	const mac, times = "52:54:00:00:08:05", 10
	seed := environment(t, "CLOUDLETS_TEST_SEED", rand.Uint64()%1e6)
	t.Logf("CLOUDLETS_TEST_SEED=%d", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	made := newVersions(t, "first", "second")
	r := newRig(t, made.tarballs(), asServer)
	describe := func(name string) {
		r.describe(mac, object{
			"image": name, "hostname": "node1", "address": "10.77.0.11", "slots": 2, "persistent": "96MiB",
			"cmdline": "cloudlets.trial.patience=30 cloudlets.trial.settle=2", "config": object{"args": object{"role": name}},
		})
		r.shows(mac, func(m api.Detail) bool { return len(m.Outdated) > 0 || m.Installs == 0 })
	}
	describe("first")
	r.run("install", "node1")
	first := newTape(t, made)
	m := r.on(bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{first.serve(t)}})
	r.expect(m, `node1: first \(Linux(?s:.*)node1 login: `)
	about := first.disk.Requests() // an update has about as many
	logIn(r.ctx, t, m)
	enter(r, m, "echo what was added >>notes; sync; cat notes")
	r.expect(m, `what the image has\r?\nwhat was added`)
	enter(r, m, "poweroff")
	select {
	case <-m.Done():
	case <-r.ctx.Done():
		t.Fatalf("the machine did not go off; its console ends:\n%s", m.Console.Tail())
	}
	old := first.restore(t, scratch(t), powercut.Cut{At: first.disk.Requests()}, 0, diskSize).Name()
	describe("second")
	for i := range times {
		t.Run(fmt.Sprint(i), func(t *testing.T) {
			if !r.machine(mac).Armed {
				r.run("install", "node1")
			}
			p := newTapeOn(t, made, old)
			p.layout(t)
			cut := p.disk.CutAt(random.IntN(about + about/4))
			m, err := bed.Start(r.ctx, r.network, r.dir, bed.Spec{MAC: mac, Firmware: bed.BIOS, Disks: []bed.Disk{p.serve(t)}})
			if err != nil {
				t.Fatal(err)
			}
			defer m.Stop()
			killAt(r.ctx, t, m, cut, `node1: second \(Linux`)
			c := powercut.Cut{At: p.disk.Requests() - 1, Seed: random.Uint64() % 1e6}
			t.Logf("the machine was ended at request %s of an update", c)
			file := p.restore(t, scratch(t), c, 0, diskSize).Name()
			keepIfFailed(t, file)
			made.starts(t, file, bed.BIOS, []string{"first", "second"}, random)
		})
	}
}
