package provision

import (
	"fmt"
	"time"
)

// Quiet says that a machine has been silent for longer than its stage takes.
type Quiet struct {
	// Since is when it was last heard.
	Since time.Time `json:"since"`
	// Cause is the usual reason, and what to do.
	Cause string `json:"cause"`
}

// Patience is how long a machine may be silent in a stage.
type Patience struct {
	Stage Stage
	// Limit is counted from the machine's latest sign of life.
	Limit time.Duration
	// Cause is the usual reason for a longer silence, and what to do.
	Cause string
}

// Patiences are those of all stages in which a machine can be quiet, in the order of
// an install. In other stages a machine waits for a person, or does what it likes.
func Patiences() []Patience {
	const console = "look at the machine's console"
	return []Patience{
		{StageFirmware, 3 * time.Minute, "its firmware got an answer by DHCP and fetched nothing: a firewall or a relay keeps TFTP or HTTP from this server, another DHCP server told it another boot file, or it was switched off"},
		{StageLoader, 3 * time.Minute, "it fetched a boot loader and asked for nothing more: the loader does not know its network card, or the card lost its link; " + console},
		{StageKernel, 5 * time.Minute, "it fetched kernel and RAM disk and did not call: the image lacks the driver of its network card, or its kernel stopped; " + console},
		{StageLive, 10 * time.Minute, "a system was started in its memory, and has not said that it runs: it does not start, or cannot reach this server; " + console},
		{StageAgent, 5 * time.Minute, "its installer claimed a plan and went silent: the machine was switched off, or its network broke off; " + console},
		{StageConfirm, 5 * time.Minute, "its installer waited for a person to confirm its plan and went silent: the machine was switched off, or its network broke off; " + console},
		{StagePartition, 10 * time.Minute, "its installer went silent while it made filesystems: the disk does not answer, or the machine was switched off; " + console},
		{StageStream, 5 * time.Minute, "its installer went silent while it wrote files: the machine was switched off, its network broke off, or its disk does not answer; " + console},
		{StageConfigure, 10 * time.Minute, "its installer went silent while it wrote configuration and boot loaders: the machine was switched off, or its disk does not answer; " + console},
		{StageVerify, 10 * time.Minute, "its installer went silent while it read the disk back: the machine was switched off, or its disk does not answer; " + console},
		{StageBootable, 5 * time.Minute, "its installer went silent at its last write: the machine was switched off, or its disk does not answer; " + console},
		{StageHandover, 5 * time.Minute, "its installer went silent as it started the new system; " + console},
		{StageInstalled, 15 * time.Minute, "it was installed, and its new system has not said that it runs: it does not start, or cannot reach this server; " + console},
		{StageFailed, 10 * time.Minute, "its installer was to try again by itself, and did not: the machine was switched off, or its network broke off; " + console},
	}
}

var patienceOf = func() map[Stage]Patience {
	all := make(map[Stage]Patience)
	for _, p := range Patiences() {
		all[p.Stage] = p
	}
	return all
}()

// QuietFrom returns when a machine becomes quiet, if it is not heard before. ok is false
// if it never does, or is quiet already.
func (s State) QuietFrom() (at time.Time, ok bool) {
	p, has := patienceOf[s.Stage]
	if !has || s.Quiet != nil || s.Stage == StageInstalled && (s.Has == nil || !s.Has.Tells) || s.Stage == StageLive && (s.Live == nil || !s.Live.Tells) || s.Stage == StageFailed && !s.Again {
		return time.Time{}, false
	}
	return s.HeardAt().Add(p.Limit), true
}

// HeardAt is the time from which a machine's silence counts: its latest sign of life.
// After an install it is the end of that, since DHCP of a system that half runs is no
// sign that it came up.
func (s State) HeardAt() time.Time {
	switch {
	case s.Stage == StageInstalled:
		return s.Since
	case s.Heard.IsZero(): // the record is of an older program
		return s.Seen
	}
	return s.Heard
}

// QuietEvent is the event by which a machine becomes quiet at a time.
func (s State) QuietEvent(now time.Time) Event {
	return Event{
		MAC: s.MAC, Kind: KindQuiet, Time: now,
		Text:   fmt.Sprintf("nothing heard of it for %s in the stage %q", now.Sub(s.HeardAt()).Round(time.Second), s.Stage),
		Reason: patienceOf[s.Stage].Cause,
	}
}
