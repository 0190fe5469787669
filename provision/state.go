package provision

import (
	"cmp"
	"fmt"
	"maps"
	"slices"
	"time"
)

// maxStages is how many stages of one boot a state keeps.
const maxStages = 64

// Fold returns the state after one more event. It is pure: it does not change s.
func Fold(s State, e Event) State {
	s.MAC = e.MAC
	if e.Kind == KindQuiet {
		// It may have been heard by another server meanwhile.
		if from, can := s.QuietFrom(); can && !e.Time.Before(from) {
			s.Quiet = &Quiet{Since: s.HeardAt(), Cause: e.Reason}
		}
		return s
	}
	if e.Plain && e.Time.After(s.Asked) {
		s.Asked = e.Time
	}
	if e.isSignOfLife() && !s.expectsMore(e) {
		s.Quiet = nil
		if e.Time.After(s.Heard) {
			s.Heard = e.Time
		}
	}
	if e.Time.After(s.Seen) {
		s.Seen = e.Time
	}
	if len(e.Facts) > 0 {
		s.Facts = mergeFacts(s.Facts, e.Facts)
	}
	if e.Found != nil {
		s.Found = e.Found
	}
	if uuid := UUIDOf(e.Facts["uuid"]); uuid != "" {
		s.Cards = withCard(s.Cards, cmp.Or(e.Card, e.MAC), CardSeen{uuid, e.Time})
	}
	if e.Kind == KindProgress {
		return foldProgress(s, e)
	}
	s = foldKind(s, e)
	return enterStage(s, stageOf(e), e)
}

// expectsMore says whether an event is too little to end a machine's silence: a system that
// was installed, or started in memory, and asks by DHCP may be one that comes up only half.
func (s State) expectsMore(e Event) bool {
	return e.Plain && (s.Stage == StageInstalled || s.Stage == StageLive)
}

// stageOf returns the stage that an event begins: the one that it names, or the
// one that follows from its kind.
func stageOf(e Event) Stage {
	switch {
	case e.Kind == KindFailed:
		return StageFailed
	case e.Stage == "" && e.Kind == KindDone:
		return StageInstalled
	case e.Kind == KindRunning:
		return StageRunning
	}
	return e.Stage
}

// foldKind changes what depends on an event's kind: arming, failures, installs.
func foldKind(s State, e Event) State {
	switch e.Kind {
	case KindArmed:
		s.Armed, s.ArmedBy, s.ArmedAt, s.Pin, s.Wipe, s.Rollback = true, e.By, e.Time, e.Pin, e.Wipe, e.Rollback
		s.Confirm, s.Confirmed, s.ConfirmedBy = e.Confirm, "", ""
		s.Cancelled, s.Restored = false, false
	case KindDisarmed:
		s = disarmed(s)
		s.Cancelled = s.Cancelled || e.By != ""
	case KindOrdered:
		s.Once = nil
		if e.Order != nil {
			s.Once = &BootOrder{Boot: *e.Order, By: e.By, At: e.Time}
		}
	case KindDHCP:
		// The machine starts anew, unless the event is one that another server writes late.
		if e.Stage == StageFirmware && !e.Time.Before(s.Since) {
			s.Booted, s.Live = nil, nil
		}
	case KindDecision:
		if e.Stage != "" { // not for somebody who only looked
			s = s.booted(e.Booted)
		}
	case KindClaim:
		if e.Stage != "" { // the claim was not refused, so a new install begins
			s.Failure, s.Again, s.Writing, s.Proposal = "", false, e.System, nil
			s.Confirm = s.Confirm || e.Confirm
		}
	case KindPlan:
		s.Proposal = e.Proposal.clone()
	case KindConfirm:
		s.Confirmed, s.ConfirmedBy = e.Digest, e.By
	case KindStage:
		switch {
		case e.Stage == StagePartition:
			s = s.overwritten(e)
		case e.Stage == StageLive && e.System != nil:
			s.Live = copied(e.System)
			s.Live.Time = e.Time
			s.Failure, s.Again = "", false
			if s.Booted != nil {
				s.Booted = copied(s.Booted)
				s.Booted.Told = e.Nonce
			}
		}
	case KindRunning:
		s.Running = &Running{Time: e.Time, Boot: e.Boot}
		s = s.runs(e)
	case KindFailed:
		s.Failure, s.Again = e.Text, e.Again
		if e.Beside && !e.Again { // the machine starts the system that it has, and must not come back for this
			s = disarmed(s)
			s.Cancelled = s.Cancelled || s.Installs == 0 // its file may say "install": "once"
		}
	case KindDone:
		if s.Stage != StageInstalled || s.InstalledAt.Before(s.Since) { // an agent may report the same end twice
			s = s.completed(e)
			s.InstalledAt, s.Writing, s.Proposal = e.Time, nil, nil
			if e.Rollback == "" {
				s.Installs++
				s.Report = e.Report.clone()
			}
			if s.Has != nil {
				s.InstallID = s.Has.ID
			}
		}
		s.Failure, s.Again = "", false
		s = disarmed(s)
	}
	return s
}

