package provision

import (
	"cmp"
	"fmt"
	"strings"
	"time"
)

// Outcome is what became of an install.
type Outcome string

// The outcomes.
const (
	OutcomeOpen Outcome = ""     // it has not ended
	OutcomeGood Outcome = "good" // the new system says that it runs, or is installed if it cannot say so
	OutcomeBad  Outcome = "bad"  // it failed, fell back, became quiet, or was called off
)

// OutcomeOf says what became of the install that was armed at a time, and why, if that is
// bad. What is older is of an earlier install. next is what the machine's next boot does,
// and handover what its file says of the end of an install.
//
// An attempt that the machine repeats by itself leaves the outcome open.
func OutcomeOf(state State, armed time.Time, next Decision, handover Handover) (Outcome, string) {
	switch {
	case state.FellBack(armed):
		return OutcomeBad, fmt.Sprintf("it fell back to %s: %s did not prove itself", cmp.Or(systemName(state.Has), "its old system"), systemName(state.Kept))
	case state.Quiet != nil && state.Quiet.Since.After(armed):
		return OutcomeBad, fmt.Sprintf("quiet since %s in the stage %q: %s", state.Quiet.Since.Local().Format("2006-01-02 15:04:05 MST"), state.Stage, state.Quiet.Cause)
	case state.Stage == StageFailed && state.Since.After(armed) && !state.Again:
		return OutcomeBad, state.Failure
	case state.InstalledAt.After(armed):
		says := state.Has != nil && state.Has.Tells && handover != PowerOff
		if says && (state.Running == nil || !state.Running.Time.After(state.InstalledAt)) {
			return OutcomeOpen, ""
		}
		return OutcomeGood, ""
	case !state.Armed && !state.Installing() && next.Action != ActionInstall:
		return OutcomeBad, "its install was called off: " + next.Reason
	case state.Armed && !state.Installing() && next.Action != ActionInstall:
		return OutcomeBad, "it is armed and would not be installed: " + next.Reason
	}
	return OutcomeOpen, ""
}

// FellBack says whether the machine went back to the system in its other slot, since that
// which an install wrote after a time did not prove itself.
func (s State) FellBack(since time.Time) bool {
	return s.InstalledAt.After(since) && s.Kept != nil && s.OnTrial != "" && s.Kept.ID == s.OnTrial
}

func systemName(s *System) string {
	switch {
	case s == nil:
		return ""
	case s.Slot == "":
		return s.Image
	}
	return fmt.Sprintf("%s in slot %s", s.Image, strings.ToUpper(s.Slot))
}
