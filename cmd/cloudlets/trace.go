package main

import (
	"encoding/json"
	"fmt"

	"github.com/spf13/cobra"

	"cloudlets/provision"
	"cloudlets/web"
)

func traceCommand(socket *string) *cobra.Command {
	var follow, asJSON bool
	cmd := &cobra.Command{
		Use: "trace MAC|HOSTNAME", Short: "Print what a machine did, with the reason for every step", Args: exactArgs(1),
		Long: `Trace prints what a machine did since its first packet, what the server
answered, and the reason for each answer.`,
		Example: "  cloudlets trace 52:54:00:12:34:56 --follow",
		RunE: asking(socket, func(cmd *cobra.Command, c *web.Client, args []string) error {
			tell := func(e provision.Event) error {
				if asJSON {
					return json.NewEncoder(cmd.OutOrStdout()).Encode(e)
				}
				_, err := fmt.Fprintln(shown(cmd), e)
				return err
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
		ValidArgsFunction: completeMachines(socket, 1),
	}
	cmd.Flags().BoolVarP(&follow, "follow", "f", false, "keep printing events as they happen")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print one JSON object per line")
	return cmd
}
