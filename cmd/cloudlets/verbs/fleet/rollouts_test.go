package fleet

import (
	"context"
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/provision"
	"cloudlets/provision/rollout"
	"cloudlets/web/api"
)

// TestFollowRollout: what is told of a roll-out, and what its end means.
func TestFollowRollout(t *testing.T) {
	at := func(phase rollout.Phase, one, two rollout.Phase) api.Rollout {
		r := api.Rollout{Name: "r1", Phase: phase, Waves: 2, All: 2, Why: "1 of 2 machines are bad", Machines: []api.RolloutMachine{
			{MAC: "52:54:00:00:00:01", Hostname: "node1", Wave: 1, Phase: one}, {MAC: "52:54:00:00:00:02", Wave: 2, Phase: two},
		}}
		for i, m := range r.Machines {
			switch m.Phase {
			case api.Installing:
				r.Machines[i].Stage = provision.StageStream
				r.Armed++
			case rollout.Armed:
				r.Armed++
			case rollout.Bad:
				r.Machines[i].Why = "the disk burns"
				r.Bad++
			}
		}
		return r
	}
	for name, test := range map[string]struct {
		steps []api.Rollout
		shows string
		words string // of the error; none means that all went well
		code  int
	}{
		"all is well": {[]api.Rollout{
			at(rollout.Running, rollout.Armed, rollout.Waiting), at(rollout.Running, api.Installing, rollout.Waiting), at(rollout.Running, api.Installing, rollout.Waiting),
			at(rollout.Running, rollout.Good, rollout.Armed), at(rollout.Ended, rollout.Good, rollout.Good),
		}, "wave 1 of 2: node1: armed\nwave 1 of 2: node1: stream\nwave 1 of 2: node1: good\nwave 2 of 2: 52:54:00:00:00:02: armed\nwave 2 of 2: 52:54:00:00:00:02: good\nr1 has ended: all 2 machines are good\n", "", 0},
		"it stops":                      {[]api.Rollout{at(rollout.Stopped, rollout.Bad, rollout.Waiting)}, "wave 1 of 2: node1: bad: the disk burns\n", "--resume", 0},
		"it stops, and the wave ends":   {[]api.Rollout{at(rollout.Stopped, rollout.Bad, rollout.Armed), at(rollout.Stopped, rollout.Bad, rollout.Good)}, "", "is stopped", 0},
		"it ends, and one is bad":       {[]api.Rollout{at(rollout.Ended, rollout.Good, rollout.Bad)}, "", "not all is well", 0},
		"it takes longer than a person": {[]api.Rollout{at(rollout.Running, rollout.Armed, rollout.Waiting)}, "", "--follow", exit.Failed},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				ctx, stop := context.WithTimeout(t.Context(), time.Hour)
				defer stop()
				var out strings.Builder
				asked, left := 0, test.steps
				err := followRollout(ctx, &out, func(context.Context, string) (api.Rollout, error) {
					if asked++; asked == 2 {
						return api.Rollout{}, api.ErrNoDaemon // it is restarted
					}
					r := left[0]
					left = left[min(1, len(left)-1):]
					return r, nil
				}, "r1")
				if (err == nil) != (test.words == "") || err != nil && !strings.Contains(err.Error(), test.words) {
					t.Errorf("got %v", err)
				}
				if coded, _ := errors.AsType[exit.Error](err); coded.Code != test.code {
					t.Errorf("the exit code is %d", coded.Code)
				}
				if test.shows != "" && out.String() != test.shows {
					t.Errorf("shown:\n%s", out.String())
				}
			})
		})
	}
}
