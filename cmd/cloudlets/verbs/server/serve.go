package server

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
)

// serveFlags are the server's flags. Empty ones take their value from the site's
// cloudlets.json, or else from the defaults.
type serveFlags struct {
	site, iface, dhcp, http, tftp, assets, state, web string
	logFormat                                         string
	verbose                                           bool
}

// The server's defaults.
const (
	defaultState = "/var/lib/cloudlets"
	defaultHTTP  = ":80"
	defaultTFTP  = ":69"
)

func serveCommand(socket *string, version string) *cobra.Command {
	var f serveFlags
	cmd := &cobra.Command{
		Use: "serve", Short: "Serve DHCP, TFTP and HTTP boot on an interface", Args: exit.ExactArgs(0),
		Long: `Serve boots the machines of a site: a folder with images/, machines/ and
profiles/. It answers DHCP as the network's own server, for a range of
addresses, or as a proxy beside the server that is there already.

No disk is written unless a person armed the machine's install, with
"install": "once" in its file or with the verb install.

The log has a line for what a person wants to know: an install begins, ends or
fails, a file of the site has a mistake, an image is ready. With --verbose it
has one for each packet, too.

Under systemd, use Type=notify: serve tells systemd when all its sockets are
open.`,
		Example: `  cloudlets serve --interface eth1 --site /srv/site --dhcp 10.0.0.100-10.0.0.200
  cloudlets serve --interface eth1 --site /srv/site --dhcp proxy`,
		RunE: func(cmd *cobra.Command, _ []string) error {
			log, err := printing.NewLogger(cmd.ErrOrStderr(), f.logFormat, f.verbose)
			if err != nil {
				return err
			}
			return f.serve(cmd.Context(), *socket, version, log)
		},
	}
	f.register(cmd)
	cmd.Flags().StringVar(&f.web, "web", "", "also serve a read-only page about the machines at this `address`, such as 127.0.0.1:8080")
	cmd.Flags().BoolVarP(&f.verbose, "verbose", "v", false, "log every packet and every file, and not only what begins, ends and fails")
	cmd.Flags().StringVar(&f.logFormat, "log-format", "text", "the `form` of the log: text or json")
	_ = cmd.RegisterFlagCompletionFunc("log-format", cobra.FixedCompletions([]cobra.Completion{"text", "json"}, cobra.ShellCompDirectiveNoFileComp))
	return cmd
}

// register adds the flags that serve and doctor share.
func (f *serveFlags) register(cmd *cobra.Command) {
	flags := cmd.Flags()
	flags.StringVar(&f.site, "site", ".", "the `folder` with images/, machines/ and profiles/")
	flags.StringVar(&f.iface, "interface", "", "the network `interface` to serve")
	flags.StringVar(&f.dhcp, "dhcp", "", "`what` DHCP does: give out a range of addresses (FIRST-LAST), \"proxy\", or \"off\" (default \"proxy\")")
	flags.StringVar(&f.http, "http", "", "the `address` to serve HTTP boot on (default \""+defaultHTTP+"\")")
	flags.StringVar(&f.tftp, "tftp", "", "the `address` to serve TFTP on, or \"off\" (default \""+defaultTFTP+"\")")
	flags.StringVar(&f.assets, "assets", "", "a `folder` with boot loaders, searched before the folders of Debian's packages, and with cloudlets-arm64 for arm64 machines")
	flags.StringVar(&f.state, "state", "", "the `folder` for leases, events and packed images (default \""+defaultState+"\")")
	_ = cmd.MarkFlagDirname("site")
	_ = cmd.MarkFlagDirname("assets")
	_ = cmd.MarkFlagDirname("state")
	_ = cmd.RegisterFlagCompletionFunc("dhcp", cobra.FixedCompletions([]cobra.Completion{"proxy", "off"}, cobra.ShellCompDirectiveNoFileComp))
}
