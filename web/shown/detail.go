package shown

import (
	"maps"
	"slices"
	"time"

	"cloudlets/provision"
	"cloudlets/web/api"
)

// Detail is a machine in detail, with its row. The spec is nil if no file of the site
// describes it.
func Detail(row api.Machine, spec *provision.Spec, state provision.State, now time.Time) api.Detail {
	d := api.Detail{Machine: row, Spec: newSpec(spec), Stages: newSpans(state.Stages, now)}
	d.Plan, d.Report = newPlan(state), state.Report
	if spec != nil {
		if err := provision.CheckDisk(spec, state); err != nil {
			d.NeedsWipe = err.Error()
		}
	}
	return d
}

func newSpec(spec *provision.Spec) *api.Spec {
	if spec == nil {
		return nil
	}
	s := &api.Spec{
		Group: spec.Group, MACs: spec.Cards, UUID: spec.UUID, Image: spec.Image, EntryPoint: spec.EntryPoint, Hostname: spec.Hostname,
		Filesystem: spec.Filesystem, Slots: spec.Slots, Mirror: spec.Mirror, Persistent: spec.Persistent, Handover: spec.Handover, Cmdline: spec.Cmdline,
		MoreAddresses: spec.MoreAddresses, SecureBoot: spec.SecureBoot, HTTPS: spec.HTTPS, Network: spec.Network, BootEntry: spec.BootEntry, Retry: spec.Retry, Confirm: spec.Confirm, Silent: spec.Silent,
		Power: spec.Power.Shown(), CloudInit: spec.CloudInit.Shown(), Rescue: spec.Rescue,
		Args: slices.Sorted(maps.Keys(spec.Config.Args)), Vars: slices.Sorted(maps.Keys(spec.Vars)), Tags: spec.Tags,
	}
	if spec.Rules != nil {
		s.Rules = spec.Rules.Verdicts
	}
	if spec.Address.IsValid() {
		s.Address = spec.Address.String()
	}
	if spec.Boot != nil {
		s.Boot = &spec.Boot.Boot
	}
	if spec.InstallOnce {
		s.Install = "once"
	}
	if spec.Disk != (provision.DiskHints{}) {
		s.Disk = &spec.Disk
	}
	if spec.Quirks != (provision.Quirks{}) {
		s.Quirks = &spec.Quirks
	}
	return s
}

// newPlan returns nil if no agent has told a plan since the last install that ended well.
func newPlan(state provision.State) *api.Plan {
	if state.Proposal == nil {
		return nil
	}
	p := &api.Plan{Proposal: *state.Proposal, Digest: state.Proposal.Digest(), Text: state.Proposal.String()}
	if state.Confirmed == p.Digest {
		p.ConfirmedBy = state.ConfirmedBy
	} else {
		p.Waits = state.Stage == provision.StageConfirm
	}
	return p
}

// waitingPlan is [newPlan] for the table, in which only a plan that waits is shown.
func waitingPlan(state provision.State) *api.Plan {
	if state.Stage != provision.StageConfirm {
		return nil
	}
	return newPlan(state)
}

func newSpans(stages []provision.StageTime, now time.Time) []api.StageSpan {
	spans := make([]api.StageSpan, len(stages))
	for i, st := range stages {
		spans[i] = api.StageSpan{Stage: st.Stage, Start: st.Time}
		switch {
		case i+1 < len(stages):
			spans[i].Seconds = Seconds(stages[i+1].Time.Sub(st.Time))
		case !isEnd(st.Stage):
			spans[i].Seconds, spans[i].Running = Seconds(now.Sub(st.Time)), true
		}
	}
	return spans
}

// Seconds is never negative: a clock may have been set back.
func Seconds(d time.Duration) float64 {
	return max(0, d.Round(time.Millisecond).Seconds())
}

// isEnd says whether a machine stays in a stage until somebody does something.
func isEnd(stage provision.Stage) bool {
	switch stage {
	case provision.StageInstalled, provision.StageRunning, provision.StageLocal, provision.StageFailed, provision.StageStranger, provision.StageInspect, provision.StageNew, provision.StageBooted, provision.StageLive, provision.StageRescue:
		return true
	}
	return false
}
