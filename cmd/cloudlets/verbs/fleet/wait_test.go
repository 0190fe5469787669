package fleet

import (
	"context"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/provision"
	"cloudlets/web/api"
)

// TestWaitForInstalls: of each way that an install can end.
func TestWaitForInstalls(t *testing.T) {
	armed := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	later := armed.Add(time.Minute)
	machine := func(stage provision.Stage, change func(*api.Machine)) api.Detail {
		m := api.Detail{Machine: api.Machine{Stage: stage, Since: later, Armed: true, ArmedAt: armed}}
		m.Next.Action = provision.ActionInstall
		if change != nil {
			change(&m.Machine)
		}
		if !m.Armed {
			m.Next.Action = provision.ActionLocal
		}
		return m
	}
	waiting := machine(provision.StageFailed, func(m *api.Machine) { m.Since, m.Failure = armed.Add(-time.Hour), "an old one" })
	installed := func(tells bool) api.Detail {
		return machine(provision.StageInstalled, func(m *api.Machine) {
			m.Armed, m.InstalledAt, m.Has = false, later, &api.System{Tells: tells}
		})
	}
	running := installed(true)
	running.Stage, running.Running = provision.StageRunning, &provision.Running{Time: later.Add(time.Minute)}
	for name, test := range map[string]struct {
		steps []api.Detail
		words []string // of the error; none means that all went well
		shows string
	}{
		"it runs":             {steps: []api.Detail{waiting, machine(provision.StageStream, nil), installed(true), running}, shows: "node1: armed; its next boot from the network installs\nnode1: stream\nnode1: installed\nnode1: running\n"},
		"it cannot say so":    {steps: []api.Detail{installed(false)}},
		"it tries again":      {steps: []api.Detail{machine(provision.StageFailed, func(m *api.Machine) { m.Failure, m.Again = "the disk burns", true }), running}, shows: "node1: failed: the disk burns; it tries again by itself\nnode1: running\n"},
		"it failed":           {steps: []api.Detail{machine(provision.StageFailed, func(m *api.Machine) { m.Failure = "the disk burns" })}, words: []string{"node1: the disk burns"}},
		"it is quiet":         {steps: []api.Detail{machine(provision.StageStream, func(m *api.Machine) { m.Quiet = &provision.Quiet{Since: later, Cause: "no power"} })}, words: []string{"quiet", "no power"}},
		"it was quiet before": {steps: []api.Detail{machine(provision.StageLocal, func(m *api.Machine) { m.Quiet = &provision.Quiet{Since: armed.Add(-time.Hour)} }), running}},
		"it was cancelled":    {steps: []api.Detail{machine(provision.StageLocal, func(m *api.Machine) { m.Armed, m.Next.Reason = false, "anna cancelled it" })}, words: []string{"called off", "anna cancelled it"}},
		"it fell back": {steps: []api.Detail{machine(provision.StageRunning, func(m *api.Machine) {
			m.Armed, m.InstalledAt, m.Running = false, later, &provision.Running{Time: later.Add(time.Minute)}
			m.Has, m.Kept = &api.System{Image: "web@1", Slot: "a", Tells: true}, &api.System{Image: "web@2", Slot: "b", Tells: true, OnTrial: true}
		})}, words: []string{"fell back to web@1 in slot A"}},
		"it takes too long": {steps: []api.Detail{machine(provision.StageStream, nil)}, words: []string{"--timeout", "stream"}},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				n := 0
				var out strings.Builder
				err := waitFor(ctx, &out, func(context.Context, string) (api.Detail, error) {
					if n == 1 && len(test.steps) > 1 {
						n++
						return api.Detail{}, api.ErrNoDaemon // it is restarted
					}
					m := test.steps[min(n, len(test.steps)-1)]
					if n > 1 {
						m = test.steps[min(n-1, len(test.steps)-1)]
					}
					n++
					return m, nil
				}, []*waited{{name: "node1", since: armed}})
				if (err == nil) != (len(test.words) == 0) {
					t.Fatalf("got %v", err)
				}
				for _, word := range test.words {
					if !strings.Contains(err.Error(), word) {
						t.Errorf("the error %q does not say %q", err, word)
					}
				}
				if test.shows != "" && out.String() != test.shows {
					t.Errorf("shown:\n%s", out.String())
				}
			})
		})
	}
}
