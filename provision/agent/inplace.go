package agent

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"

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
	// Server is the base URL of the server. Trust is the site's authority, and nil where
	// its servers have no HTTPS.
	Server string
	Trust  *x509.Certificate
	// Card is the MAC by which the server knows the machine.
	Card provision.MAC
	// Disk is what the running system was started from.
	Disk trial.Disk
	// Program is the file of the program for machines.
	Program string
	// Dir is an empty directory in which the new system is mounted meanwhile.
	Dir string
	// Out shows what happens.
	Out io.Writer
	Log *slog.Logger
}

// Run claims the machine's plan and carries it out. After it, the next start tries the new
// system, and the server waits for that. The error is a [client.Leave] if no install is
// armed. After any error the running system is the one that starts next.
func (u InPlace) Run(ctx context.Context) (install.Result, error) {
	asked := client.New(u.Server, u.Log)
	asked.HTTP = &http.Client{Transport: client.NewTransport(u.Trust)}
	told, err := asked.Ask(ctx, u.Card)
	if err != nil {
		return install.Result{}, err
	}
	if told.Live || told.Rescue || told.Inspect {
		return install.Result{}, fmt.Errorf("the server has the next boot of %s start something in memory, and not install: `cloudlets machines %[1]s` there tells what", told.MAC)
	}
	if u.Trust == nil && slices.ContainsFunc(told.Servers, func(s string) bool { return strings.HasPrefix(s, "https:") }) {
		return install.Result{}, errors.New("its servers are reached by HTTPS, and nothing says whom to trust: give --authority the file that `cloudlets ca` prints there")
	}
	server, err := client.NewOf(told.Servers, u.Trust, u.Log)
	if err != nil {
		return install.Result{}, err
	}
	sys := os.DirFS("/sys")
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

// carryOut carries a plan out, and reports.
func (u InPlace) carryOut(ctx context.Context, server *client.Client, plan wire.Plan, job install.Job) (install.Result, error) {
	writing, callOff := context.WithCancelCause(ctx)
	defer callOff(nil)
	// The server is told of an interrupt, too.
	reporter := newReporter(context.WithoutCancel(ctx), plan.MAC, server, &console{out: u.Out, mute: true}, func(why error) {
		callOff(fmt.Errorf("called off by the server: %w", why))
	})
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
		return result, err
	}
	reporter.report(provision.Event{Kind: provision.KindStage, Stage: provision.StageHandover, Text: "the machine restarts into the new system"})
	if err := reporter.done(result); err != nil {
		return result, errors.Join(fmt.Errorf("report that the update is complete: %w", err), result.Undo())
	}
	if result.Rollback {
		return result, nil
	}
	return result, install.Unmount(job.Target)
}
