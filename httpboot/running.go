package httpboot

import (
	"context"
	"crypto/subtle"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"time"

	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/netconfig"
	"cloudlets/provision/running"
	"cloudlets/provision/wire"
)

// maxUptime bounds what a system says of its uptime.
const maxUptime = 100 * 365 * 24 * time.Hour

// saysRunning records that the system on a machine's disk runs, as it says itself.
func (c *Chain) saysRunning(w http.ResponseWriter, r *http.Request) {
	mac, err := provision.ParseMAC(r.PathValue("mac"))
	if err != nil {
		http.Error(w, printable(err.Error()), http.StatusNotFound)
		return
	}
	state := c.state(mac)
	if !c.isOf(state, r.PathValue("token")) {
		// Another server may have recorded the install a moment ago.
		if state, err = c.Tracker.Stored(r.Context(), c.machine(mac)); err != nil {
			refuse(w, err)
			return
		}
	}
	if !c.isOf(state, r.PathValue("token")) {
		http.Error(w, "this is not the URL of the system that was installed last on "+string(mac), http.StatusGone)
		return
	}
	event := provision.Event{MAC: state.MAC, Kind: provision.KindRunning, Text: "the system runs"}
	if seconds, err := strconv.ParseFloat(r.FormValue("uptime"), 64); err == nil && seconds > 0 && seconds < maxUptime.Seconds() {
		event.Boot = time.Duration(seconds * float64(time.Second)).Round(time.Second)
		event.Text = fmt.Sprintf("the system runs; its kernel started %s before", event.Boot)
	}
	if err := c.Tracker.Record(context.WithoutCancel(r.Context()), event); err != nil {
		refuse(w, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

// isOf says whether a token is that of the system which a machine has. While another one
// is installed, none is.
func (c *Chain) isOf(state provision.State, token string) bool {
	return state.Has != nil && !state.Installing() &&
		subtle.ConstantTimeCompare([]byte(token), []byte(state.Has.RunningToken(state.MAC, c.Tracker.Key()))) == 1
}

// runningURLs are where a system says that it runs, one for each server. They are of
// HTTP: many images have no client that could be told whom to trust, and their secret
// is good for nothing else.
func (c *Chain) runningURLs(ctx context.Context, spec *provision.Spec, system *provision.System) []string {
	own := localAddr(ctx)
	bases := []string{c.Base(own)}
	if c.Others != nil {
		bases = append(bases, c.Others(own)...)
	}
	path := wire.RunningPath(spec.MAC, system.RunningToken(spec.MAC, c.Tracker.Key()))
	urls := make([]string, 0, maxServers)
	for _, base := range bases[:min(len(bases), maxServers)] {
		urls = append(urls, base+path)
	}
	return urls
}

// withRunning adds the files by which the installed system says that it runs, except
// those that the image's own templates write. can is false if the image cannot say it.
func withRunning(overlay images.Overlay, urls []string, tree images.Tree) (with images.Overlay, can bool, err error) {
	if len(urls) == 0 {
		return overlay, false, nil
	}
	files, err := running.Files(tree, urls)
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
func (c *Chain) warnOfRunning(ctx context.Context, spec *provision.Spec, tree images.Tree) {
	if spec.Silent {
		return
	}
	if _, err := running.Files(tree, nil); err != nil {
		c.record(ctx, provision.Event{
			MAC: spec.MAC, Kind: provision.KindLog,
			Text: "the installed system will not say that it runs", Reason: err.Error(),
		})
	}
}
