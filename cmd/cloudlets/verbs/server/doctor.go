package server

import (
	"errors"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/doctor"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
)

func doctorCommand(socket *string) *cobra.Command {
	var f serveFlags
	var asJSON bool
	cmd := &cobra.Command{
		Use: "doctor", Short: "Say what would not work, before anyone walks to the rack", Args: exit.ExactArgs(0),
		Long: `Doctor checks everything that serve needs, and takes the same flags. It checks
the interface and its address, the ports, other DHCP servers, the boot loaders,
the site's files, and for each image its kernel and drivers. It packs images
that are not packed yet, and renders each machine's templates and command lines
(see "cloudlets check").

If a cloudlets server is running with these flags, doctor fetches every boot file
from it by TFTP, as firmware would, and reports each file's size and how long it
took. Doctor then also says what that server has seen on each network: how full
the pool is, other DHCP servers, and requests that got no address, with the
reason (see "cloudlets networks").`,
		Example: "  cloudlets doctor --interface eth1 --site /srv/site --dhcp proxy",
		RunE: func(cmd *cobra.Command, _ []string) error {
			findings, err := examine(cmd.Context(), f, *socket)
			if err != nil {
				return err
			}
			if asJSON {
				err = printing.JSON(cmd.OutOrStdout(), findings)
			} else {
				printFindings(printing.Text(cmd), findings)
			}
			return errors.Join(err, verdict(findings))
		},
	}
	f.register(cmd)
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printFindings(w io.Writer, findings []doctor.Finding) {
	for _, x := range findings {
		if x.Problem == "" {
			fmt.Fprintf(w, "ok    %s\n", x.What)
		} else {
			fmt.Fprintf(w, "FAIL  %s: %s\n", x.What, x.Problem)
		}
	}
}

func verdict(findings []doctor.Finding) error {
	bad := 0
	for _, x := range findings {
		if x.Problem != "" {
			bad++
		}
	}
	if bad > 0 {
		return fmt.Errorf("%d of %d checks failed", bad, len(findings))
	}
	return nil
}