// written is the system that the install has written which ends now.
func (s State) written(done Event) *System {
	if s.Writing == nil {
		return nil
	}
	has := *s.Writing
	has.Time, has.Disk, has.Slot = done.Time, s.Facts["disk"], done.Slot
	if done.Report != nil {
		has.BootPartitions = slices.Clone(done.Report.BootPartitions)
	}
	return &has
}

// completed is the state when an install has ended well, or a roll-back.
func (s State) completed(done Event) State {
	switch {
	case done.Rollback != "" && s.Kept != nil && s.Kept.Slot == done.Slot:
		s.Has, s.Kept = s.Kept.after(s.Has), s.Has
		s.Has.Ran = time.Time{}
	case done.Rollback != "": // it has that one already
	case done.Beside:
		s = s.overwritten(done) // its beginning may not have been told
		s.Has, s.Kept = s.written(done), s.Has
	default:
		s.Has, s.Kept = s.written(done), nil
	}
	if s.OnTrial = ""; s.Kept != nil && s.Has != nil {
		s.OnTrial = s.Has.ID
	}
	return s
}

// after is a copy of the system for a machine that comes back to it from another one on the same
// disk, which may know what an older server did not note of this one.
func (s *System) after(other *System) *System {
	c := copied(s)
	if len(c.BootPartitions) == 0 && other != nil {
		c.BootPartitions = slices.Clone(other.BootPartitions)
	}
	return c
}

// overwritten is the state when an install begins to write: what was on the disk is lost,
// or what was in the slot that is written.
func (s State) overwritten(e Event) State {
	if !e.Beside {
		s.Has, s.Kept = nil, nil
		return s
	}
	if s.Has != nil && s.Has.Slot == e.Slot { // it never proved itself
		s.Has, s.Kept = s.Kept, nil
	}
	if s.Kept != nil && s.Kept.Slot == e.Slot {
		s.Kept = nil
	}
	return s
}

// runs notes that a system runs. If it is the one in the other slot than that which the
// machine should have, the machine fell back, or was rolled back.
func (s State) runs(e Event) State {
	if s.Live != nil && e.Runs == s.Live.ID {
		s.Live = copied(s.Live)
		s.Live.Ran = e.Time
		return s
	}
	s.Live = nil // the machine was started from its disk since, and nobody saw it
	if s.Has != nil && s.Kept != nil && e.Slot != "" && s.Kept.Slot == e.Slot && s.Has.Slot != e.Slot {
		s.Has, s.Kept = s.Kept.after(s.Has), s.Has
		s.InstallID = s.Has.ID
	}
	if s.Has != nil && s.Has.Slot == e.Slot {
		s.Has = copied(s.Has)
		s.Has.Ran = e.Time
	}
	return s
}

func disarmed(s State) State {
	s.Armed, s.ArmedBy, s.ArmedAt, s.Pin, s.Wipe, s.Rollback = false, "", State{}.ArmedAt, nil, false, ""
	s.Confirm, s.Confirmed, s.ConfirmedBy = false, "", ""
	return s
}

// foldProgress keeps the latest progress, unless the install has ended already.
func foldProgress(s State, e Event) State {
	if e.Progress == nil || !s.Installing() {
		return s
	}
	p := *e.Progress
	s.Progress = &p
	return s
}

