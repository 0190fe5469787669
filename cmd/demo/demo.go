package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/testdata/bed"
	"cloudlets/web"
)

type options struct {
	program, cache, overlay string
	keep, imageOnly         bool
}

// The size of the machines' disks, in bytes, and the time limit of the demo, which
// is long enough for a slow computer.
const (
	diskSize = 3 << 30
	patience = 30 * time.Minute
)

// host is one machine of the demo.
type host struct {
	name, role, address string
	handover            string
	spec                bed.Spec
	machine             *bed.Machine
	// login and local are the times from switch-on to the login prompt: with
	// the install, and of a boot of the same disk without the network.
	login, local time.Duration
}

func hosts(dir string) []*host {
	list := []*host{
		{name: "node1", role: "a web server", address: "10.77.0.11", handover: "switch", spec: bed.Spec{MAC: "52:54:00:00:00:01", Firmware: bed.BIOS}},
		{name: "node2", role: "a database", address: "10.77.0.12", handover: "reboot", spec: bed.Spec{MAC: "52:54:00:00:00:02", Firmware: bed.UEFI}},
	}
	for _, h := range list {
		h.spec.Disks = []bed.Disk{{File: filepath.Join(dir, h.name+".img"), Serial: h.name}}
	}
	return list
}

// run is the whole demo. Before it returns, it ends everything that it started.
func run(ctx context.Context, o options, out io.Writer) (err error) {
	ctx, stop := context.WithTimeout(ctx, patience)
	defer stop()
	if os.Geteuid() != 0 {
		return errors.New("the demo makes network namespaces, which needs root: run it with `make demo`")
	}
	image, err := bed.DebianCloudlet(ctx, mustAbs(o.cache), mustAbs(o.overlay), os.Stderr)
	if err != nil {
		return err
	}
	if o.imageOnly {
		_, err := fmt.Fprintln(out, image)
		return err
	}
	dir, err := os.MkdirTemp("", "cloudlets-demo-")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	machines := hosts(dir)
	if err := describe(dir, image, machines); err != nil {
		return err
	}
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, network.Close()) }()
	daemon, err := bed.Serve(ctx, network, mustAbs(o.program), dir, "--dhcp", "10.77.0.100-10.77.0.200")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, daemon.Stop()) }()
	defer switchOff(machines)
	client := web.NewClient(daemon.Socket())
	defer client.Close()
	return perform(ctx, o, out, network, dir, daemon, client, machines)
}

func mustAbs(name string) string {
	abs, err := filepath.Abs(name)
	if err != nil {
		return name
	}
	return abs
}

// describe writes the site: one image, and a file for each machine.
func describe(dir, image string, machines []*host) error {
	site := filepath.Join(dir, "site")
	if err := bed.NewSite(site, image, "debian-12"); err != nil {
		return err
	}
	for _, h := range machines {
		file := map[string]any{
			"image": "debian-12", "hostname": h.name, "address": h.address, "handover": h.handover, "install": "once",
			"config": map[string]any{"args": map[string]any{"role": h.role}},
		}
		err := errors.Join(bed.WriteMachine(site, h.spec.MAC, file), bed.NewDisk(h.spec.Disks[0].File, diskSize))
		if err != nil {
			return err
		}
	}
	return nil
}

// perform shows the installs, boots the same disks once more without the network,
// and prints the table.
func perform(ctx context.Context, o options, out io.Writer, network *bed.Network, dir string, daemon *bed.Daemon, client *web.Client, machines []*host) error {
	if err := waitForImage(ctx, client, out); err != nil {
		return err
	}
	page, closePage, err := servePage(daemon.Socket())
	if err != nil {
		return err
	}
	defer closePage()
	fmt.Fprintf(out, "the machines in a browser: %s\n", page)
	if err := boot(ctx, out, network, dir, client, machines, false); err != nil {
		return fmt.Errorf("%w\n\nthe end of the daemon's log:\n%s", err, tail(daemon.Log()))
	}
	details, err := stages(ctx, client, machines)
	if err != nil {
		return err
	}
	if !o.keep {
		switchOff(machines)
		fmt.Fprintln(out, "\nboth machines are installed; booting the same disks once more, without the network, to compare")
		if err := boot(ctx, out, network, dir, client, machines, true); err != nil {
			return err
		}
	}
	printTable(out, machines, details)
	if !o.keep {
		fmt.Fprintln(out, "\nTo look around on the installed machines: make demo KEEP=1")
		return nil
	}
	return keep(ctx, out, daemon, page, machines)
}

