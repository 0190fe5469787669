package provision

import (
	"fmt"
	"maps"
	"slices"
)

// maxStages bounds the stages that a state keeps of one boot.
const maxStages = 64

// Fold is the state after one more event. It is pure: the state that it is
// given stays as it is.
func Fold(s State, e Event) State {
	s.MAC = e.MAC
	if e.Time.After(s.Seen) {
		s.Seen = e.Time
	}
	if len(e.Facts) > 0 {
		s.Facts = mergeFacts(s.Facts, e.Facts)
	}
	if e.Kind == KindProgress {
		return foldProgress(s, e)
	}
	s = foldKind(s, e)
	return enterStage(s, stageOf(e), e)
}

// stageOf is the stage that an event begins: the one it names, or the one that
// follows from its kind.
func stageOf(e Event) Stage {
	switch {
	case e.Kind == KindFailed:
		return StageFailed
	case e.Stage == "" && e.Kind == KindDone:
		return StageInstalled
	}
	return e.Stage
}

// foldKind is what an event's kind alone means for arming and installs.
func foldKind(s State, e Event) State {
	switch e.Kind {
	case KindArmed:
		s.Armed, s.ArmedBy, s.ArmedAt, s.Cancelled = true, e.By, e.Time, false
	case KindDisarmed:
		s = disarmed(s)
		s.Cancelled = s.Cancelled || e.By != ""
	case KindClaim:
		if e.Stage != "" { // not refused: a new install begins
			s.Failure = ""
		}
	case KindFailed:
		s.Failure = e.Text
	case KindDone:
		if s.Stage != StageInstalled || s.InstalledAt.Before(s.Since) { // told twice is done once
			s.Installs++
			s.InstalledAt = e.Time
		}
		s.Failure = ""
		s = disarmed(s)
	}
	return s
}

func disarmed(s State) State {
	s.Armed, s.ArmedBy, s.ArmedAt = false, "", State{}.ArmedAt
	return s
}

// foldProgress keeps the latest progress, unless it comes after the end of the
// install that it is about.
func foldProgress(s State, e Event) State {
	if e.Progress == nil || !s.Installing() {
		return s
	}
	p := *e.Progress
	s.Progress = &p
	return s
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

// enterStage begins a stage, if it is another than the present one. With the
// firmware's first packet a new boot begins, and the list of stages anew.
func enterStage(s State, stage Stage, e Event) State {
	if stage == "" || stage == s.Stage {
		return s
	}
	stages := s.Stages
	if stage == StageFirmware || stage == StageStranger && s.Stage != StageFirmware {
		stages = nil
	}
	if len(stages) >= maxStages {
		stages = stages[len(stages)-maxStages+1:]
	}
	s.Stages = append(slices.Clip(slices.Clone(stages)), StageTime{stage, e.Time})
	s.Stage, s.Since, s.Progress = stage, e.Time, nil
	return s
}

// Installing says that an agent is at work on the machine.
func (s State) Installing() bool {
	switch s.Stage {
	case StageAgent, StagePartition, StageStream, StageConfigure, StageVerify, StageBootable, StageHandover:
		return true
	}
	return false
}

// String is the state in a few words: "stream, 120.0 MB of 330.0 MB (36%)".
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
	return text
}

// Clone shares nothing with s.
func (s State) Clone() State {
	s.Facts = maps.Clone(s.Facts)
	s.Stages = slices.Clone(s.Stages)
	if s.Progress != nil {
		p := *s.Progress
		s.Progress = &p
	}
	return s
}

// WithoutProgress is s without its latest progress, as it is kept in the store.
func (s State) WithoutProgress() State {
	s.Progress = nil
	return s
}
