package imageflags

import (
	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/stdio"
	"cloudlets/images/registry"
)

// Registry are the flags that say how to speak to a registry.
type Registry struct{ insecure bool }

// Add adds the flags to a verb.
func (f *Registry) Add(cmd *cobra.Command) {
	cmd.Flags().BoolVar(&f.insecure, "insecure", false, "allow plain HTTP to a registry on another host")
}

// Options returns options with a progress bar. The caller calls end.
func (f *Registry) Options(cmd *cobra.Command, what string) (opt registry.Options, end func()) {
	var (
		show *stdio.Progress
		last int64
	)
	opt = registry.Options{Insecure: f.insecure, Progress: func(done, total int64) {
		if show == nil { // the total is known only now
			show = stdio.NewProgress(cmd.ErrOrStderr(), what, total)
		}
		show.Add(done - last)
		last = done
	}}
	return opt, func() {
		if show != nil {
			show.End()
		}
	}
}
