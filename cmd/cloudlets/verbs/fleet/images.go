package fleet

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/ask"
	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/cmd/cloudlets/printing"
	"cloudlets/images/bytesize"
	"cloudlets/web/api"
)

func imagesCommand(socket *string) *cobra.Command {
	var asJSON bool
	cmd := &cobra.Command{
		Use: "images", Example: "  cloudlets images\n  cloudlets images --json", Short: "List the site's images and whether they can be booted", Args: exit.ExactArgs(0),
		RunE: ask.Daemon(socket, func(cmd *cobra.Command, c *api.Client, _ []string) error {
			list, err := c.Images(cmd.Context())
			return printing.Answer(cmd, asJSON, list, err, printImages)
		}),
	}
	cmd.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return cmd
}

func printImages(w io.Writer, list []api.Image) {
	if len(list) == 0 {
		fmt.Fprintln(w, "no images yet: put a folder or a tarball with /.cloudlet/manifest in it into the site's images/")
		return
	}
	table := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(table, "IMAGE\tENTRY POINT\tSTATUS\tFILES\tCONTENT\tPACK\tMACHINES")
	for _, i := range list {
		fmt.Fprintf(table, "%s\t%s\t%s\t%d\t%s\t%s\t%d\n", i.Name, entryOf(i), i.Status, i.Entries, bytesize.Decimal(i.Bytes), bytesize.Decimal(i.Pack), i.Machines)
	}
	table.Flush()
	for _, i := range list {
		if i.Error != "" {
			fmt.Fprintf(w, "\n%s: %s\n", i.Name, i.Error)
		}
	}
}

// entryOf is what is booted of an image: an entry point, and whether it is started in memory.
func entryOf(i api.Image) string {
	if !i.Live {
		return printing.Dash(i.EntryPoint)
	}
	return strings.TrimSpace(i.EntryPoint + " live")
}
