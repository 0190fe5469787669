// Package agent is what runs on a machine as process 1 of a RAM disk, under the image's own
// kernel. It loads drivers, brings up the interface that the machine booted from, asks a
// server what to do, and has it done: claims a plan and carries it out (package install), starts
// a system in memory (diskless), or looks at the machine (inspect). It reports, and hands the
// machine over to its new system. Start reading at [Main].
package agent

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/agent/diskless"
	"cloudlets/provision/agent/inspect"
	"cloudlets/provision/agent/install"
	"cloudlets/provision/hardware"
	"cloudlets/provision/kmod"
	"cloudlets/provision/process1"
	"cloudlets/provision/uplink"
	"cloudlets/provision/wire"
)

// alwaysLoaded are modules that are needed, but that no device's alias names.
var alwaysLoaded = []string{"af_packet", "ipv6", "sd_mod", "edd"}

// Main does the work of process 1. It never returns: it either hands the
// machine over, or prints an error and waits for a person.
func Main(version string) {
	process1.BoundMemory(install.MemoryLimit)
	console := openConsole()
	if err := process1.MountEarly(); err != nil {
		console.fail(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	defer stop()
	console.say("cloudlets %s: the agent is up", version)
	params, err := readParams("/proc/cmdline")
	if err == nil {
		params, err = run(ctx, console, params)
	}
	rest(console, params, err)
}

// run installs the new system and hands the machine over to it. It returns
// only with an error, and with all parameters that the agent was told until then.
func run(ctx context.Context, console *console, params wire.Params) (wire.Params, error) {
	log := process1.NewLog(console)
	random := make(chan error, 1)
	go func() { random <- process1.WaitForEntropy() }() // while drivers are loaded
	drivers, err := kmod.Begin(ctx, log, alwaysLoaded...)
	if err != nil {
		return params, err
	}
	watching, stop := context.WithCancel(ctx)
	defer stop() // if there is no network, nobody waits for the disks
	disks := inspect.WatchDisks(watching, os.DirFS("/sys"), drivers.LoadNew)
	if err := <-random; err != nil {
		return params, err
	}
	network, told, err := connect(ctx, console, params, drivers.LoadNew, log)
	if err != nil {
		return params, fmt.Errorf("bring up the network: %w", err)
	}
	trust, err := client.ReadTrust(wire.TrustFile, told.Servers)
	if err != nil {
		return told, err
	}
	server, err := client.NewOf(told.Servers, trust, log)
	if err != nil {
		return told, err
	}
	if told.Inspect {
		drivers.LoadNamed("efivarfs")
		drivers.LoadNamed("dmi-sysfs") // for the address of the BMC
		mountVariablesToLook()
		console.say("network: %s has %s; this machine is inspected, and no disk is written", network.Name, network.Address)
		return told, inspect.Run(ctx, told, server, disks, console.say, log)
	}
	inMemory := diskless.Machine{Params: told, Server: server, Drivers: drivers, Network: network, Disks: disks, Say: console.say, Log: log}
	if told.Rescue {
		console.say("network: %s has %s; a rescue system is started, and no disk is written", network.Name, network.Address)
		return told, diskless.StartRescue(ctx, inMemory)
	}
	console.say("network: %s has %s", network.Name, network.Address)
	if told.Live {
		return told, diskless.StartLive(ctx, inMemory)
	}
	m := &machine{console: console, drivers: drivers, network: network, server: server, log: log, disks: disks}
	m.attempts = attempts{console: console, server: server, attempt: m.attempt}
	err = m.attempts.run(ctx, told)
	if m.attempts.stands {
		console.say("the system on the disk is as it was, and the machine starts it")
		told.OnFailure = "reboot"
	}
	return told, err
}

// machine is the machine that the agent runs on, once it has a network.
type machine struct {
	console *console
	drivers *kmod.Loader
	network *uplink.Link
	server  *client.Client
	log     *slog.Logger
	// disks waits for the machine's disks, once; it is nil after that.
	disks    func() ([]provision.DiskInfo, error)
	own      install.Own
	attempts attempts
}

// attempt claims the machine's plan and carries it out. It returns only with an error,
// see [attempts].
func (m *machine) attempt(ctx context.Context, params wire.Params) error {
	m.console.setMute(false)
	sendConsole(ctx, m.server, params, m.console, nil, m.log)
	inventory, err := m.inventory(ctx)
	if err != nil {
		err = fmt.Errorf("look at the hardware: %w", err)
		sendConsole(ctx, m.server, params, m.console, err, m.log)
		return err
	}
	sendConsole(ctx, m.server, params, m.console, nil, m.log)
	begun := time.Now()
	plan, err := m.server.Claim(ctx, params, inventory)
	claimed := time.Since(begun)
	if err != nil {
		if _, no := errors.AsType[client.Refusal](err); !no { // the server knows what it refused
			sendConsole(ctx, m.server, params, m.console, err, m.log)
		}
		return err
	}
	m.console.setMute(true)
	defer m.console.setMute(false)
	m.drivers.LoadNamed(plan.Target.Filesystem)
	if plan.BootEntry {
		m.drivers.LoadNamed("efivarfs")
	}
	if plan.Target.Mirror {
		m.drivers.LoadNamed("raid1") // with md-mod
	}
	return m.install(ctx, plan, inventory, claimed)
}

// inventory looks at the hardware. Disks may have come since it did so last.
func (m *machine) inventory(ctx context.Context) (provision.Inventory, error) {
	sys, disks := os.DirFS("/sys"), m.disks
	if m.disks = nil; disks == nil {
		disks = inspect.WatchDisks(ctx, sys, m.drivers.LoadNew)
	}
	inventory, err := inspect.Inventory(sys, disks)
	for _, d := range inventory.Disks {
		m.console.say("disk %s, hints for it: %s", d, d.Hints())
	}
	return inventory, err
}

// install carries out the plan and hands the machine over. It returns only
// with an error.
func (m *machine) install(ctx context.Context, plan wire.Plan, inventory provision.Inventory, claimed time.Duration) error {
	writing, callOff := context.WithCancelCause(ctx)
	defer callOff(nil)
	reporter := newReporter(ctx, plan.MAC, m.server, m.console, func(why error) {
		callOff(fmt.Errorf("called off by the server: %w", why))
	})
	defer reporter.close()
	result, err := install.Run(writing, install.Job{
		Plan: plan, Inventory: inventory, Claimed: claimed, Server: m.server.Base, HTTP: m.server.HTTP, Own: &m.own,
		Report: reporter.report, Permit: reporter.permit,
		Propose: func(ctx context.Context, p provision.Proposal) error { return reporter.propose(ctx, p, plan.Confirm) },
		Target:  process1.NewRoot, Log: m.log, Variables: mountVariables,
		Disks: func() ([]provision.DiskInfo, error) { return hardware.Disks(os.DirFS("/sys")) },
	})
	if cause := context.Cause(writing); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if err != nil {
		failure, again, text := m.attempts.planFailed(err, plan.Retry)
		m.attempts.stands = result.Beside
		reporter.fail(err, again, text, result.Beside)
		return failure
	}
	m.attempts.stands = false
	// Until the server knows that the disk is done, the machine is armed: a
	// restart would install again. So the report comes before the hand-over.
	reporter.report(provision.Event{Kind: provision.KindStage, Stage: provision.StageHandover, Text: "handing over by " + string(plan.Handover)})
	if err := reporter.done(result); err != nil {
		err = fmt.Errorf("report that the install is complete: %w", err)
		if result.Undo != nil {
			err = errors.Join(err, result.Undo())
			m.attempts.stands = true
		}
		return lastError{err}
	}
	m.network.Down()
	return lastError{cmp.Or(handOver(plan, result, m.console), errors.New("the hand-over came back"))}
}

// rest prints the error of a failed install or hand-over. Then it reboots or
// powers off, if the kernel command line says so, or else waits for a person.
// It never returns and never tries again: [attempts] did so, if it was possible. A failed
// install has left the disk unbootable.
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

// readParams reads the words that the server put on the kernel command line.
func readParams(file string) (wire.Params, error) {
	text, err := os.ReadFile(file)
	if err != nil {
		return wire.Params{}, fmt.Errorf("read the kernel command line: %w", err)
	}
	return wire.ParseParams(string(text))
}
