//go:build linux

package doctor

import (
	"context"
	"fmt"
	"os"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/provision"
	"cloudlets/provision/power"
	"cloudlets/provision/power/drivers"
	"cloudlets/provision/site"
)

const (
	// controllerTime is how long a controller may take to answer the doctor.
	controllerTime = 15 * time.Second
	// controllersTime is how long all of them may take.
	controllersTime = 2 * time.Minute
	// controllersAtOnce is how many are asked at the same time.
	controllersAtOnce = 16
)

// checkPower asks each machine's controller whether the machine has power. It switches
// nothing. Wake-on-LAN has nobody to ask.
func checkPower(ctx context.Context, s *site.Site) []Finding {
	ctx, cancel := context.WithTimeout(ctx, controllersTime)
	defer cancel()
	open := drivers.Drivers{Site: s.Dir(), Getenv: os.Getenv}
	var asked []provision.Spec
	seen := make(map[string]bool)
	for _, spec := range s.Specs() {
		// Systems that share a controller are asked one after the other elsewhere; here
		// the first is enough.
		if kind := spec.Power.Kind(); kind == "" || kind == "wakeOnLAN" || seen[spec.At()] {
			continue
		}
		seen[spec.At()] = true
		asked = append(asked, spec)
	}
	findings := make([]Finding, len(asked))
	var group errgroup.Group
	group.SetLimit(controllersAtOnce)
	for i, spec := range asked {
		group.Go(func() error {
			findings[i] = askController(ctx, open, &spec)
			return nil
		})
	}
	_ = group.Wait() // errors are in the findings
	return findings
}

func askController(ctx context.Context, open drivers.Drivers, spec *provision.Spec) Finding {
	ctx, cancel := context.WithTimeout(ctx, controllerTime)
	defer cancel()
	what := fmt.Sprintf("power of %s by %s", spec.MAC, spec.Power.Kind())
	c, err := open.Open(spec, "")
	state := power.Unknown
	if err == nil {
		state, err = c.State(ctx)
	}
	if err != nil {
		return Found(what, err)
	}
	return Finding{What: what + ": it is " + string(state)}
}