// waitForImage waits until the image is packed, so that the times in the table do
// not include the packing.
func waitForImage(ctx context.Context, client *web.Client, out io.Writer) error {
	fmt.Fprintln(out, "packing the image (once)")
	for {
		list, err := client.Images(ctx)
		if err != nil {
			return err
		}
		for _, image := range list {
			switch image.Status {
			case web.ImageReady:
				fmt.Fprintf(out, "the image is ready: %d files, %s, %s to fetch\n", image.Entries, size(image.Bytes), size(image.Pack))
				return nil
			case web.ImageFailed:
				return fmt.Errorf("the image %s cannot be booted: %s", image.Name, image.Error)
			}
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// broken matches the console output of a machine that will not get to its login
// prompt.
var broken = []*regexp.Regexp{regexp.MustCompile(`cloudlets: FAILED: .*`), regexp.MustCompile(`Kernel panic.*`)}

// boot switches all machines on and watches them until the last one shows its
// login prompt.
func boot(ctx context.Context, out io.Writer, network *bed.Network, dir string, client *web.Client, machines []*host, local bool) error {
	tasks, inner := errgroup.WithContext(ctx)
	watching, done := context.WithCancel(inner)
	defer done()
	if !local {
		w := newWatch(out, machines)
		finished := make(chan struct{})
		go func() { defer close(finished); w.run(watching, client) }()
		defer func() { done(); <-finished }()
	}
	for _, h := range machines {
		tasks.Go(func() error { return h.boot(inner, network, dir, local) })
	}
	return tasks.Wait()
}

// boot switches the machine on and times it.
func (h *host) boot(ctx context.Context, network *bed.Network, dir string, local bool) error {
	spec := h.spec
	spec.LocalOnly = local
	start := time.Now()
	m, err := bed.Start(ctx, network, dir, spec)
	if err != nil {
		return err
	}
	h.machine = m
	if _, err := m.Console.Expect(ctx, regexp.MustCompile(regexp.QuoteMeta(h.name)+" login: "), broken...); err != nil {
		return fmt.Errorf("%s: %w", h.name, err)
	}
	if local {
		h.local = time.Since(start)
	} else {
		h.login = time.Since(start)
	}
	return nil
}

func switchOff(machines []*host) {
	for _, h := range machines {
		if h.machine != nil {
			h.machine.Stop()
			h.machine = nil
		}
	}
}

// stages reads how long each stage took. Call it before the next boot, which
// replaces the list of stages.
func stages(ctx context.Context, client *web.Client, machines []*host) ([]web.Detail, error) {
	var list []web.Detail
	for _, h := range machines {
		d, err := client.Machine(ctx, h.spec.MAC)
		if err != nil {
			return nil, err
		}
		list = append(list, d)
	}
	return list, nil
}

// keep leaves everything running until the user presses Ctrl-C.
func keep(ctx context.Context, out io.Writer, daemon *bed.Daemon, page string, machines []*host) error {
	fmt.Fprintf(out, "\nEverything is still running. In another terminal, as root:\n")
	fmt.Fprintf(out, "  %s --socket %s machines\n", daemon.Program, daemon.Socket())
	fmt.Fprintf(out, "  %s --socket %s trace %s\n", daemon.Program, daemon.Socket(), machines[0].name)
	fmt.Fprintf(out, "  ip netns exec %s ping %s\n", machines[0].machine.Network(), machines[0].address)
	fmt.Fprintf(out, "The machines in a browser: %s\nCtrl-C switches everything off.\n", page)
	limit, stop := context.WithCancel(context.WithoutCancel(ctx))
	defer stop()
	<-interrupted(limit)
	return nil
}
