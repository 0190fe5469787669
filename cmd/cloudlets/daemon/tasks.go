//go:build linux

package daemon

import (
	"context"
	"errors"
	"fmt"

	"golang.org/x/sync/errgroup"
)

// task is a part of the daemon that runs until its context ends.
type task struct {
	// name says what the task does: "serve DHCP". Its error begins with it.
	name string
	run  func(context.Context) error
}

// errEnded is the error of a task that returns although its context goes on.
var errEnded = errors.New("it ended and should not have")

// runGroups runs groups of tasks until ctx ends or a task fails. Then it stops
// one group after the other, in the order given: all tasks of a group have
// ended before the next group is stopped. A later group can thus rely on
// getting nothing more from an earlier one.
func runGroups(ctx context.Context, groups ...[]task) error {
	running, stopAll := context.WithCancel(ctx)
	defer stopAll()
	var started []*group
	for _, tasks := range groups {
		started = append(started, startGroup(context.WithoutCancel(ctx), tasks, stopAll))
	}
	<-running.Done()
	var errs []error
	for _, g := range started {
		errs = append(errs, g.end())
	}
	return errors.Join(errs...)
}

// group is a group of tasks that run.
type group struct {
	tasks errgroup.Group
	stop  context.CancelFunc
}

// startGroup starts tasks. It calls failed if one of them ends by itself.
func startGroup(ctx context.Context, tasks []task, failed func()) *group {
	ctx, stop := context.WithCancel(ctx)
	g := &group{stop: stop}
	for _, t := range tasks {
		g.tasks.Go(func() error {
			err := t.run(ctx)
			switch {
			case ctx.Err() != nil && (err == nil || errors.Is(err, context.Canceled)):
				return nil
			case err == nil:
				err = errEnded
			}
			failed()
			return fmt.Errorf("%s: %w", t.name, err)
		})
	}
	return g
}

// end stops the tasks and waits for them. It returns the first error.
func (g *group) end() error {
	g.stop()
	return g.tasks.Wait()
}
