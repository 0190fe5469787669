package main

import (
	"encoding/json"
	"errors"
	"io"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/web/api"
)

// machineCommands are the verbs that ask the daemon about machines and images.
func machineCommands(socket *string) []*cobra.Command {
	cmds := []*cobra.Command{machinesCommand(socket), traceCommand(socket), installCommand(socket), rolloutsCommand(socket), rollbackCommand(socket), bootCommand(socket), confirmCommand(socket), consoleCommand(socket), approveCommand(socket), importMachinesCommand(socket), forgetCommand(socket), imagesCommand(socket)}
	for _, cmd := range cmds {
		cmd.GroupID = "machines"
	}
	return cmds
}

// asking runs a verb with a client of the daemon. If no daemon answers, the exit
// code is exitNoDaemon.
func asking(socket *string, verb func(cmd *cobra.Command, c *api.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c := api.NewClient(*socket)
		defer c.Close()
		err := verb(cmd, c, args)
		if errors.Is(err, api.ErrNoDaemon) {
			return codedError{err, exitNoDaemon}
		}
		return err
	}
}

// show prints an answer of the daemon as JSON, or for people with print. It
// returns err if the daemon answered with an error.
func show[T any](cmd *cobra.Command, asJSON bool, answer T, err error, print func(io.Writer, T)) error {
	if err != nil {
		return err
	}
	if asJSON {
		return printJSON(cmd.OutOrStdout(), answer)
	}
	print(shown(cmd), answer)
	return nil
}

// shown is where text goes that has parts from machines, images and files: it
// cannot take over a person's terminal.
func shown(cmd *cobra.Command) io.Writer { return &stdio.CleanWriter{W: cmd.OutOrStdout()} }

func printJSON(w io.Writer, value any) error {
	encoder := json.NewEncoder(w)
	encoder.SetEscapeHTML(false) // no browser reads the output
	encoder.SetIndent("", "  ")
	return encoder.Encode(value)
}

// caller is the user who runs the command line, for the trace.
func caller() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "the command line"
}
