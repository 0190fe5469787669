package agent

import (
	"context"
	"crypto/x509"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/agent/client"
	"cloudlets/provision/agent/inspect"
	"cloudlets/provision/agent/install"
	"cloudlets/provision/hardware"
	"cloudlets/provision/trial"
	"cloudlets/provision/wire"
)

// InPlace is an update of the running system that its server has armed. It is what [Main]
// does, without a restart before it: the other slot of the disk is written while the system
// runs.
type InPlace struct {
	// Server is the base URL of the server. Trust is the site's authority: with it, all is
	// asked by HTTPS. It is nil where the servers have none.
	Server string
	Trust  *x509.Certificate
	// Card is the MAC by which the server knows the machine.
	Card provision.MAC
	// Disk is what the running system was started from.
	Disk trial.Disk
	// Program is the file of the program for machines.
	Program string
	// Dir is an empty directory in which the new system is mounted meanwhile. The process
	// should have a mount namespace of its own, so that what is mounted ends with it.
	Dir string
	// Out shows what happens.
	Out io.Writer
	Log *slog.Logger
}

// contactTime is how long a server may give no answer at all.
const contactTime = 20 * time.Second

// Run claims the machine's plan and carries it out. After it, the next start tries the new
// system, and the server waits for that. The error is a [client.Leave] if no install is
// armed. Errors say whether the running system is the one that starts next.
func (u InPlace) Run(ctx context.Context) (install.Result, error) {
	sys := os.DirFS("/sys")
	if !hasCard(sys, u.Card) {
		return install.Result{}, fmt.Errorf("this machine has no network card %s: it would carry out what is armed for another machine; `ip link` shows its cards", u.Card)
	}
	if err := u.checkTrust([]string{u.Server}); err != nil {
		return install.Result{}, err
	}
	asked := client.New(u.Server, u.Log)
	asked.HTTP, asked.Patience = &http.Client{Transport: client.NewTransport(u.Trust)}, contactTime
	// As an agent that asks again: this is no boot, and takes no order for one.
	told, _, err := asked.AskAgain(ctx, u.Card)
	if err != nil {
		return install.Result{}, err
	}
	if told.Live || told.Rescue || told.Inspect {
		return install.Result{}, fmt.Errorf("the server has the next boot of %s start something in memory, and not install: `cloudlets machines %[1]s` there tells what", told.MAC)
	}
	if err := u.checkTrust(told.Servers); err != nil {
		return install.Result{}, err
	}
	server, err := client.NewOf(told.Servers, u.Trust, u.Log)
	if err != nil {
		return install.Result{}, err
	}
	disks := func() ([]provision.DiskInfo, error) { return hardware.Disks(sys) }
	inventory, err := inspect.Inventory(sys, disks)
	if err != nil {
		return install.Result{}, fmt.Errorf("look at the hardware: %w", err)
	}
	plan, err := server.Claim(ctx, told, inventory)
	if err != nil {
		return install.Result{}, err
	}
	return u.carryOut(ctx, server, plan, install.Job{Inventory: inventory, Disks: disks})
}

// checkTrust refuses servers that cannot be known to be the site's own, as far as that is
// asked for.
func (u InPlace) checkTrust(servers []string) error {
	for _, s := range servers {
		switch secure := strings.HasPrefix(s, "https:"); {
		case secure && u.Trust == nil:
			return fmt.Errorf("%s is reached by HTTPS, and nothing says whom to trust: give --authority the file that `cloudlets ca` prints there", s)
		case !secure && u.Trust != nil:
			return fmt.Errorf("%s is not reached by HTTPS, so no authority vouches for it: give its https URL, or leave --authority out", s)
		}
	}
	return nil
}

// hasCard says whether a network card of this machine has a MAC, by itself or before it
// became part of a bond.
func hasCard(sys fs.FS, card provision.MAC) bool {
	names, _ := fs.ReadDir(sys, "class/net")
	return card != "" && slices.ContainsFunc(names, func(name fs.DirEntry) bool { // files that are not there read as ""
		dir := "class/net/" + name.Name()
		return hardware.Attribute(sys, dir+"/address") == string(card) || hardware.Attribute(sys, dir+"/bonding_slave/perm_hwaddr") == string(card)
	})
}

// farewell is how long the server may take for the last report after an interrupt.
const farewell = 15 * time.Second

// carryOut carries a plan out, and reports.
func (u InPlace) carryOut(ctx context.Context, server *client.Client, plan wire.Plan, job install.Job) (install.Result, error) {
	writing, callOff := context.WithCancelCause(ctx)
	defer callOff(nil)
	// The server is told of an interrupt, too.
	reporting, end := context.WithCancel(context.WithoutCancel(ctx))
	defer end()
	defer context.AfterFunc(ctx, func() {
		if pause.For(reporting, farewell) == nil {
			end()
		}
	})()
	show := &console{out: u.Out, mute: true}
	reporter := newReporter(reporting, plan.MAC, server, show, func(why error) {
		callOff(fmt.Errorf("called off by the server: %w", why))
	})
	reporter.waiting = "the update is complete; waiting for the server to record that. An interrupt takes the update back"
	defer reporter.close()
	job.Plan, job.Server, job.HTTP, job.Log = plan, server.Base, server.HTTP, u.Log
	job.Running, job.Program, job.Target = &u.Disk, u.Program, filepath.Join(u.Dir, "newroot")
	job.Report, job.Permit = reporter.report, reporter.permit
	job.Propose = func(ctx context.Context, p provision.Proposal) error { return reporter.propose(ctx, p, plan.Confirm) }
	result, err := install.Run(writing, job)
	if cause := context.Cause(writing); err != nil && cause != nil {
		err = fmt.Errorf("%w: %w", cause, err)
	}
	if err != nil {
		// The running system stays, whatever failed.
		reporter.fail(err, false, "an update of the running system, in place", true)
		return result, fmt.Errorf("%w; the system that runs stays as it is, and the install is not armed any more", err)
	}
	reporter.report(provision.Event{Kind: provision.KindStage, Stage: provision.StageHandover, Text: "the machine restarts into the new system"})
	if err := reporter.done(result); err != nil {
		err = fmt.Errorf("report that the update is complete: %w", err)
		if undone := result.Undo(); undone != nil {
			return result, fmt.Errorf("%w; to take it back failed as well (%w): the next start may try the new system", err, undone)
		}
		return result, fmt.Errorf("%w; it was taken back, and the system that runs stays as it is", err)
	}
	if !result.Rollback {
		if err := install.Unmount(job.Target); err != nil {
			show.say("%v; it is complete nevertheless, and ends with this process", err)
		}
	}
	return result, nil
}
