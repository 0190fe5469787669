// Package agent is the installer that runs on the machine, in RAM: process 1
// of a RAM disk, driven by the image's own kernel. It loads drivers, brings up
// the interface that it booted from, claims its plan, chooses the disk, writes
// and verifies it, reports, and hands the machine over to its new system.
//
// [Main] is process 1. [Install] is the part that writes a disk; it runs on
// any Linux, which is how it is tested and measured.
package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"runtime/debug"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/hardware"
	"cloudlets/provision/kmod"
	"cloudlets/provision/process1"
	"cloudlets/provision/wire"
)

// memoryLimit keeps the agent's heap within what a small machine has beside
// its RAM disk.
const (
	memoryLimit = 96 << 20
	gcPercent   = 50
)

// networkTimeout bounds the search for the interface and its address. A
// switch port with spanning tree is silent for 30 seconds.
const networkTimeout = 3 * time.Minute

// alwaysLoaded are modules that no device asks for by its alias.
var alwaysLoaded = []string{"af_packet", "sd_mod"}

// Main is the whole life of process 1. It returns only when there is nothing
// left to hand over to.
func Main(version string) {
	debug.SetMemoryLimit(memoryLimit)
	debug.SetGCPercent(gcPercent)
	console := openConsole()
	if err := process1.MountEarly(); err != nil {
		console.fail(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	console.say("cloudlets %s: the agent is up", version)
	params, err := readParams("/proc/cmdline")
	if err != nil {
		rest(console, params, err)
	}
	rest(console, params, run(ctx, console, params))
}

// run takes the machine from bare RAM to its new system. It returns only
// with an error; success ends in the hand-over.
func run(ctx context.Context, console *console, params wire.Params) error {
	log := slog.New(slog.NewTextHandler(console, &slog.HandlerOptions{ReplaceAttr: withoutTime}))
	drivers, err := kmod.New("/lib/modules", log)
	if err == nil {
		err = drivers.LoadAll(ctx, alwaysLoaded...)
	}
	if err != nil {
		return fmt.Errorf("load drivers: %w", err)
	}
	if err := process1.WaitForEntropy(); err != nil {
		return err
	}
	network, err := bringUp(ctx, params.MAC, networkTimeout, drivers)
	if err != nil {
		return fmt.Errorf("bring up the network: %w", err)
	}
	console.say("network: %s has %s", network.name, network.address)
	inventory, err := readInventory(ctx, os.DirFS("/sys"), drivers.LoadNew)
	if err != nil {
		return fmt.Errorf("look at the hardware: %w", err)
	}
	server := newClient(params.Server, log)
	plan, err := server.claim(ctx, params, inventory)
	if err != nil {
		return err
	}
	drivers.LoadNamed(plan.Target.Filesystem)
	return install(ctx, console, server, plan, inventory, network, log)
}

// install carries the plan out and hands over.
func install(ctx context.Context, console *console, server *client, plan wire.Plan, inventory provision.Inventory, network *link, log *slog.Logger) error {
	writing, callOff := context.WithCancelCause(ctx)
	defer callOff(nil)
	reporter := newReporter(ctx, plan.MAC, server, console, func(why error) {
		callOff(fmt.Errorf("called off by the server: %w", why))
	})
	defer reporter.close()
	result, err := Install(writing, Job{
		Plan: plan, Inventory: inventory, Server: server.base, HTTP: server.http,
		Report: reporter.report, Permit: reporter.permit, Target: newRoot, Log: log,
		Disks: func() ([]provision.DiskInfo, error) { return hardware.Disks(os.DirFS("/sys")) },
	})
	if cause := context.Cause(writing); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if err != nil {
		reporter.fail(err)
		return err
	}
	// Until the server knows that the disk is done, the machine is armed: a
	// restart would install again. So the report comes before the hand-over.
	reporter.report(provision.Event{Kind: provision.KindStage, Stage: provision.StageHandover, Text: "handing over by " + string(plan.Handover)})
	if err := reporter.done(result); err != nil {
		return fmt.Errorf("report that the install is complete: %w", err)
	}
	network.down()
	return handOver(plan, result, console)
}

// rest is where a machine stays whose install failed: the disk is left
// unbootable, the console says why, and nothing is tried again by itself.
func rest(console *console, params wire.Params, err error) {
	if err == nil {
		err = errors.New("the hand-over came back")
	}
	console.fail(err)
	switch params.OnFailure {
	case "reboot":
		console.say("rebooting in one minute")
		time.Sleep(time.Minute)
		_ = process1.Reboot()
	case "poweroff":
		_ = process1.PowerOff()
	}
	console.say("this machine waits here; remove the cause, then switch it off and on to try again")
	for {
		time.Sleep(time.Hour) // process 1 must not end: the kernel would panic
	}
}

func withoutTime(groups []string, a slog.Attr) slog.Attr {
	if len(groups) == 0 && a.Key == slog.TimeKey {
		return slog.Attr{}
	}
	return a
}

// readParams reads the words that the server put on the kernel command line.
func readParams(file string) (wire.Params, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return wire.Params{}, fmt.Errorf("read the kernel command line: %w", err)
	}
	return wire.ParseParams(string(text))
}
