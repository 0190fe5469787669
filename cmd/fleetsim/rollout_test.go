//go:build linux

package main

import (
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/testdata/etcd"
	"cloudlets/web/api"
)

// TestRollouts: three servers share a roll-out. TestLongRollouts has one server.
func TestRollouts(t *testing.T) {
	t.Parallel()
	rollsOut(t, "--servers", "3", "--etcd", etcd.Program(t))
}

// rollsOut has two dozen machines installed anew in waves of four, of which the tenth fails:
// no machine after its wave is touched. The server that carries it on is killed in the middle.
func rollsOut(t *testing.T, more ...string) {
	t.Helper()
	var result struct {
		Rollout api.Rollout
		Counts  map[string]int
	}
	said, err := simulate(t, &result, append([]string{"--machines", "24", "--over", "2s", "--rollout", "4", "--rollout-fails", "10", "--kill", "1"}, more...)...)
	r := result.Rollout
	if err != nil || r.Phase != rollout.Stopped || r.Good != 11 || r.Bad != 1 || r.Waiting != 12 || result.Counts["killed: the server that carries the roll-out on"] != 1 {
		t.Errorf("%v\n%s", err, said)
	}
}

func TestCheckRollout(t *testing.T) {
	o := &options{Machines: 6, Rollout: 2, RolloutFails: 3}
	whole := func() (api.Rollout, []api.Machine) {
		r, machines := api.Rollout{Phase: rollout.Stopped, Waves: 3}, []api.Machine(nil)
		for n, phase := range []rollout.Phase{rollout.Good, rollout.Good, rollout.Bad, rollout.Good, rollout.Waiting, rollout.Waiting} {
			mac := provision.MAC(macOf(n).String())
			m := api.Machine{MAC: mac, Installs: 1, Has: &api.System{}}
			switch phase {
			case rollout.Good:
				m.Installs = 2
			case rollout.Bad:
				m.Has, m.Armed = nil, true
			}
			r.Machines = append(r.Machines, api.RolloutMachine{MAC: mac, Wave: n/2 + 1, Phase: phase})
			machines = append(machines, m)
		}
		return r, machines
	}
	if r, machines := whole(); checkRollout(r, machines, o) != nil {
		t.Error(checkRollout(r, machines, o))
	}
	for what, change := range map[string]func(*api.Rollout, []api.Machine){
		"it did not stop":         func(r *api.Rollout, _ []api.Machine) { r.Phase = rollout.Ended },
		"one too few":             func(r *api.Rollout, _ []api.Machine) { r.Machines = r.Machines[:5] },
		"one was touched":         func(_ *api.Rollout, m []api.Machine) { m[5].Installs = 2 },
		"one was armed":           func(_ *api.Rollout, m []api.Machine) { m[4].Armed = true },
		"one was installed twice": func(_ *api.Rollout, m []api.Machine) { m[0].Installs = 3 },
		"one lost its system":     func(_ *api.Rollout, m []api.Machine) { m[4].Has = nil },
		"the bad one is good":     func(r *api.Rollout, _ []api.Machine) { r.Machines[2].Phase = rollout.Good },
	} {
		r, machines := whole()
		change(&r, machines)
		if checkRollout(r, machines, o) == nil {
			t.Errorf("%s is all right", what)
		}
	}
}
