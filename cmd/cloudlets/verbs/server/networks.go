package server

import (
	"fmt"
	"io"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/web/api"
)

func networksCommand(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "networks", Short: "List the networks that the server serves", Args: exit.ExactArgs(0),
		Long: `Networks lists the networks of this host's daemon: see "networks" in
cloudlets.json. It shows how each is reached, how many addresses its pool has
and how many are in use, and which machines asked for an address in the last
ten minutes and got none, with the reason. Below, it lists why requests got no
address since the server started, with counts, and which other DHCP servers
were seen in the last 24 hours. The server looks for those when it starts and
every ten minutes, on the interfaces where it gives out addresses.`,
		Example: "  cloudlets networks\n  cloudlets networks --json",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, _ []string) error {
			list, err := c.Networks(cmd.Context())
			return printing.Answer(cmd, asJSON, list, err, printNetworks)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printNetworks(w io.Writer, list api.Networks) {
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "NETWORK\tSUBNET\tREACHED\tDHCP\tIN USE\tWAITING")
	for _, n := range list.Networks {
		use := "-"
		if n.DHCP == "pool" {
			use = fmt.Sprintf("%d of %d", n.PoolUsed, n.PoolSize)
		}
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%d\n", n.Name, printing.Dash(n.Subnet), n.Reached(), n.DHCP, use, len(n.Waiting))
	}
	table.Flush()
	for _, n := range list.Networks {
		printWaiting(w, "wait for an address of "+n.Name, n.Waiting)
		printUnanswered(w, "on "+n.Name, n.Unanswered)
		printOtherServers(w, n)
	}
	printWaiting(w, "wait behind relays of networks that are not served", list.Elsewhere)
	printUnanswered(w, "of networks that are not served", list.UnansweredElsewhere)
}

// printUnanswered lists why requests got no address.
func printUnanswered(w io.Writer, where string, all []api.UnansweredInfo) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\nRequests %s that got no address:\n", where)
	for _, u := range all {
		fmt.Fprintf(w, "  %d times, last %s ago by %s: %s\n", u.Requests, printing.Since(u.Last), u.MAC, u.Reason)
	}
}

// printOtherServers lists the other DHCP servers of a network.
func printOtherServers(w io.Writer, n api.NetworkInfo) {
	if len(n.OtherServers) == 0 {
		return
	}
	fmt.Fprintf(w, "\nOther DHCP servers on %s:\n", n.Name)
	for _, o := range n.OtherServers {
		fmt.Fprintf(w, "  %s %s; seen on %s, first %s ago, last %s ago\n", o.Server, o.Does(), o.Interface, printing.Since(o.Since), printing.Since(o.Last))
	}
}

// printWaiting lists machines without an address.
func printWaiting(w io.Writer, title string, all []api.WaitingInfo) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintf(w, "\nThese %s:\n", title)
	for _, m := range all {
		fmt.Fprintf(w, "  %s asked %d times, last %s ago: %s\n", m.MAC, m.Requests, printing.Since(m.Last), m.Reason)
	}
}
