package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"cloudlets/httpboot"
	"cloudlets/images/disk"
	"cloudlets/images/ejs"
	"cloudlets/provision/depot"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
	"cloudlets/web"
)

// daemon is the server: its settings, its parts, and how they are joined.
type daemon struct {
	log          *slog.Logger
	settings     site.Settings
	addr         netip.Prefix // the server's own, on its interface
	socket       string       // the unix socket of the command line
	web          string       // the address of the page, or ""
	notifySocket string       // where systemd waits for messages, or ""
	started      time.Time
	ready        chan struct{} // closed when all sockets are open

	site    *site.Site
	store   *store.File
	tracker *track.Tracker
	tickets *track.Tickets
	depot   *depot.Depot
	sandbox *ejs.Sandbox
	chain   *httpboot.Chain
}

// newDaemon makes and joins the parts. It opens no socket yet.
func newDaemon(f serveFlags, socket string, log *slog.Logger) (*daemon, error) {
	site, err := site.Open(f.site, log)
	if err != nil {
		return nil, err
	}
	d := &daemon{
		log: log, site: site, socket: socket, web: f.web, notifySocket: os.Getenv("NOTIFY_SOCKET"),
		started: time.Now(), ready: make(chan struct{}),
	}
	if d.settings, err = f.settings(site); err != nil {
		return nil, err
	}
	if d.addr, err = interfaceAddr(d.settings); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.settings.State, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w (name another one with --state)", err)
	}
	if d.store, err = store.OpenFile(filepath.Join(d.settings.State, "cloudlets.db")); err != nil {
		return nil, err
	}
	if err := d.wire(); err != nil {
		return nil, errors.Join(err, d.store.Close())
	}
	return d, nil
}

// wire makes the parts that stand on the store, and joins them.
func (d *daemon) wire() (err error) {
	if d.tracker, err = track.NewTracker(d.store, nil, d.log); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	d.tickets = track.NewTickets(d.store, nil)
	d.sandbox = ejs.NewSandbox([]string{self, renderVerb}, ejs.Options{Logger: d.log})
	d.chain = &httpboot.Chain{
		Site: d.site, Tracker: d.tracker, Tickets: d.tickets, Render: d.sandbox, Log: d.log,
		Loaders: httpboot.Loaders{Dir: d.settings.Assets, Site: d.site},
		Base:    baseURL(d.addr.Addr(), d.settings.HTTP), TFTP: serverAddr(d.addr.Addr(), d.settings.TFTP),
		Overlays: filepath.Join(d.settings.State, "overlays"),
	}
	if d.depot, err = newDepot(d.site, d.settings, d.chain.SawKit, d.log); err != nil {
		return errors.Join(err, d.sandbox.Close())
	}
	d.chain.Depot = d.depot
	return nil
}

// newDepot opens the depot of a site. The agent of its RAM disks is this very
// program.
func newDepot(site *site.Site, s site.Settings, notify func(depot.Key, depot.Status), log *slog.Logger) (*depot.Depot, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program's own file: %w", err)
	}
	return depot.Open(depot.Options{
		Dir: depotDir(s), Images: site, Assets: disk.Assets{Dir: s.Assets}, Agent: self, Notify: notify, Log: log,
	})
}

// serve opens all sockets, says that it serves, and runs every task until ctx
// ends or a task fails.
//
// The groups end in the order in which they are listed: first the servers, then
// the background work, and last the tracker, since it writes the events of all
// others. The store can be closed only after that.
func (d *daemon) serve(ctx context.Context) error {
	servers, err := d.listen(ctx)
	if err != nil {
		return errors.Join(err, d.close())
	}
	d.explain()
	d.tellSystemd(systemdReady)
	close(d.ready)
	err = runGroups(ctx,
		append(servers, task{"tell systemd", d.tellSystemdOfEnd}),
		[]task{{"make images ready", d.depot.Run}, {"choose the images", d.wantImages}, {"watch the site", d.site.Watch}},
		[]task{{"write events", d.tracker.Run}},
	)
	return errors.Join(err, d.close())
}

// Ready is closed when all sockets are open.
func (d *daemon) Ready() <-chan struct{} { return d.ready }

func (d *daemon) close() error {
	return errors.Join(d.sandbox.Close(), d.store.Close())
}

// wantImages asks the depot for the images of all machines, now and whenever
// the site changes, so that no machine has to wait for one.
func (d *daemon) wantImages(ctx context.Context) error {
	changes := d.site.Changes(ctx)
	for {
		for _, key := range kitKeys(d.site) {
			d.depot.Want(key)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		}
	}
}

// tellSystemd sends a message to systemd. If it fails, the server goes on.
func (d *daemon) tellSystemd(message string) {
	if err := notifySystemd(d.notifySocket, message); err != nil {
		d.log.Warn("a message to systemd was not sent", "error", err)
	}
}

func (d *daemon) tellSystemdOfEnd(ctx context.Context) error {
	<-ctx.Done()
	d.tellSystemd(systemdStopping)
	return nil
}

func (d *daemon) api(stopping <-chan struct{}) *web.Server {
	return &web.Server{
		Site: d.site, Tracker: d.tracker, Tickets: d.tickets, Images: d.depot, Version: version, Started: d.started,
		Stopping: stopping, Log: d.log,
	}
}