// maxCards bounds the network cards that a state has, since anyone on the network can
// make up their addresses.
const maxCards = 64

// withCard adds a card. Of too many, those go that did not boot for the longest time.
func withCard(have map[MAC]CardSeen, card MAC, seen CardSeen) map[MAC]CardSeen {
	cards := maps.Clone(have)
	if cards == nil {
		cards = make(map[MAC]CardSeen, 1)
	}
	cards[card] = seen
	if len(cards) > maxCards {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(cards)), func(a, b MAC) int {
			return cmp.Or(cards[a].Time.Compare(cards[b].Time), cmp.Compare(a, b))
		})
		delete(cards, oldest)
	}
	return cards
}

func mergeFacts(have, more map[string]string) map[string]string {
	merged := maps.Clone(have)
	if merged == nil {
		merged = make(map[string]string, len(more))
	}
	for name, value := range more {
		if _, known := merged[name]; known || len(merged) < maxEventFacts {
			merged[name] = value
		}
	}
	return merged
}

// enterStage begins a stage if it is not the present one. The firmware's first
// packet begins a new boot, and with it a new list of stages.
func enterStage(s State, stage Stage, e Event) State {
	if stage == "" || stage == s.Stage {
		return s
	}
	stages := s.Stages
	if stage == StageFirmware || stage == StageStranger && s.Stage != StageFirmware {
		stages = nil
	}
	if stage != StageRunning && stage != StageInstalled {
		s.Running = nil
	}
	if len(stages) >= maxStages {
		stages = stages[len(stages)-maxStages+1:]
	}
	s.Stages = append(slices.Clip(slices.Clone(stages)), StageTime{stage, e.Time})
	s.Stage, s.Since, s.Progress = stage, e.Time, nil
	return s
}

// FirmwareStarted is when the firmware began the latest boot that is known, or
// the zero time.
func (s State) FirmwareStarted() time.Time {
	for _, stage := range s.Stages {
		if stage.Stage == StageFirmware {
			return stage.Time
		}
	}
	return time.Time{}
}

// Installing says whether an agent is installing the machine now.
func (s State) Installing() bool {
	switch s.Stage {
	case StageAgent, StageConfirm, StagePartition, StageStream, StageConfigure, StageVerify, StageBootable, StageHandover:
		return true
	}
	return false
}

// String returns the state in a few words, such as "stream, 120.0 MB of 330.0 MB
// (36%)".
func (s State) String() string {
	text := string(s.Stage)
	if text == "" {
		text = string(StageNew)
	}
	switch {
	case s.Stage == StageFailed && s.Failure != "":
		text = fmt.Sprintf("%s: %s", text, s.Failure)
	case s.Progress != nil:
		text = fmt.Sprintf("%s, %s", text, s.Progress)
	}
	if s.Armed && !s.Installing() {
		text += ", armed"
		if s.ArmedBy != "" {
			text += " by " + s.ArmedBy
		}
	}
	if s.Once != nil {
		text += ", next boot " + s.Once.Boot.String()
	}
	return text
}

// Clone returns a copy that shares nothing with s, except for Found and the lists of a System,
// which nobody changes.
func (s State) Clone() State {
	s.Facts = maps.Clone(s.Facts)
	s.Cards = maps.Clone(s.Cards)
	s.Stages = slices.Clone(s.Stages)
	s.Has, s.Writing, s.Running, s.Quiet = copied(s.Has), copied(s.Writing), copied(s.Running), copied(s.Quiet)
	s.Kept, s.Live = copied(s.Kept), copied(s.Live)
	s.Once, s.Booted = copied(s.Once), copied(s.Booted)
	s.Progress, s.Proposal, s.Report = copied(s.Progress), s.Proposal.clone(), s.Report.clone()
	return s
}

func copied[T any](p *T) *T {
	if p == nil {
		return nil
	}
	c := *p
	return &c
}

// WithoutProgress returns s without its progress, which is not stored.
func (s State) WithoutProgress() State {
	s.Progress = nil
	return s
}
