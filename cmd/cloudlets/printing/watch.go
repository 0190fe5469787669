package printing

import (
	"bytes"
	"fmt"
	"io"
	"time"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
)

// Watch prints anew every second, in the place of what it printed before.
func Watch(cmd *cobra.Command, print func(io.Writer) error) error {
	const clear = "\x1b[H\x1b[J" // home, and erase what is below (ECMA-48)
	again := time.NewTicker(time.Second)
	defer again.Stop()
	for {
		var page bytes.Buffer
		if err := print(&stdio.CleanWriter{W: &page}); err != nil {
			return err
		}
		if _, err := fmt.Fprint(cmd.OutOrStdout(), clear, page.String()); err != nil {
			return err
		}
		select {
		case <-cmd.Context().Done():
			return nil
		case <-again.C:
		}
	}
}
