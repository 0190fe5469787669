package enrol

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/provision"
	"cloudlets/provision/naming"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// approveFlags say which machines are approved, and what their files shall say.
type approveFlags struct {
	file    provision.Approval // with patterns, and without a MAC
	waiting bool
	sort    string
	first   int
}

func (f *approveFlags) add(cmd *cobra.Command) {
	cmd.Flags().StringVar(&f.file.Profile, "profile", "", "the profile that their files extend")
	cmd.Flags().StringVar(&f.file.Hostname, "name", "", "the hostname, or a pattern of names: node[1-40], node{n:02}")
	cmd.Flags().StringVar(&f.file.Image, "image", "", "their image, if the profile does not name it")
	cmd.Flags().StringVar(&f.file.Address, "address", "", "the address that DHCP reserves, or a pattern: 10.0.3.[11-50], 10.0.3.{n+10}")
	cmd.Flags().BoolVar(&f.waiting, "waiting", false, "all strangers that were inspected and wait")
	cmd.Flags().StringVar(&f.sort, "sort", "", "the `order` in which machines take names: since, mac, serial or port (default: as they are named)")
	cmd.Flags().IntVar(&f.first, "first", 1, "the `number` of the first machine, for {n}")
	_ = cmd.RegisterFlagCompletionFunc("sort", cobra.FixedCompletions([]string{"since", "mac", "serial", "port"}, cobra.ShellCompDirectiveNoFileComp))
}

// args checks the arguments and flags before anything is asked.
func (f *approveFlags) args(_ *cobra.Command, args []string) error {
	switch {
	case f.waiting == (len(args) > 0):
		return errors.New("approve which machines? give their MAC addresses, or --waiting for all that wait")
	case f.file.Profile == "" && f.file.Image == "":
		return errors.New("approve them as what? name a profile or an image: --profile NAME or --image NAME")
	case f.first < 0:
		return fmt.Errorf("--first %d is below 0", f.first)
	}
	if _, known := approvalOrders[f.sort]; f.sort != "" && !known {
		return fmt.Errorf("--sort %s is no order; there are since, mac, serial and port", f.sort)
	}
	for _, arg := range args {
		if _, err := provision.ParseMAC(arg); err != nil {
			return err
		}
	}
	return nil
}

// approvalOrders compare two machines. All are total, since MACs differ.
var approvalOrders = map[string]func(a, b api.Detail) int{
	"since":  func(a, b api.Detail) int { return a.Since.Compare(b.Since) },
	"mac":    func(a, b api.Detail) int { return 0 },
	"serial": func(a, b api.Detail) int { return byValue(a.Facts["serial"], b.Facts["serial"]) },
	"port": func(a, b api.Detail) int {
		one, two := attributesOf(a), attributesOf(b)
		return cmp.Or(byValue(one["switch"], two["switch"]), byValue(one["port"], two["port"]))
	},
}

// byValue compares names, with the numbers in them by their value. Those that are not known
// come last.
func byValue(a, b string) int {
	switch {
	case a == "" && b != "":
		return 1
	case b == "" && a != "":
		return -1
	}
	return cmp.Compare(naming.SortKey(a), naming.SortKey(b))
}

func attributesOf(m api.Detail) map[string]string {
	if m.Inspection == nil {
		return nil
	}
	return m.Inspection.Attributes()
}

// machines are the approvals of the machines that a person named, in order, with their
// names and addresses.
func (f *approveFlags) machines(ctx context.Context, c *api.Client, args []string) ([]provision.Approval, error) {
	macs, err := f.ordered(ctx, c, args)
	if err != nil {
		return nil, err
	}
	if len(macs) == 0 {
		return nil, errors.New("no stranger waits: `cloudlets machines --strangers` lists those that were seen")
	}
	return f.approvals(macs)
}

// approvals gives the machines their names and addresses.
func (f *approveFlags) approvals(macs []provision.MAC) ([]provision.Approval, error) {
	names, all := newSeries(f.first), make([]provision.Approval, len(macs))
	for i, mac := range macs {
		all[i] = f.file
		all[i].MAC = mac
		if err := names.name(&all[i]); err != nil {
			return nil, exit.With(err, exit.Usage)
		}
		if i == 0 {
			continue
		}
		switch first := all[0]; {
		case all[i].Hostname != "" && all[i].Hostname == first.Hostname:
			return nil, exit.With(fmt.Errorf("all %d machines would be called %s; give a pattern, such as --name 'node[1-%d]' or --name 'node{n}'", len(macs), first.Hostname, len(macs)), exit.Usage)
		case all[i].Address != "" && all[i].Address == first.Address:
			return nil, exit.With(fmt.Errorf("all %d machines would have the address %s; give a pattern, such as --address '10.0.3.{n+10}'", len(macs), first.Address), exit.Usage)
		}
	}
	return all, nil
}

// ordered are the machines' MACs in the order in which they take names.
func (f *approveFlags) ordered(ctx context.Context, c *api.Client, args []string) (macs []provision.MAC, err error) {
	var machines []api.Detail
	order := f.sort
	if f.waiting {
		order = cmp.Or(order, "since")
		list, err := c.Machines(ctx, roster.Query{List: roster.List(provision.StageInspect)})
		if err != nil {
			return nil, err
		}
		for _, m := range list {
			if !m.Described && m.CardOf == "" {
				machines = append(machines, api.Detail{Machine: m})
			}
		}
	}
	for _, arg := range args {
		mac, _ := provision.ParseMAC(arg) // args has checked it
		machines = append(machines, api.Detail{Machine: api.Machine{MAC: mac}})
	}
	if order != "" && order != "mac" && (order == "port" || !f.waiting) {
		for i, m := range machines {
			if machines[i], err = c.Machine(ctx, string(m.MAC)); err != nil {
				return nil, err
			}
		}
	}
	return sorted(machines, order), nil
}

// sorted are the MACs of machines in an order; "" leaves them as they are.
func sorted(machines []api.Detail, order string) []provision.MAC {
	if order != "" {
		slices.SortFunc(machines, func(a, b api.Detail) int {
			return cmp.Or(approvalOrders[order](a, b), cmp.Compare(a.MAC, b.MAC))
		})
	}
	macs := make([]provision.MAC, len(machines))
	for i, m := range machines {
		macs[i] = m.MAC
	}
	return macs
}
