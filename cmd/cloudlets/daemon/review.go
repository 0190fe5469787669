//go:build linux

package daemon

import (
	"net/netip"

	"cloudlets/images"
	"cloudlets/images/ejs"
	"cloudlets/provision"
	"cloudlets/provision/review"
)

// newReviewer makes what checks the machines in the background. Its templates are
// rendered in a process of their own, one at a time, so that no claim waits for it.
func (d *Daemon) newReviewer() *review.Reviewer {
	return &review.Reviewer{
		Site: d.Site, Log: d.Log, Changed: d.tracker.Tell, Busy: d.chain.Busy,
		State: func(mac provision.MAC) provision.State {
			state, _ := d.tracker.State(mac)
			return state
		},
		Renderer: func() (images.Renderer, func() error) {
			sandbox := ejs.NewSandbox(d.SelfLow, ejs.Options{Workers: 1, Logger: d.Log})
			return sandbox, sandbox.Close
		},
		Server: func() string { return d.baseURL(netip.Addr{}) },
	}
}
