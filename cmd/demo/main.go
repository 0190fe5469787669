// Command demo shows the main job on one computer: it makes a cloudlet out of
// a real Debian, serves it on a private bridge in a network namespace, and
// switches on two blank virtual machines, one BIOS and one UEFI, which install
// themselves. It needs root; nothing outside the namespace sees a packet.
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
	flag.BoolVar(&o.imageOnly, "image-only", false, "make the Debian cloudlet, print where it is, and end")
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
