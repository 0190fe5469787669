package httpboot

import (
	"errors"
	"fmt"
	"net/http"
	"slices"

	"cloudlets/httpboot/requests"
	"cloudlets/provision"
	"cloudlets/provision/tickets"
)

// agentKinds are the kinds of events that an agent may report.
var agentKinds = []provision.Kind{provision.KindStage, provision.KindProgress, provision.KindLog, provision.KindFailed, provision.KindDone}

// agentStages are the stages that an agent's event may begin. Most events begin
// no stage.
var agentStages = []provision.Stage{
	"", provision.StagePartition, provision.StageStream, provision.StageConfigure, provision.StageVerify,
	provision.StageBootable, provision.StageHandover, provision.StageInstalled, provision.StageFailed,
}

// maxReport is how many events a report may have.
const maxReport = 256

// events records an agent's report.
func (c *Chain) events(w http.ResponseWriter, r *http.Request) {
	mac, err := c.session(r)
	ended := errors.Is(err, tickets.ErrSessionEnded)
	if err != nil && !ended {
		requests.Refuse(w, err)
		return
	}
	events, bad := readReport(w, r)
	if bad != nil {
		http.Error(w, "read report: "+requests.Printable(bad.Error()), http.StatusBadRequest)
		return
	}
	if ended {
		c.afterEnd(w, r, mac, events, err)
		return
	}
	if _, err := c.session(r); err != nil { // the report may have taken its time
		requests.Refuse(w, err)
		return
	}
	for _, e := range events {
		if err := c.take(r, mac, e); err != nil {
			requests.Refuse(w, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// readReport reads a report. It refuses events that an agent may not report.
func readReport(w http.ResponseWriter, r *http.Request) ([]provision.Event, error) {
	var events []provision.Event
	if err := requests.ReadJSON(w, r, &events); err != nil {
		return nil, fmt.Errorf("want a JSON list of events: %w", err)
	}
	if len(events) > maxReport {
		return nil, fmt.Errorf("want at most %d events, have %d", maxReport, len(events))
	}
	for _, e := range events {
		if !slices.Contains(agentKinds, e.Kind) {
			return nil, fmt.Errorf("an agent cannot report events of kind %q", e.Kind)
		}
		if !slices.Contains(agentStages, e.Stage) {
			return nil, fmt.Errorf("an agent cannot report the stage %q", e.Stage)
		}
	}
	return events, nil
}

// afterEnd answers a report of an agent whose session has ended. If the report
// repeats the event that ended the session, the agent did not get the first
// answer, and it may go on. If the install was cancelled meanwhile, it may not.
func (c *Chain) afterEnd(w http.ResponseWriter, r *http.Request, mac provision.MAC, events []provision.Event, err error) {
	state, unread := c.Tracker.Stored(r.Context(), mac) // the answer may have been lost by another server
	if unread != nil {
		requests.Refuse(w, unread)
		return
	}
	again := slices.ContainsFunc(events, func(e provision.Event) bool {
		return e.Kind == provision.KindDone && state.Stage == provision.StageInstalled ||
			e.Kind == provision.KindFailed && state.Stage == provision.StageFailed
	})
	if !again {
		requests.Refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func ends(e provision.Event) bool {
	return e.Kind == provision.KindDone || e.Kind == provision.KindFailed
}

// take records one event of an agent, as far as it is the agent's to say, with the
// server's time, since the machine's clock may be wrong.
//
// The event that ends an install is recorded only if the session still runs, and
// ends it, in one transaction. So an install that was cancelled meanwhile does
// not end well.
func (c *Chain) take(r *http.Request, mac provision.MAC, e provision.Event) error {
	e = provision.Event{
		MAC: mac, Kind: e.Kind, Stage: e.Stage, Text: e.Text, Reason: e.Reason, Facts: e.Facts,
		Progress: e.Progress, Again: e.Again, Report: e.Report, Beside: e.Beside, Slot: provision.Cut(e.Slot, 1), Rollback: provision.Cut(e.Rollback, 1),
	}
	if !ends(e) {
		return c.Tracker.Record(r.Context(), e)
	}
	if err := c.Tracker.RecordWith(r.Context(), e, nil, c.Tickets.EndingSession(secretOf(r), "its install has ended")); err != nil {
		return err
	}
	if err := c.Overlays.Remove(mac); err != nil {
		c.Logger().Warn("the overlay of an ended install stays for now", "machine", mac, "error", err)
	}
	return nil
}
