package ask

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

// completionTime bounds how long a shell waits for words.
const completionTime = time.Second

// siteFolder is the site in which words are found when no daemon answers: that which serve
// takes without --site.
const siteFolder = "."

// Words finds what could be meant, where ask asks the daemon, and read the site's files if
// none answers. It takes at most [completionTime], and what cannot be known is no word.
func Words(cmd *cobra.Command, socket string, ask func(context.Context, *api.Client) ([]cobra.Completion, error), read func(*site.Site) []cobra.Completion) []cobra.Completion {
	ctx, stop := context.WithTimeout(cmd.Context(), completionTime)
	defer stop()
	found := make(chan []cobra.Completion, 1)
	go func() {
		c := api.NewClient(socket)
		defer c.Close()
		list, err := ask(ctx, c)
		if err == nil {
			found <- list
			return
		}
		s, err := site.Open(siteFolder, nil)
		if err != nil {
			found <- nil
			return
		}
		found <- read(s)
	}()
	select {
	case list := <-found:
		return list
	case <-ctx.Done(): // the reading of a large site ends with the program
		return nil
	}
}

// CompleteNames completes one of the lists of [api.Names].
func CompleteNames(socket *string, of func(api.Names) []string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return Words(cmd, *socket, func(ctx context.Context, c *api.Client) ([]cobra.Completion, error) {
			names, err := c.Names(ctx)
			return of(names), err
		}, func(s *site.Site) []cobra.Completion {
			return of(api.Names{Profiles: s.Profiles(), Images: s.Images(), Tags: s.Tags()})
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

func profileNames(n api.Names) []string { return n.Profiles }
func ImageNames(n api.Names) []string   { return n.Images }
func tagNames(n api.Names) []string     { return n.Tags }

// CompleteFlags completes those of a verb's flags whose values are names of the site.
func CompleteFlags(cmd *cobra.Command, socket *string) {
	for flag, of := range map[string]func(api.Names) []string{"profile": profileNames, "image": ImageNames, "tag": tagNames} {
		if cmd.Flags().Lookup(flag) != nil {
			_ = cmd.RegisterFlagCompletionFunc(flag, CompleteNames(socket, of))
		}
	}
}

// CompleteNetworks completes the names of networks that the daemon serves.
func CompleteNetworks(socket *string) cobra.CompletionFunc {
	return func(cmd *cobra.Command, _ []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		return Words(cmd, *socket, func(ctx context.Context, c *api.Client) (names []cobra.Completion, err error) {
			list, err := c.Networks(ctx)
			for _, n := range list.Networks {
				names = append(names, cobra.CompletionWithDesc(n.Name, n.Subnet))
			}
			return names, err
		}, func(s *site.Site) (names []cobra.Completion) {
			for _, n := range s.Settings().Networks {
				names = append(names, cobra.CompletionWithDesc(n.Name, n.Subnet.String()))
			}
			return names
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

// CompleteMachines completes machines by hostname, or by MAC: at most so many arguments, or
// any number if most is negative.
func CompleteMachines(socket *string, most int) cobra.CompletionFunc {
	return func(cmd *cobra.Command, args []string, begun string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if most >= 0 && len(args) >= most {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return Words(cmd, *socket, func(ctx context.Context, c *api.Client) (list []cobra.Completion, err error) {
			page, err := c.Page(ctx, roster.Query{Search: begun})
			for _, m := range page.Machines {
				list = append(list, machineWords(m.MAC, m.Hostname, args, begun)...)
			}
			return list, err
		}, func(s *site.Site) (list []cobra.Completion) {
			for _, m := range s.Specs() {
				if list = append(list, machineWords(m.MAC, m.Hostname, args, begun)...); len(list) >= roster.DefaultLimit {
					break
				}
			}
			return list
		}), cobra.ShellCompDirectiveNoFileComp
	}
}

// machineWords are the names of a machine that go on as it was begun, each with the other
// one for the person. A machine that is among the arguments has none.
func machineWords(mac provision.MAC, hostname string, args []string, begun string) (list []cobra.Completion) {
	if slices.Contains(args, string(mac)) || hostname != "" && slices.Contains(args, hostname) {
		return nil
	}
	if hostname != "" && strings.HasPrefix(hostname, begun) {
		list = append(list, cobra.CompletionWithDesc(hostname, string(mac)))
	}
	if (hostname == "" || begun != "") && strings.HasPrefix(string(mac), begun) {
		list = append(list, cobra.CompletionWithDesc(string(mac), hostname))
	}
	return list
}
