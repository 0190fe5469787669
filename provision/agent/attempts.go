package agent

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/wire"
)

// attempts install one machine in one boot of the agent: if an attempt fails, they make
// another one.
//
// Before a plan is claimed nothing is written, and what is wrong is for a person to mend:
// a file, an image, a cable. So the agent asks again until that is done or the install is
// cancelled. An attempt that had a plan is repeated as often as the machine's file says.
// Then the agent waits until a person arms the machine again or mends its file.
type attempts struct {
	console *console
	server  *client.Client
	// attempt makes one attempt with a token. It returns only with an error: a
	// lastError, a failedError, or another one if no plan was claimed.
	attempt func(ctx context.Context, params wire.Params) error
	failed  int // attempts that had a plan, since the order is as it is
	// stands says that the last attempt was an update, which left the system on the disk as
	// it is. When there are no further attempts, the machine starts that.
	stands bool
}

// lastError is an error after which nothing may be written any more.
type lastError struct{ error }

func (l lastError) Unwrap() error { return l.error }

// failedError is the error of an attempt that had a plan, and so may have begun to write.
type failedError struct {
	error
	retry int // how many further attempts the plan allows in all
}

func (f failedError) Unwrap() error { return f.error }

// pauses are those between attempts; the last one is for all further ones.
var pauses = []time.Duration{10 * time.Second, 30 * time.Second, time.Minute, 2 * time.Minute, 5 * time.Minute}

// pauseAfter is the pause after so many failures.
func pauseAfter(failures int) time.Duration { return pauses[min(max(failures, 1), len(pauses))-1] }

// lookForOrders is the pause between two looks for a new order, once all attempts have
// failed.
const lookForOrders = time.Minute

// run makes attempts. It returns only with an error: that of the last attempt, or why
// there is none any more.
func (a *attempts) run(ctx context.Context, params wire.Params) error {
	order, unclaimed := "", 0
	for {
		err := a.attempt(ctx, params)
		stays := (params.OnFailure == "" || params.OnFailure == "wait") && !a.stands
		known, wait := "", time.Duration(0)
		if _, last := errors.AsType[lastError](err); last || ctx.Err() != nil {
			return err
		}
		failed, hadPlan := errors.AsType[failedError](err)
		switch {
		case hadPlan && a.failed <= failed.retry:
			unclaimed, wait = 0, pauseAfter(a.failed)
		case !stays:
			return err
		case hadPlan:
			unclaimed, wait, known = 0, lookForOrders, order
		default:
			unclaimed++
			wait = pauseAfter(unclaimed)
		}
		a.console.fail(err)
		if params, order, err = a.next(ctx, params, wait, hadPlan && a.failed > failed.retry, known); err != nil {
			return err
		}
	}
}

// next waits, and asks the server for a new token. If the attempts are used up, it waits
// until the order is another one than the known one; "" means that it is to be asked for.
func (a *attempts) next(ctx context.Context, params wire.Params, wait time.Duration, usedUp bool, known string) (wire.Params, string, error) {
	a.server.Session = ""
	if usedUp {
		a.console.say("no further attempt by itself: this machine waits for a mended file or `cloudlets install %s`; or switch it off and on", params.MAC)
	}
	for n := 1; ; n++ {
		if !usedUp || known != "" {
			wait := jittered(wait)
			if !usedUp {
				a.console.say("this machine asks the server again in %s", wait.Round(time.Second))
			}
			if err := pause.For(ctx, wait); err != nil {
				return params, "", err
			}
		}
		told, order, err := a.server.AskAgain(ctx, params.MAC)
		no, left := errors.AsType[client.Leave](err)
		switch {
		case err == nil && usedUp && (known == "" || order == known):
			known = order
		case err == nil:
			if usedUp {
				a.failed = 0
			}
			params.Token = told.Token
			return params, order, nil
		case left && !no.Mendable:
			return params, "", err
		default:
			a.console.say("%v", err)
			wait = max(wait, pauseAfter(n))
		}
	}
}

// planFailed counts an attempt that had a plan and failed. It returns its error, and
// whether there will be another attempt, with what a person wants to know of that.
func (a *attempts) planFailed(err error, retry int) (failure failedError, again bool, text string) {
	a.failed++
	failure = failedError{err, retry}
	if a.failed > retry {
		return failure, false, fmt.Sprintf("attempt %d of %d", a.failed, retry+1)
	}
	return failure, true, fmt.Sprintf("attempt %d of %d; the next one begins by itself in about %s", a.failed, retry+1, pauseAfter(a.failed))
}

// jittered is a pause that differs by up to a fifth, so that the machines of a rack do
// not all come at once.
func jittered(d time.Duration) time.Duration { return d - d/5 + rand.N(2*d/5+1) }
