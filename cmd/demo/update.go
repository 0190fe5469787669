package main

import (
	"context"
	"fmt"
	"regexp"
	"time"

	"cloudlets/provision"
	"cloudlets/testdata/bed"
	"cloudlets/web/api"
)

// The two versions of the image, as the site names them.
const (
	firstImage, secondImage = "debian-12", "debian-12-v2"
)

// The file that the update and the roll-back keep, in a folder that the image's manifest
// calls persistent, and what is in it.
const (
	keptFile = "/srv/notes"
	keptText = "written by the first version"
)

// room is what a machine that is updated has for its data, and settle how long a new
// system must go on after it has said that it runs: 60 s if nothing is said, which only
// lengthens a demo.
const (
	room   = "512MiB"
	settle = 5 * time.Second
)

// step is a change of the running machine's system, by another start of the machine.
type step struct {
	// login and accepted are the times from the word reboot on the old system's console
	// to the login prompt of the new one, and to the end of the new one's trial.
	login, accepted time.Duration
}

// update is what becomes of a machine that has two slots.
type update struct {
	forward, back step
	report        provision.Report
}

// director is what carries out a machine's update: the server, the site, and the words
// that people read.
type director struct {
	daemon *bed.Daemon
	client *api.Client
	say    func(h *host, format string, args ...any)
}

// update writes a file on the machine that was just installed, and has it update itself
// to the image's second version and then roll back. It ends when the first version runs
// again.
func (d director) update(ctx context.Context, h *host) error {
	u := &update{}
	d.say(h, "installed, in one of two slots: now it is updated to %s, and rolled back", secondImage)
	if err := d.leaveFile(ctx, h); err != nil {
		return err
	}
	if err := d.daemon.WriteMachine(h.spec.MAC, h.file(secondImage)); err != nil {
		return err
	}
	if err := d.order(ctx, h, "install"); err != nil {
		return err
	}
	var err error
	if u.forward, err = d.restart(ctx, h, h.role+", version 2"); err != nil {
		return err
	}
	detail, err := d.client.Machine(ctx, h.spec.MAC)
	if err != nil {
		return err
	}
	if detail.Report == nil || detail.Has == nil || detail.Has.Image != secondImage {
		return fmt.Errorf("%s: the server does not know of the update: it has %+v", h.name, detail.Has)
	}
	u.report = *detail.Report
	if err := d.order(ctx, h, "rollback"); err != nil {
		return err
	}
	if u.back, err = d.restart(ctx, h, h.role); err != nil {
		return err
	}
	h.updated = u
	return nil
}

// leaveFile writes the file whose fate the demo shows.
func (d director) leaveFile(ctx context.Context, h *host) error {
	if err := h.session.login(ctx, h.name); err != nil {
		return fmt.Errorf("%s: log in: %w", h.name, err)
	}
	line := fmt.Sprintf("echo '%s' >%s; cat %s", keptText, keptFile, keptFile)
	d.say(h, "root@%s:~# %s", h.name, line)
	if err := h.session.run(ctx, line, keptText); err != nil {
		return fmt.Errorf("%s: write %s: %w", h.name, keptFile, err)
	}
	return nil
}

// order gives an order to the server, as people do.
func (d director) order(ctx context.Context, h *host, verb string) error {
	d.say(h, "$ cloudlets %s %s", verb, h.name)
	_, err := d.daemon.Run(ctx, verb, h.name)
	return err
}

// restart starts the machine again, from its own system, and waits until the next one is
// there, has the file and is accepted. The new system is known by its role.
func (d director) restart(ctx context.Context, h *host, role string) (s step, err error) {
	d.say(h, "root@%s:~# reboot", h.name)
	start := time.Now()
	if err := h.session.console.Type("reboot\n"); err != nil {
		return s, err
	}
	for _, pattern := range []string{regexp.QuoteMeta(h.name + ": " + role + " ("), regexp.QuoteMeta(h.name + " login: ")} {
		if err := h.session.next(ctx, pattern); err != nil {
			return s, fmt.Errorf("%s: wait for the system that is %s: %w", h.name, role, err)
		}
	}
	s.login = time.Since(start)
	d.say(h, "the console shows %q after %.0f s; the system is on trial", h.name+": "+role, s.login.Seconds())
	if err := h.session.next(ctx, `cloudlets: this system is accepted`); err != nil {
		return s, fmt.Errorf("%s: wait for the end of the trial of %s: %w", h.name, role, err)
	}
	s.accepted = time.Since(start)
	if err := h.session.login(ctx, h.name); err != nil {
		return s, fmt.Errorf("%s: log in: %w", h.name, err)
	}
	if err := h.session.run(ctx, "cat "+keptFile, keptText); err != nil {
		return s, fmt.Errorf("%s: look for %s: %w", h.name, keptFile, err)
	}
	d.say(h, "the system has said that it runs, and is accepted; %s: %q", keptFile, keptText)
	return s, nil
}
