package systems

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"cloudlets/httpboot/requests"
	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/netconfig"
	"cloudlets/provision/running"
	"cloudlets/provision/trial"
	"cloudlets/provision/wire"
)

// maxUptime bounds what a system says of its uptime.
const maxUptime = 100 * 365 * 24 * time.Hour

// saysRunning records that the system on a machine's disk runs, as it says itself.
func (s *Systems) saysRunning(w http.ResponseWriter, r *http.Request) {
	mac, err := provision.ParseMAC(r.PathValue("mac"))
	if err != nil {
		http.Error(w, requests.Printable(err.Error()), http.StatusNotFound)
		return
	}
	hasSystem := func(s provision.State) *provision.System { return s.Has }
	state, system, err := s.systemOf(r, mac, (*provision.System).RunningToken, hasSystem, keptSystem, liveSystem)
	if err != nil {
		requests.Refuse(w, err)
		return
	}
	if state == nil {
		http.Error(w, "this is not the URL of a system that was installed on "+string(mac)+" and is there still", http.StatusGone)
		return
	}
	event := provision.Event{MAC: state.MAC, Kind: provision.KindRunning, Slot: system.Slot, Runs: system.ID, Text: "the system runs", Reason: fellBack(*state, system)}
	if seconds, err := strconv.ParseFloat(r.FormValue("uptime"), 64); err == nil && seconds > 0 && seconds < maxUptime.Seconds() {
		event.Boot = time.Duration(seconds * float64(time.Second)).Round(time.Second)
		event.Text = fmt.Sprintf("the system runs; its kernel started %s before", event.Boot)
	}
	if err := s.Machines.Tracker.Record(context.WithoutCancel(r.Context()), event); err != nil {
		requests.Refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// fellBack says why another system runs than the one that was written last. It is "" if
// it is that one.
func fellBack(state provision.State, runs *provision.System) string {
	if runs == nil || state.Kept == nil || state.Has == nil || runs.ID != state.Kept.ID {
		return ""
	}
	why := "it was started, and never said that it runs: `cloudlets console` and the machine's own journal may say what kept it from that"
	if !state.Has.Ran.IsZero() {
		why = fmt.Sprintf("it said at %s that it runs, and did not stay up long enough to be accepted, unless a person chose this one", state.Has.Ran.UTC().Format(time.RFC3339))
	}
	return fmt.Sprintf("the machine is back to slot %s with %s; %s in slot %s was on trial: %s", strings.ToUpper(runs.Slot), runs.Image, state.Has.Image, strings.ToUpper(state.Has.Slot), why)
}

func liveSystem(s provision.State) *provision.System { return s.Live }

func keptSystem(s provision.State) *provision.System { return s.Kept }

// systemOf returns the first of some systems of a machine whose token a request's path has,
// and the machine's state; nil if it is none's. See stateOf.
func (s *Systems) systemOf(r *http.Request, mac provision.MAC, tokenOf func(*provision.System, provision.MAC, []byte) string, systems ...func(provision.State) *provision.System) (*provision.State, *provision.System, error) {
	for _, of := range systems {
		state, err := s.stateOf(r, mac, of, tokenOf)
		if err != nil {
			return nil, nil, err
		}
		if state != nil {
			return state, of(*state), nil
		}
	}
	return nil, nil, nil
}

// stateOf returns the state of a machine, if a request's path has the token of the system
// on the machine's disk, and nil otherwise. From the first write of another system on, no
// token is good. systemOf says which system that is, and tokenOf makes its token of one
// purpose.
func (s *Systems) stateOf(r *http.Request, mac provision.MAC, systemOf func(provision.State) *provision.System, tokenOf func(*provision.System, provision.MAC, []byte) string) (*provision.State, error) {
	isOf := func(state provision.State) bool {
		system := systemOf(state)
		return system != nil &&
			subtle.ConstantTimeCompare([]byte(r.PathValue("token")), []byte(tokenOf(system, state.MAC, s.Machines.Tracker.Key()))) == 1
	}
	state := s.Machines.State(mac)
	if isOf(state) {
		return &state, nil
	}
	// Another server may have recorded the install a moment ago. Otherwise the store may be
	// behind this server, and still have the system before.
	stored, err := s.Machines.Tracker.Stored(r.Context(), s.Machines.Machine(mac))
	if err != nil || !stored.Seen.After(state.Seen) || !isOf(stored) {
		return nil, err
	}
	return &stored, nil
}

// runningURLs are where a system says that it runs, one for each server. They are of
// HTTP: many images have no client that could be told whom to trust, and their secret
// is good for nothing else.
func (s *Systems) runningURLs(spec *provision.Spec, system *provision.System, servers []string) []string {
	path := wire.RunningPath(spec.MAC, system.RunningToken(spec.MAC, s.Machines.Tracker.Key()))
	urls := make([]string, 0, len(servers))
	for _, base := range servers {
		urls = append(urls, base+path)
	}
	return urls
}

// WithRunning adds the files by which the installed system says that it runs, except
// those that the image's own templates write. can is false if the image cannot say it.
func (r Recipe) WithRunning(overlay images.Overlay, tree images.Tree) (with images.Overlay, can bool, err error) {
	if len(r.Running) == 0 {
		return overlay, false, nil
	}
	files, err := running.Files(tree, r.Running)
	if errors.Is(err, running.ErrNoService) || errors.Is(err, running.ErrNoClient) {
		return overlay, false, nil // warnOfRunning tells
	}
	if err != nil {
		return nil, false, err
	}
	taken := func(path string) bool {
		return slices.ContainsFunc(overlay, func(f images.File) bool { return f.Path == path })
	}
	files, err = netconfig.Place(tree, files, taken)
	return append(overlay, files...), true, err
}

// warnOfRunning tells in the machine's trace why nobody will know whether its system
// runs.
func (s *Systems) warnOfRunning(ctx context.Context, spec *provision.Spec, tree images.Tree) {
	_, err := running.Files(tree, nil)
	if spec.Silent {
		err = errors.New("its file says \"running\": false")
	}
	text := "the installed system will not say that it runs"
	switch {
	case err == nil || spec.Silent && spec.Slots != 2:
		return
	case spec.Slots == 2:
		text = "warning: an update will fall back, unless something in the image makes the file " + trial.RunningFile + ": " + text
	}
	s.Machines.Record(ctx, provision.Event{MAC: spec.MAC, Kind: provision.KindLog, Text: text, Reason: err.Error()})
}
