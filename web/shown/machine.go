// Package shown makes what the API says of a machine: the nouns of package api, of its Spec,
// its State and what is decided next. It asks nobody and decides nothing.
package shown

import (
	"slices"
	"time"

	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

func newSystem(s *provision.System, onTrial string) *api.System {
	if s == nil {
		return nil
	}
	return &api.System{Image: s.Image, EntryPoint: s.EntryPoint, Pack: s.Pack, Disk: s.Disk, Slot: s.Slot, OnTrial: onTrial != "" && s.ID == onTrial, Tells: s.Tells, Time: s.Time}
}

// Machine is the row of a machine, for which decision says what it does next. The spec is nil
// if no file of the site describes it. Outdated and Problems, which do not follow from the two,
// are left empty.
func Machine(spec *provision.Spec, state provision.State, decision provision.Decision) api.Machine {
	names := roster.NamesOf(spec, state)
	row := api.Machine{
		MAC: state.MAC, Described: spec != nil,
		Hostname: names.Hostname, Image: names.Image, Address: names.Address,
		Has: newSystem(state.Has, state.OnTrial), Kept: newSystem(state.Kept, state.OnTrial), Live: newSystem(state.Live, ""), Running: state.Running, Quiet: state.Quiet,
		Stage: state.Stage, Step: step(state), Since: state.Since, Seen: state.Seen, Asked: state.Asked,
		Installing: state.Installing(), Progress: Progress(state),
		Armed: state.Armed, ArmedBy: state.ArmedBy, ArmedAt: state.ArmedAt,
		Next:    api.Next{Action: decision.Action, Reason: decision.Reason},
		Plan:    waitingPlan(state),
		Failure: state.Failure, Again: state.Again, Installs: state.Installs, InstalledAt: state.InstalledAt, Facts: state.Facts, Once: state.Once,
	}
	if spec == nil {
		row.CardOf = provision.MAC(state.Facts["cardOf"])
	} else {
		row.Group, row.Profiles, row.Tags = spec.Group, spec.Profiles, spec.Tags
	}
	if state.Booted != nil { // its ID is for the server alone
		row.Booted = &state.Booted.Boot
	}
	return row
}

// Progress is that of an install, or nil if there is none. It has no rate, and so no time
// left, for a machine that is quiet.
func Progress(state provision.State) *api.Progress {
	if state.Progress == nil {
		return nil
	}
	p := *state.Progress
	if state.Quiet != nil {
		p.Rate = 0
	}
	return &api.Progress{Progress: p, Percent: p.Percent(), Left: int64(p.Left() / time.Second)}
}

// step returns the place of a machine's stage in [api.Steps], counted from 1, or 0.
// For a machine that failed it is the stage in which it failed.
func step(state provision.State) int {
	stage := state.Stage
	if n := len(state.Stages); stage == provision.StageFailed && n >= 2 {
		stage = state.Stages[n-2].Stage
	}
	if stage == provision.StageConfirm { // most installs do not wait
		stage = provision.StageAgent
	}
	return slices.Index(api.Steps(), stage) + 1
}
