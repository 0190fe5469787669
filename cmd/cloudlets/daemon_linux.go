package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/dhcp"
	"cloudlets/httpboot"
	"cloudlets/images/disk"
	"cloudlets/images/ejs"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/leases"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
	"cloudlets/tftp"
	"cloudlets/web"
)

// Limits of the HTTP servers.
const (
	maxConnections = 2048
	headerTimeout  = 20 * time.Second
	idleTimeout    = 2 * time.Minute
	maxHeader      = 64 << 10
	shutdownLimit  = 3 * time.Second
)

// daemon is everything that serve runs, joined.
type daemon struct {
	log      *slog.Logger
	settings site.Settings
	addr     netip.Prefix // the server's own, on its interface
	socket   string
	web      string
	started  time.Time

	site    *site.Site
	store   *store.File
	tracker *track.Tracker
	tickets *track.Tickets
	depot   *depot.Depot
	sandbox *ejs.Sandbox
	chain   *httpboot.Chain
}

// newDaemon wires the parts. Nothing listens yet.
func newDaemon(f serveFlags, socket string, log *slog.Logger) (*daemon, error) {
	site, err := site.Open(f.site, log)
	if err != nil {
		return nil, err
	}
	d := &daemon{log: log, site: site, socket: socket, web: f.web, started: time.Now()}
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

func (d *daemon) wire() (err error) {
	if d.tracker, err = track.NewTracker(d.store, nil, d.log); err != nil {
		return err
	}
	d.tickets = track.NewTickets(d.store, nil)
	if d.depot, err = newDepot(d.site, d.settings, d.kitMade, d.log); err != nil {
		return err
	}
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find this program's own file: %w", err)
	}
	d.sandbox = ejs.NewSandbox([]string{self, renderVerb}, ejs.Options{Logger: d.log})
	d.chain = &httpboot.Chain{
		Site: d.site, Tracker: d.tracker, Tickets: d.tickets, Depot: d.depot, Render: d.sandbox, Log: d.log,
		Loaders: httpboot.Loaders{Dir: d.settings.Assets, Extra: httpboot.ExtraLoader(d.site)},
		Base:    baseURL(d.addr.Addr(), d.settings.HTTP), TFTP: d.addr.Addr(),
		Overlays: filepath.Join(d.settings.State, "overlays"),
	}
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

// kitMade says in the log, and in the trace of each machine that waits for
// the image, that it is ready or why it cannot be.
func (d *daemon) kitMade(key depot.Key, s depot.Status) {
	text, reason := "the image "+key.String()+" is ready", ""
	if s.Err != nil {
		text, reason = "the image "+key.String()+" cannot be booted", s.Err.Error()
	} else {
		d.log.Info("an image is ready", "image", key, "files", s.Kit.Entries, "content", provision.FormatSize(s.Kit.Bytes), "pack", provision.FormatSize(s.Kit.Pack.Size), "kernel", s.Kit.Kernels[0].Version)
	}
	for _, spec := range d.site.Specs() {
		state, _ := d.tracker.State(spec.MAC)
		if spec.Image == key.Image && provision.Decide(&spec, state).Action == provision.ActionInstall {
			event := provision.Event{MAC: spec.MAC, Kind: provision.KindLog, Text: text, Reason: reason}
			if err := d.tracker.Record(context.Background(), event); err != nil {
				d.log.Error("an event was lost", "error", err)
			}
		}
	}
}

// serve runs every task until ctx ends or one of them fails.
func (d *daemon) serve(ctx context.Context) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	tasks, inner := errgroup.WithContext(running)
	for _, start := range []func(context.Context, *errgroup.Group) error{d.startDHCP, d.startTFTP, d.startHTTP, d.startAPI, d.startWeb} {
		if err := start(inner, tasks); err != nil {
			stop()
			return errors.Join(err, waitForEnd(running, tasks.Wait()), d.close())
		}
	}
	d.explain()
	tasks.Go(func() error { return d.tracker.Run(inner) })
	tasks.Go(func() error { return d.depot.Run(inner) })
	tasks.Go(func() error { return d.site.Watch(inner) })
	tasks.Go(func() error { return d.prepare(inner) })
	err := tasks.Wait()
	return errors.Join(waitForEnd(ctx, err), d.close())
}

func (d *daemon) close() error {
	return errors.Join(d.sandbox.Close(), d.store.Close())
}

