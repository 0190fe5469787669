package fleet

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/provision"
	"cloudlets/web/api"
)

func traceCommand(socket *string) *cobra.Command {
	var follow, asJSON bool
	var until string
	cmd := &cobra.Command{
		Use: "trace MAC|HOSTNAME", Short: "Print what a machine did, with the reason for every step", Args: exit.ExactArgs(1),
		Long: `Trace prints what a machine did since its first packet, what the server
answered, and the reason for each answer. With --until it follows, and ends when
the machine is installed or runs; if it failed meanwhile and does not try again
by itself, the exit code is 1.`,
		Example: "  cloudlets trace 52:54:00:12:34:56 --follow\n  cloudlets trace node1 --until running",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			tell := func(e provision.Event) error {
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
				}
				_, err := fmt.Fprintln(printing.Text(cmd), e)
				return err
			}
			if until != "" {
				return followUntil(cmd.Context(), c, args[0], provision.Stage(until), tell)
			}
			if follow {
				return c.Follow(cmd.Context(), args[0], 0, tell)
			}
			events, err := c.Events(cmd.Context(), args[0], 0, 0)
			for _, e := range events {
				if err := tell(e); err != nil {
					return err
				}
			}
			return err
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, 1),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing events as they happen")
	cmd.Flags().StringVar(&until, "until", "", "follow until the machine is in this stage: installed or running")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}

// errReached ends a stream of events.
var errReached = errors.New("the machine has come so far")

// followUntil follows a machine until it is installed, or runs. Events before the call
// do not count, except if the machine is there already.
func followUntil(ctx context.Context, c *api.Client, name string, stage provision.Stage, tell func(provision.Event) error) error {
	if stage != provision.StageInstalled && stage != provision.StageRunning {
		return exit.With(fmt.Errorf("--until: want installed or running, have %q", stage), exit.Usage)
	}
	m, err := c.Machine(ctx, name)
	if err != nil {
		return err
	}
	if m.Stage == stage {
		events, err := c.Events(ctx, name, 0, 0)
		for _, e := range events {
			err = errors.Join(err, tell(e))
		}
		return err
	}
	err = c.Follow(ctx, name, 0, func(e provision.Event) error {
		switch err := tell(e); {
		case err != nil:
			return err
		case e.Time.Before(m.Seen) || e.Time.Equal(m.Seen):
			return nil
		case e.Kind == provision.KindFailed && !e.Again:
			return fmt.Errorf("%s: %s", name, e.Text)
		case e.Kind == provision.KindRunning, e.Kind == provision.KindDone && stage == provision.StageInstalled:
			return errReached
		}
		return nil
	})
	if errors.Is(err, errReached) {
		return nil
	}
	return err
}
