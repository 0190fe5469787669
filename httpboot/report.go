package httpboot

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"cloudlets/provision"
)

// agentKinds are what an agent may report.
var agentKinds = []provision.Kind{provision.KindStage, provision.KindProgress, provision.KindLog, provision.KindFailed, provision.KindDone}

// maxReport bounds the events of one report.
const maxReport = 256

// events takes an agent's reports.
func (c *Chain) events(w http.ResponseWriter, r *http.Request) {
	mac, err := c.session(r)
	ended := errors.Is(err, provision.ErrSessionEnded)
	if err != nil && !ended {
		refuse(w, err)
		return
	}
	var events []provision.Event
	if err := readJSON(r, &events); err != nil || len(events) > maxReport {
		http.Error(w, fmt.Sprintf("read report: want at most %d events as a JSON list: %v", maxReport, err), http.StatusBadRequest)
		return
	}
	if ended {
		c.afterEnd(w, mac, events, err)
		return
	}
	for _, e := range events {
		if err := c.take(r.Context(), mac, e); err != nil {
			refuse(w, err)
			return
		}
	}
	w.WriteHeader(http.StatusNoContent)
}

// afterEnd answers a report of an agent whose session has ended. One that says
// again what ended it did not get the answer, and may go on.
func (c *Chain) afterEnd(w http.ResponseWriter, mac provision.MAC, events []provision.Event, err error) {
	state, _ := c.Tracker.State(mac)
	done := state.Stage == provision.StageInstalled || state.Stage == provision.StageFailed
	if done && slices.ContainsFunc(events, func(e provision.Event) bool { return ends(e) || e.Kind == provision.KindLog }) {
		w.WriteHeader(http.StatusNoContent)
		return
	}
	refuse(w, err)
}

func ends(e provision.Event) bool {
	return e.Kind == provision.KindDone || e.Kind == provision.KindFailed
}

// take records one event of an agent. The time is the server's: a machine's
// clock may be anywhere.
func (c *Chain) take(ctx context.Context, mac provision.MAC, e provision.Event) error {
	if !slices.Contains(agentKinds, e.Kind) {
		return &refusal{fmt.Errorf("an agent cannot report events of kind %q", e.Kind)}
	}
	e.MAC, e.Time, e.By, e.ID = mac, time.Time{}, "", 0
	if err := c.Tracker.Record(ctx, e); err != nil {
		return err
	}
	if !ends(e) {
		return nil
	}
	return c.Tickets.End(ctx, mac, "its install has ended")
}
