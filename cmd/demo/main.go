// Command demo shows on one computer what cloudlets is for. It makes a cloudlet of
// a real Debian and serves it on a private bridge in a network namespace. Then it
// switches on two blank virtual machines, one with BIOS and one with UEFI, which
// install themselves; and one of them updates itself to a second version of the image, and
// goes back. It needs root. No packet leaves the namespace. Start reading
// at run in demo.go.
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	var o options
	flag.StringVar(&o.program, "program", "bin/cloudlets", "the cloudlets `binary`")
	flag.StringVar(&o.cache, "cache", ".cache", "the `folder` that keeps the Debian root")
	flag.StringVar(&o.overlay, "overlay", "testdata/debian", "the `folder` with the cloudlet's own files")
	flag.BoolVar(&o.imageOnly, "image-only", false, "only make the Debian cloudlet and print where it is")
	flag.BoolVar(&o.keep, "keep", false, "leave everything running until interrupted")
	flag.Parse()
	if err := run(ctx, o, os.Stdout); err != nil {
		if ctx.Err() != nil {
			fmt.Fprintln(os.Stderr, "demo: interrupted; everything that it started is gone")
			os.Exit(130)
		}
		fmt.Fprintln(os.Stderr, "demo:", err)
		os.Exit(1)
	}
}
