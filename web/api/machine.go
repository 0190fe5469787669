package api

import (
	"time"

	"cloudlets/provision"
)

// Machine is one row of the table of machines.
type Machine struct {
	MAC provision.MAC `json:"mac"`
	// Described says whether a file of the site describes the machine.
	Described bool   `json:"described"`
	Hostname  string `json:"hostname,omitempty"`
	// Tags are those of its file and profiles, sorted.
	Tags []string `json:"tags,omitempty"`
	// Group is the file that describes the machine together with others.
	Group string `json:"group,omitempty"`
	// Profiles are those that its file extends, and those that they extend.
	Profiles []string `json:"profiles,omitempty"`
	// Image is what the machine shall have, Has what it has, and Kept what the other slot
	// of its disk has.
	Image string  `json:"image,omitempty"`
	Has   *System `json:"has,omitempty"`
	Kept  *System `json:"kept,omitempty"`
	// Live is the system that was started in its memory by its latest boot.
	Live *System `json:"live,omitempty"`
	// Outdated says in which ways what it has, or has in memory, differs from what it shall
	// have.
	Outdated []string `json:"outdated,omitempty"`
	// Running is what its system told when it came up.
	Running *provision.Running `json:"running,omitempty"`
	// Quiet is set when the machine was not heard for too long.
	Quiet *provision.Quiet `json:"quiet,omitempty"`
	// Address is the IP address that the machine has, or the one that is
	// reserved for it.
	Address string          `json:"address,omitempty"`
	Stage   provision.Stage `json:"stage"`
	// Step is the place of the machine's stage in [Steps], counted from 1. It
	// is 0 if the stage is not one of them.
	Step int `json:"step"`
	// Since is when the stage began, Seen the time of the last event.
	Since time.Time `json:"since,omitzero"`
	Seen  time.Time `json:"seen,omitzero"`
	// Asked is when an operating system on its disk last got another lease by DHCP, or
	// asked for the first time in its stage.
	Asked time.Time `json:"asked,omitzero"`
	// Installing says whether an agent is installing the machine now.
	Installing bool      `json:"installing"`
	Progress   *Progress `json:"progress,omitempty"`
	Armed      bool      `json:"armed"`
	ArmedBy    string    `json:"armedBy,omitempty"`
	ArmedAt    time.Time `json:"armedAt,omitzero"`
	// Once is what a person ordered that the machine boots next, and only then.
	Once *provision.BootOrder `json:"once,omitempty"`
	// Booted is what its latest script had it boot, if that was no install: the image
	// and its kernel, or its own disk.
	Booted *provision.Boot `json:"booted,omitempty"`
	// Next is what the machine's next boot does.
	Next Next `json:"next"`
	// Plan is what its agent will do once a person has confirmed it.
	Plan *Plan `json:"plan,omitempty"`
	// Failure is why the last install failed.
	Failure string `json:"failure,omitempty"`
	// Problems are what is known to be wrong with its file, its image, or both
	// together, each with its place. With an error among them it is not armed;
	// after its place, a "warning: " keeps nothing from being installed.
	Problems []string `json:"problems,omitempty"`
	// Again says that after this failure the agent tries again by itself.
	Again       bool      `json:"again,omitempty"`
	Installs    int       `json:"installs"`
	InstalledAt time.Time `json:"installedAt,omitzero"`
	// CardOf is the machine to which this stranger's network card seems to belong.
	CardOf provision.MAC     `json:"cardOf,omitempty"`
	Facts  map[string]string `json:"facts,omitempty"`
}

// System is the system that an install put on a machine's disk.
type System struct {
	Image      string `json:"image"`
	EntryPoint string `json:"entrypoint,omitempty"`
	// Pack is the digest of the image's content, "sha256:…".
	Pack string `json:"pack,omitempty"`
	Disk string `json:"disk,omitempty"`
	// Slot is the disk's slot that has the system, "a" or "b"; "" on a disk without.
	Slot string `json:"slot,omitempty"`
	// OnTrial says that this is the system that was put on trial last, whatever came of it.
	OnTrial bool `json:"onTrial,omitempty"`
	// Tells says that the system says by itself when it runs.
	Tells bool      `json:"tells,omitempty"`
	Time  time.Time `json:"time,omitzero"`
}

// Next is what a machine's next boot does, and why.
type Next struct {
	Action provision.Action `json:"action"`
	Reason string           `json:"reason,omitempty"`
}

// Progress is how much of a stage's work is done.
type Progress struct {
	provision.Progress
	Percent int `json:"percent"`
	// Left is the estimated time for the rest, in seconds; 0 if unknown.
	Left int64 `json:"left,omitempty"`
}

// Steps returns the stages of an install, in order.
func Steps() []provision.Stage {
	return []provision.Stage{
		provision.StageFirmware, provision.StageLoader, provision.StageKernel, provision.StageAgent,
		provision.StagePartition, provision.StageStream, provision.StageConfigure, provision.StageVerify,
		provision.StageBootable, provision.StageHandover, provision.StageInstalled, provision.StageRunning,
	}
}
