package main

import (
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"cloudlets/provision"
	"cloudlets/web"
)

func approveCommand(socket *string) *cobra.Command {
	var a provision.Approval
	var install, dryRun, asJSON bool
	cmd := &cobra.Command{
		Use: "approve MAC", Short: "Make a stranger a machine of the site: write its file", Args: exactArgs(1),
		Long: `Approve writes the file of a machine into machines/ of the site. The file is
checked first, as if it were there; one that would be a mistake is not written.
A file that is there keeps its comments and what no flag names.

A stranger that was inspected and waits starts again, as its file says.`,
		Example: "  cloudlets approve 52:54:00:12:34:56 --profile web --name node41\n  cloudlets approve 52:54:00:12:34:56 --image debian-12 --name node41 --install",
		RunE: asking(socket, func(cmd *cobra.Command, c *web.Client, args []string) (err error) {
			if a.MAC, err = provision.ParseMAC(args[0]); err != nil {
				return codedError{err, exitUsage}
			}
			if a.Profile == "" && a.Image == "" {
				return codedError{fmt.Errorf("approve %s as what? name a profile or an image: --profile NAME or --image NAME", a.MAC), exitUsage}
			}
			done, err := c.Approve(cmd.Context(), web.Approvals{By: caller(), Machines: []provision.Approval{a}, Install: install, DryRun: dryRun})
			return show(cmd, asJSON, done, err, func(w io.Writer, done web.Approved) { printApproved(w, done, dryRun) })
		}),
		ValidArgsFunction: completeMachines(socket, 1),
	}
	cmd.Flags().StringVar(&a.Profile, "profile", "", "the profile that its file extends")
	cmd.Flags().StringVar(&a.Hostname, "name", "", "its hostname")
	cmd.Flags().StringVar(&a.Image, "image", "", "its image, if the profile does not name it")
	cmd.Flags().StringVar(&a.Address, "address", "", "the address that DHCP reserves for it")
	cmd.Flags().BoolVar(&install, "install", false, "arm its install, too")
	cmd.Flags().BoolVar(&dryRun, "dry-run", false, "print the file, and write nothing")
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printApproved(w io.Writer, done web.Approved, dryRun bool) {
	for _, f := range done.Files {
		if dryRun {
			fmt.Fprintf(w, "%s would be\n%s", f.File, f.Text)
		} else {
			fmt.Fprintf(w, "%s is written\n", f.File)
		}
	}
}
