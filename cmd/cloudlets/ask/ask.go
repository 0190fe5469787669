// Package ask has how verbs ask the daemon: the client at its socket, in whose name they do,
// and the words that a shell completes.
package ask

import (
	"errors"
	"os"
	"os/user"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/web/api"
)

// Daemon runs a verb with a client of the daemon. If no daemon answers, the exit
// code is [exit.NoDaemon].
func Daemon(socket *string, verb func(cmd *cobra.Command, c *api.Client, args []string) error) func(*cobra.Command, []string) error {
	return func(cmd *cobra.Command, args []string) error {
		c := api.NewClient(*socket)
		defer c.Close()
		err := verb(cmd, c, args)
		if errors.Is(err, api.ErrNoDaemon) {
			return exit.With(err, exit.NoDaemon)
		}
		return err
	}
}

// Caller is the user who runs the command line, for the trace.
func Caller() string {
	if name := os.Getenv("SUDO_USER"); name != "" {
		return name
	}
	if u, err := user.Current(); err == nil {
		return u.Username
	}
	return "the command line"
}