// prepare packs the images of all machines, now and whenever the site
// changes, so that no machine has to wait for one.
func (d *daemon) prepare(ctx context.Context) error {
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

func (d *daemon) startDHCP(ctx context.Context, tasks *errgroup.Group) error {
	if d.settings.DHCP.Off {
		return nil
	}
	iface := dhcp.Interface{Name: d.settings.Interface, Mode: dhcp.Proxy, Addr: d.addr.Addr()}
	if !d.settings.DHCP.Proxy {
		iface.Mode = dhcp.Pool
		iface.Network = dhcp.Network{
			Subnet: d.addr.Masked(), Range: dhcp.Range{First: d.settings.DHCP.First, Last: d.settings.DHCP.Last},
			Router: d.settings.Router, DNS: d.settings.DNS, Domain: d.settings.Domain, LeaseTime: d.settings.LeaseTime,
		}
	}
	server := &dhcp.Server{
		Interfaces: []dhcp.Interface{iface}, Booter: d.chain, Leases: leases.Leases{Store: d.store},
		Observe: d.chain.SawExchange, Log: d.log,
	}
	tasks.Go(func() error { return server.Serve(ctx) })
	return nil
}

func (d *daemon) startTFTP(ctx context.Context, tasks *errgroup.Group) error {
	if d.settings.TFTP == "off" {
		return nil
	}
	conn, err := net.ListenPacket("udp4", onInterface(d.addr.Addr(), d.settings.TFTP))
	if err != nil {
		return fmt.Errorf("serve TFTP: %w (`cloudlets doctor` tells who has the port)", err)
	}
	server := &tftp.Server{FS: d.chain.Loaders, Conn: conn, Observe: d.sawTransfer, Log: d.log}
	tasks.Go(func() error { return server.Serve(ctx) })
	return nil
}

// sawTransfer tells the boot chain of a TFTP transfer. That firmware asks for a
// file's size first is no news.
func (d *daemon) sawTransfer(t tftp.Transfer) {
	if !t.Probe {
		d.chain.SawTransfer(t.Remote.Addr(), t.Name, t.Bytes, t.Err)
	}
}

func (d *daemon) startHTTP(ctx context.Context, tasks *errgroup.Group) error {
	l, err := net.Listen("tcp4", onInterface(d.addr.Addr(), d.settings.HTTP))
	if err != nil {
		return fmt.Errorf("serve HTTP boot: %w (`cloudlets doctor` tells who has the port)", err)
	}
	serveHTTP(ctx, tasks, limitConns(l, maxConnections), d.chain.Handler(), d.log)
	return nil
}

// startAPI serves the command line on a socket that only root opens.
func (d *daemon) startAPI(ctx context.Context, tasks *errgroup.Group) error {
	l, err := listenSocket(d.socket)
	if err != nil {
		return err
	}
	serveHTTP(ctx, tasks, l, d.api().Handler(), d.log)
	return nil
}

func (d *daemon) startWeb(ctx context.Context, tasks *errgroup.Group) error {
	if d.web == "" {
		return nil
	}
	l, err := net.Listen("tcp", d.web)
	if err != nil {
		return fmt.Errorf("serve the page: %w", err)
	}
	d.log.Info("the machines in a browser", "url", "http://"+l.Addr().String()+"/")
	serveHTTP(ctx, tasks, limitConns(l, maxConnections), d.api().ReadOnly(), d.log)
	return nil
}

func (d *daemon) api() *web.Server {
	return &web.Server{Site: d.site, Tracker: d.tracker, Tickets: d.tickets, Images: d.depot, Version: version, Started: d.started, Log: d.log}
}

// serveHTTP serves until ctx ends, and then lets requests finish for a moment.
func serveHTTP(ctx context.Context, tasks *errgroup.Group, l net.Listener, h http.Handler, log *slog.Logger) {
	server := &http.Server{
		Handler: h, ReadHeaderTimeout: headerTimeout, IdleTimeout: idleTimeout, MaxHeaderBytes: maxHeader,
		ErrorLog:    slog.NewLogLogger(log.Handler(), slog.LevelDebug),
		BaseContext: func(net.Listener) context.Context { return ctx },
	}
	tasks.Go(func() error {
		if err := server.Serve(l); !errors.Is(err, http.ErrServerClosed) {
			return fmt.Errorf("serve HTTP on %s: %w", l.Addr(), err)
		}
		return nil
	})
	tasks.Go(func() error {
		<-ctx.Done()
		limit, stop := context.WithTimeout(context.WithoutCancel(ctx), shutdownLimit)
		defer stop()
		if server.Shutdown(limit) != nil {
			return server.Close()
		}
		return nil
	})
}
