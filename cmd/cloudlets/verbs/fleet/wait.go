package fleet

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"time"

	"cloudlets/provision"
	"cloudlets/web/api"
)

// waitEvery is how often the daemon is asked about the machines that are waited for, and
// waitErrors is how often in a row it may give no answer: it may be restarted.
const (
	waitEvery  = time.Second
	waitErrors = 120
)

// waited is a machine whose install is waited for.
type waited struct {
	name  string
	since time.Time // by the server's clock; what is older is of an earlier install
	shown string
}

// waitFor waits until the installs of machines have ended, and tells what it sees of
// them, a line for each step. The error is that of all that did not end well.
func waitFor(ctx context.Context, w io.Writer, machine func(ctx context.Context, name string) (api.Detail, error), machines []*waited) error {
	var failures []error
	again := time.NewTicker(waitEvery)
	defer again.Stop()
	for unanswered := 0; ; {
		var left []*waited
		for _, one := range machines {
			m, err := machine(ctx, one.name)
			if err != nil {
				if unanswered++; ctx.Err() == nil && (!errors.Is(err, api.ErrNoDaemon) || unanswered > waitErrors) {
					return err
				}
				left = append(left, one)
				continue
			}
			unanswered = 0
			done, failure := one.look(w, m)
			if failure != nil {
				failures = append(failures, failure)
			} else if !done {
				left = append(left, one)
			}
		}
		if machines = left; len(machines) == 0 {
			return errors.Join(failures...)
		}
		select {
		case <-again.C:
		case <-ctx.Done():
			for _, one := range machines {
				failures = append(failures, fmt.Errorf("%s: waited for its install until the end of --timeout or an interrupt; the install itself goes on; it is at: %s", one.name, cmp.Or(one.shown, "unknown")))
			}
			return errors.Join(failures...)
		}
	}
}

// look tells what is new of a machine, and whether its install has ended.
func (o *waited) look(w io.Writer, m api.Detail) (done bool, failure error) {
	done, failure = o.outcome(m)
	text := string(m.Stage)
	switch {
	case m.Stage == provision.StageFailed && m.Since.After(o.since):
		text += ": " + m.Failure
		if m.Again {
			text += "; it tries again by itself"
		}
	case m.Plan != nil && m.Plan.Waits:
		text += fmt.Sprintf(": waits for `cloudlets confirm %s`; it will %s", o.name, m.Plan.Text)
	case m.Armed && m.Since.Before(o.since):
		text = "armed; its next boot from the network installs"
	}
	if text != o.shown && failure == nil {
		fmt.Fprintf(w, "%s: %s\n", o.name, text)
	}
	o.shown = text
	return done, failure
}

// outcome says whether an install has ended well, or why it has not.
func (o *waited) outcome(m api.Detail) (done bool, failure error) {
	handover := provision.Handover("")
	if m.Spec != nil {
		handover = m.Spec.Handover
	}
	state := provision.State{
		Stage: m.Stage, Since: m.Since, Armed: m.Armed, Failure: m.Failure, Again: m.Again, InstalledAt: m.InstalledAt,
		Has: onDisk(m.Has), Kept: onDisk(m.Kept), OnTrial: onTrial, Running: m.Running, Quiet: m.Quiet,
	}
	outcome, why := provision.OutcomeOf(state, o.since, provision.Decision{Action: m.Next.Action, Reason: m.Next.Reason}, handover)
	if outcome == provision.OutcomeBad {
		return false, fmt.Errorf("%s: %s", o.name, why)
	}
	return outcome == provision.OutcomeGood, nil
}

// onTrial stands for the ID of the system that was put on trial last, which the API does not
// tell.
const onTrial = "on trial"

// onDisk is what the outcome of an install depends on.
func onDisk(s *api.System) *provision.System {
	if s == nil {
		return nil
	}
	system := &provision.System{Image: s.Image, Slot: s.Slot, Tells: s.Tells, Time: s.Time}
	if s.OnTrial {
		system.ID = onTrial
	}
	return system
}
