//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// errBurns is why a machine fails that shall.
var errBurns = errors.New("the disk burns")

// rolloutLook is how often the simulation looks whose turn has come.
const rolloutLook = 200 * time.Millisecond

// rollOut installs all machines anew, in waves, and switches each on in its turn. With
// --kill the first server, which carries the roll-out on, is killed after the first wave.
func (r *result) rollOut(ctx context.Context, o *options, b *bed) error {
	if o.Rollout == 0 {
		return nil
	}
	a, err := openAir(bridge, o.Loss/100)
	if err != nil {
		return err
	}
	defer a.file.Close()
	order := api.RolloutOrder{By: "fleetsim", AtATime: o.Rollout, StopAfter: 1, Wipe: true}
	for n := range o.Machines {
		order.Machines = append(order.Machines, macOf(n).String())
	}
	begun, err := b.servers[0].client.BeginRollout(ctx, order)
	if err != nil {
		return err
	}
	running, background := context.WithCancel(ctx)
	group, running := errgroup.WithContext(running)
	group.Go(func() error { return a.run(running) })
	r.rollout, err = r.carry(running, o, b, a, begun)
	background()
	if ended := group.Wait(); ended != nil && !errors.Is(ended, context.Canceled) {
		err = errors.Join(err, ended)
	}
	if err == nil {
		r.rolled, err = b.servers[0].client.Machines(ctx, roster.Query{}, "installs", "has", "armed")
	}
	return err
}

// carry switches machines on until the roll-out ends or is stopped, and all is quiet.
func (r *result) carry(ctx context.Context, o *options, b *bed, a *air, now api.Rollout) (api.Rollout, error) {
	var machines sync.WaitGroup
	defer machines.Wait()
	on := make(map[provision.MAC]bool)
	for looked := 0; now.Phase == rollout.Running || now.Armed > 0; looked++ {
		for n, m := range now.Machines {
			if m.Phase != rollout.Armed || on[m.MAC] {
				continue
			}
			on[m.MAC] = true
			machine := &machine{number: n, mac: macOf(n), firmware: o.mix.of(n), air: a, rate: o.rate, notes: &r.notes, burns: n+1 == o.RolloutFails}
			machines.Go(func() {
				if err := machine.install(ctx); err != nil && !errors.Is(err, errBurns) {
					r.notes.count("roll-out: " + kindOf(err))
				}
			})
		}
		if o.Kill > 0 && now.Good >= o.Rollout && r.killed == 0 {
			r.killed++
			r.notes.count("killed: the server that carries the roll-out on")
			b.servers[0].end(syscall.SIGKILL)
			if err := b.servers[0].start(); err != nil {
				return now, err
			}
		}
		if err := pause.For(ctx, rolloutLook); err != nil {
			return now, fmt.Errorf("the roll-out did not end: %w", err)
		}
		if seen, err := b.servers[looked%len(b.servers)].client.Rollout(ctx, now.Name); err == nil {
			now = seen // otherwise the server was killed just now
		}
	}
	return now, nil
}

// checkRollout is an error unless each machine has what the roll-out should have brought
// it, or left it. Machines were installed once before.
func checkRollout(r api.Rollout, machines []api.Machine, o *options) error {
	installs := make(map[provision.MAC]api.Machine)
	for _, m := range machines {
		installs[m.MAC] = m
	}
	wave := 0
	if o.RolloutFails > 0 {
		wave = (o.RolloutFails-1)/o.Rollout + 1
	}
	var errs []error
	for n, m := range r.Machines {
		want, times, has := rollout.Good, 2, true
		switch {
		case n+1 == o.RolloutFails:
			want, times, has = rollout.Bad, 1, false
		case wave > 0 && m.Wave > wave:
			want, times = rollout.Waiting, 1
		}
		got := installs[m.MAC]
		if m.Phase != want || got.Installs != times || (got.Has != nil) != has || got.Armed != (want == rollout.Bad) {
			errs = append(errs, fmt.Errorf("%s of wave %d is %s (%s), was installed %d times, has a system: %t, is armed: %t", m.MAC, m.Wave, m.Phase, m.Why, got.Installs, got.Has != nil, got.Armed))
		}
	}
	if phase := map[bool]rollout.Phase{true: rollout.Stopped, false: rollout.Ended}[wave > 0 && wave < r.Waves]; r.Phase != phase || len(r.Machines) != o.Machines {
		errs = append(errs, fmt.Errorf("the roll-out of %d machines is %s: %s", len(r.Machines), r.Phase, r.Why))
	}
	return errors.Join(errs...)
}
