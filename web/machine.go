package web

import (
	"slices"
	"time"

	"cloudlets/provision"
)

// Machine is one row of the table of machines.
type Machine struct {
	MAC provision.MAC `json:"mac"`
	// Described says that a file of the site describes the machine.
	Described bool   `json:"described"`
	Hostname  string `json:"hostname,omitempty"`
	Image     string `json:"image,omitempty"`
	// Address is the IP address that the machine has, or the one that is
	// reserved for it.
	Address string          `json:"address,omitempty"`
	Stage   provision.Stage `json:"stage"`
	// Step is the place in [Steps] that the machine has come to, counted
	// from 1; 0 where it is not on that way.
	Step int `json:"step"`
	// Since is when the stage began, Seen the time of the last event.
	Since time.Time `json:"since,omitzero"`
	Seen  time.Time `json:"seen,omitzero"`
	// Installing says that an agent is at work.
	Installing bool      `json:"installing"`
	Progress   *Progress `json:"progress,omitempty"`
	Armed      bool      `json:"armed"`
	ArmedBy    string    `json:"armedBy,omitempty"`
	ArmedAt    time.Time `json:"armedAt,omitzero"`
	// Next is what the machine's next boot does.
	Next Next `json:"next"`
	// Failure is why the last install failed.
	Failure     string            `json:"failure,omitempty"`
	Installs    int               `json:"installs"`
	InstalledAt time.Time         `json:"installedAt,omitzero"`
	Facts       map[string]string `json:"facts,omitempty"`
}

// Next is what a machine's next boot does, and why.
type Next struct {
	Action provision.Action `json:"action"`
	Reason string           `json:"reason"`
}

// Progress is how far a stage's work is.
type Progress struct {
	provision.Progress
	Percent int `json:"percent"`
	// Left is the time that the rest takes, in seconds; 0 where unknown.
	Left int64 `json:"left,omitempty"`
}

// Steps are the stages of an install in their order.
func Steps() []provision.Stage {
	return []provision.Stage{
		provision.StageFirmware, provision.StageLoader, provision.StageKernel, provision.StageAgent,
		provision.StagePartition, provision.StageStream, provision.StageConfigure, provision.StageVerify,
		provision.StageBootable, provision.StageHandover, provision.StageInstalled,
	}
}

// newMachine is the row of a machine. The spec is nil where no file of the
// site describes it.
func newMachine(spec *provision.Spec, state provision.State) Machine {
	decision := provision.Decide(spec, state)
	m := Machine{
		MAC: state.MAC, Described: spec != nil,
		Hostname: state.Facts["hostname"], Image: state.Facts["image"], Address: state.Facts["address"],
		Stage: state.Stage, Step: step(state), Since: state.Since, Seen: state.Seen,
		Installing: state.Installing(), Progress: newProgress(state.Progress),
		Armed: state.Armed, ArmedBy: state.ArmedBy, ArmedAt: state.ArmedAt,
		Next:    Next{decision.Action, decision.Reason},
		Failure: state.Failure, Installs: state.Installs, InstalledAt: state.InstalledAt, Facts: state.Facts,
	}
	if spec != nil {
		m.describe(spec)
	}
	return m
}

// describe takes over what the machine's file says of it.
func (m *Machine) describe(spec *provision.Spec) {
	m.Image = spec.Image
	if spec.Hostname != "" {
		m.Hostname = spec.Hostname
	}
	if m.Address == "" && spec.Address.IsValid() {
		m.Address = spec.Address.String()
	}
}

func newProgress(p *provision.Progress) *Progress {
	if p == nil {
		return nil
	}
	return &Progress{Progress: *p, Percent: p.Percent(), Left: int64(p.Left() / time.Second)}
}

// step is the place of a stage in [Steps]. A machine that failed is where it
// was when it did.
func step(state provision.State) int {
	stage := state.Stage
	if n := len(state.Stages); stage == provision.StageFailed && n >= 2 {
		stage = state.Stages[n-2].Stage
	}
	return slices.Index(Steps(), stage) + 1
}
