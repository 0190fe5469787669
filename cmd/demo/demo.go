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

	"cloudlets/images/pause"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
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
	session             *session // of the machine, as long as it is on
	// slots says that its disk has room for two systems, and that it is updated.
	slots bool
	// installed is what the server knew when the first login prompt came, and updated what
	// became of it after that; nil without slots.
	installed api.Detail
	updated   *update
	// login and local are the times from switch-on to the login prompt: with
	// the install, and of a boot of the same disk without the network.
	login, local time.Duration
}

func hosts(dir string) []*host {
	list := []*host{
		{name: "node1", role: "a web server", address: "10.77.0.11", handover: "switch", slots: true, spec: bed.Spec{MAC: "52:54:00:00:00:01", Firmware: bed.BIOS}},
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
	client := api.NewClient(daemon.Socket())
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

// describe writes the site: two versions of one image, and a file for each machine.
func describe(dir, image string, machines []*host) error {
	site := filepath.Join(dir, "site")
	if err := bed.NewSite(site, image, firstImage); err != nil {
		return err
	}
	if err := writeSecondVersion(image, filepath.Join(site, "images", secondImage+".tar")); err != nil {
		return err
	}
	for _, h := range machines {
		err := errors.Join(bed.WriteMachine(site, h.spec.MAC, h.file(firstImage)), bed.NewDisk(h.spec.Disks[0].File, diskSize))
		if err != nil {
			return err
		}
	}
	return nil
}

// file is what the machine's file says.
func (h *host) file(image string) map[string]any {
	file := map[string]any{
		"image": image, "hostname": h.name, "address": h.address, "handover": h.handover, "install": "once",
		"config": map[string]any{"args": map[string]any{"role": h.role}},
	}
	if h.slots {
		file["slots"], file["persistent"] = 2, room
		file["cmdline"] = fmt.Sprintf("cloudlets.trial.settle=%.0f", settle.Seconds())
	}
	return file
}

// perform shows the installs, the update, and a boot of the same disks without the
// network, and prints the tables.
func perform(ctx context.Context, o options, out io.Writer, network *bed.Network, dir string, daemon *bed.Daemon, client *api.Client, machines []*host) error {
	if err := waitForImages(ctx, client, out); err != nil {
		return err
	}
	page, closePage, err := servePage(daemon.Socket())
	if err != nil {
		return err
	}
	defer closePage()
	fmt.Fprintf(out, "the machines in a browser: %s\n", page)
	if err := installAll(ctx, out, network, dir, daemon, client, machines); err != nil {
		return fmt.Errorf("%w\n\nthe end of the daemon's log:\n%s", err, tail(daemon.Log()))
	}
	if !o.keep {
		switchOff(machines)
		fmt.Fprintln(out, "\nbooting the same disks once more, without the network, to compare")
		if err := bootLocally(ctx, network, dir, machines); err != nil {
			return err
		}
	}
	printTable(out, machines)
	for _, h := range machines {
		if h.updated != nil {
			printUpdate(out, h)
		}
	}
	if !o.keep {
		fmt.Fprintln(out, "\nTo look around on the installed machines: make demo KEEP=1")
		return nil
	}
	return keep(ctx, out, daemon, page, machines)
}

// waitForImages waits until both versions of the image are packed, so that the times in
// the tables do not include the packing.
func waitForImages(ctx context.Context, client *api.Client, out io.Writer) error {
	fmt.Fprintln(out, "packing two versions of an image (once)")
	for {
		list, err := client.Images(ctx)
		if err != nil {
			return err
		}
		ready := 0
		for _, image := range list {
			switch image.Status {
			case api.ImageReady:
				ready++
			case api.ImageFailed:
				return fmt.Errorf("the image %s cannot be booted: %s", image.Name, image.Error)
			}
		}
		if ready > 0 && ready == len(list) {
			first := list[0]
			fmt.Fprintf(out, "the images are ready: each has %d files, %s, %s to fetch\n", first.Entries, size(first.Bytes), size(first.Pack))
			return nil
		}
		if err := pause.For(ctx, 200*time.Millisecond); err != nil {
			return err
		}
	}
}

// installAll switches all machines on and watches them until each has shown its login
// prompt, and those with two slots are updated and rolled back.
func installAll(ctx context.Context, out io.Writer, network *bed.Network, dir string, daemon *bed.Daemon, client *api.Client, machines []*host) error {
	tasks, inner := errgroup.WithContext(ctx)
	w := newWatch(out, machines)
	watching, done := context.WithCancel(inner)
	finished := make(chan struct{})
	go func() { defer close(finished); w.run(watching, client) }()
	defer func() { done(); <-finished }()
	d := director{daemon: daemon, client: client, say: w.say}
	for _, h := range machines {
		tasks.Go(func() error { return h.install(inner, network, dir, d) })
	}
	return tasks.Wait()
}

// install switches the machine on, and carries it as far as the demo goes.
func (h *host) install(ctx context.Context, network *bed.Network, dir string, d director) (err error) {
	if h.login, err = h.boot(ctx, network, dir, h.spec); err != nil {
		return err
	}
	// The next boot replaces what the server knows of the stages.
	if h.installed, err = d.client.Machine(ctx, h.spec.MAC); err != nil {
		return err
	}
	if !h.slots {
		return nil
	}
	return d.update(ctx, h)
}

// bootLocally boots the disks of all machines, without the network.
func bootLocally(ctx context.Context, network *bed.Network, dir string, machines []*host) error {
	tasks, inner := errgroup.WithContext(ctx)
	for _, h := range machines {
		tasks.Go(func() (err error) {
			spec := h.spec
			spec.LocalOnly = true
			h.local, err = h.boot(inner, network, dir, spec)
			return err
		})
	}
	return tasks.Wait()
}

// boot switches the machine on, and returns how long it took to its login prompt.
func (h *host) boot(ctx context.Context, network *bed.Network, dir string, spec bed.Spec) (time.Duration, error) {
	start := time.Now()
	m, err := bed.Start(ctx, network, dir, spec)
	if err != nil {
		return 0, err
	}
	h.machine, h.session = m, newSession(m.Console)
	if err := h.session.next(ctx, regexp.QuoteMeta(h.name+" login: ")); err != nil {
		return 0, fmt.Errorf("%s: %w", h.name, err)
	}
	return time.Since(start), nil
}

func switchOff(machines []*host) {
	for _, h := range machines {
		if h.machine != nil {
			h.machine.Stop()
			h.machine = nil
		}
	}
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
