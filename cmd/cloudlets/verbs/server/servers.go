package server

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/web/api"
)

func serversCommand(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "servers", Short: "List the servers that share the store", Args: exit.ExactArgs(0),
		Long: `Servers lists the servers that share the store of this host's daemon, and
are alive: see "store" in cloudlets.json. Each serves all machines, from its
own copy of the site. If a copy differs from this host's, the list says so.`,
		Example: "  cloudlets servers\n  cloudlets servers --json",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, _ []string) error {
			list, err := c.Servers(cmd.Context())
			return printing.Answer(cmd, asJSON, list, err, printServers)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printServers(w io.Writer, list api.Servers) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "SERVER\tADDRESS\tVERSION\tUP FOR\tSITE")
	for _, s := range list.Servers {
		name := s.Name
		if s.Self {
			name += " (this one)"
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\n", name, s.URL, s.Version, printing.Since(s.Started), siteText(s))
	}
	table.Flush()
	printing.Warnings(w, list.Warnings)
}

// siteText is the beginning of a site's digest, as people compare it.
func siteText(s api.ServerInfo) string {
	_, digest, _ := strings.Cut(s.Site, ":")
	text := digest[:min(len(digest), 12)]
	if s.SiteDiffers {
		text += " (differs)"
	}
	return text
}
