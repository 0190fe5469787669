package server

import (
	"cmp"
	"fmt"
	"io"
	"slices"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

func leasesCommand(socket *string) *cobra.Command {
	var q api.LeaseQuery
	var asJSON, watch bool
	cmd := &cobra.Command{
		Use: "leases [NAME|MAC|ADDRESS|SUBNET]...", Short: "List the addresses that DHCP gave out",
		Long: `Leases lists which client has which address by DHCPv4 and DHCPv6, in the order of
the addresses: those of all servers that share the store. HOSTNAME is what the
client calls itself, or else the name that DHCP gave it, SINCE how long it has had the address without a break, and
EXPIRES when the lease ends unless the client renews it. A lease that has ended
is listed with --all; its client gets the same address again, as long as no other
needs it. A client that is no machine of the site is a stranger.

With names of machines, ranges such as node[1-20], MACs, addresses or subnets it
lists the leases of those.`,
		Example: "  cloudlets leases\n  cloudlets leases node1\n  cloudlets leases 10.0.0.0/28 --all\n  cloudlets leases --network lab --watch",
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, args []string) error {
			names, err := roster.ExpandNames(args)
			if err != nil {
				return exit.With(err, exit.Usage)
			}
			if watch {
				return printing.Watch(cmd, func(w io.Writer) error {
					list, err := findLeases(cmd, c, names, q)
					printLeases(w, list)
					return err
				})
			}
			list, err := findLeases(cmd, c, names, q)
			return printing.Answer(cmd, asJSON, list, err, printLeases)
		}),
		ValidArgsFunction: ask.CompleteMachines(socket, -1),
	}
	cmd.Flags().StringVar(&q.Network, "network", "", "only leases of this network")
	cmd.Flags().BoolVarP(&q.All, "all", "a", false, "also leases that have ended")
	cmd.Flags().BoolVarP(&watch, "watch", "w", false, "show the list anew every second, until interrupted")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	cmd.MarkFlagsMutuallyExclusive("watch", "json")
	_ = cmd.RegisterFlagCompletionFunc("network", ask.CompleteNetworks(socket))
	return cmd
}

// findLeases asks for the leases of each name, or for all if there is no name.
func findLeases(cmd *cobra.Command, c *api.Client, names []string, q api.LeaseQuery) ([]api.Lease, error) {
	if names == nil {
		return c.Leases(cmd.Context(), q)
	}
	list := []api.Lease{}
	for _, name := range names {
		q.Of = name
		found, err := c.Leases(cmd.Context(), q)
		if err != nil {
			return nil, err
		}
		list = append(list, found...)
	}
	slices.SortFunc(list, func(a, b api.Lease) int { return a.Address.Compare(b.Address) })
	return slices.CompactFunc(list, func(a, b api.Lease) bool { return a.Address == b.Address }), nil
}

func printLeases(w io.Writer, list []api.Lease) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no such leases")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "ADDRESS\tMAC\tMACHINE\tHOSTNAME\tNETWORK\tSERVER\tSINCE\tEXPIRES")
	for _, l := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\n", l.Address, printing.Dash(string(l.MAC)), whose(l), printing.Dash(l.Hostname), printing.Dash(l.Network), printing.Dash(l.Server), printing.Since(l.Since), expiresText(l))
	}
	table.Flush()
}

// whose says which machine has a lease.
func whose(l api.Lease) string {
	switch {
	case l.MAC == "":
		return "(kept out of use)"
	case l.Machine == "":
		return "(stranger)"
	}
	return cmp.Or(l.Name, string(l.Machine))
}

func expiresText(l api.Lease) string {
	if l.Ended {
		return "ended " + printing.Since(l.Expires) + " ago"
	}
	return "in " + time.Until(l.Expires).Round(time.Second).String()
}
