//go:build linux

// Package daemon is the server. It joins the parts of serve: a site, the store
// and what stands on it, the boot chain, and the servers of DHCP, TFTP and HTTP.
//
// A [Daemon] is made in two steps. [Open] makes and joins the parts, which
// opens no socket yet. [Daemon.Serve] opens all sockets and runs named tasks
// (tasks.go) until its context ends.
package daemon

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync/atomic"
	"time"

	"cloudlets/dhcp/advertise"
	"cloudlets/dhcp/ifwatch"
	"cloudlets/dhcp/serving"
	v4 "cloudlets/dhcp/v4"
	v6 "cloudlets/dhcp/v6"
	"cloudlets/httpboot"
	"cloudlets/httpboot/loaders"
	"cloudlets/httpboot/machines"
	"cloudlets/httpboot/overlays"
	"cloudlets/httpboot/systems"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki/signing"
	"cloudlets/images/ejs"
	"cloudlets/images/ramdisk"
	"cloudlets/provision"
	"cloudlets/provision/authority"
	"cloudlets/provision/depot"
	"cloudlets/provision/leases"
	"cloudlets/provision/members"
	"cloudlets/provision/power/desk"
	"cloudlets/provision/review"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/site"
	"cloudlets/provision/site/keys"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/provision/track/quiet"
	"cloudlets/web"
	"cloudlets/web/roster"
)

// Config says what a daemon serves, and how it is reached.
type Config struct {
	Site     *site.Site
	Settings keys.Settings // complete: nothing in them is left to defaults
	Socket   string        // path of the Unix socket of the command line
	Web      string        // address of the page; "" means that there is none
	Version  string        // of this program, as the API shows it
	// Self is the command that renders a template: this program's file, and
	// the verb.
	Self []string
	// Embedded are the programs for machines that this program carries. Without one,
	// this program's file is the agent in the RAM disks.
	Embedded ramdisk.Embedded
	// SelfLow is the same, at a low priority.
	SelfLow []string
	// CheckStore is the command that checks a store, see [store.CheckApart].
	CheckStore []string
	Log        *slog.Logger
}

// Daemon is the server: its parts, and how they are joined.
type Daemon struct {
	Config
	places       places // where the networks are served now
	notifySocket string // where systemd waits for messages, or ""
	started      time.Time
	ready        chan struct{}    // closed when all sockets are open
	refused      serving.Throttle // of warnings about connections
	dhcp         atomic.Pointer[v4.Listener]
	dhcpv6       atomic.Pointer[v6.Listener]

	https   *https // nil if it is off
	store   keeper
	watcher *ifwatch.Watcher // since Serve
	members *members.Members
	leases  *leases.Book
	tracker *track.Tracker
	roster  *roster.Roster
	tickets *tickets.Tickets
	power   *desk.Desk
	depot   *depot.Depot
	sandbox *ejs.Sandbox
	chain   *httpboot.Chain
	reviews *review.Reviewer
	// rollouts are kept in the store.
	rollouts *book.Book
	// advertiser spares an iPXE its wait for a router. It is nil if that is off.
	advertisers []*advertise.Server
}

// Open makes and joins the parts. It opens no socket yet.
func Open(ctx context.Context, c Config) (*Daemon, error) {
	d := &Daemon{Config: c, notifySocket: os.Getenv("NOTIFY_SOCKET"), started: time.Now(), ready: make(chan struct{})}
	var err error
	if err = d.findPlaces(); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(d.Settings.State, 0o700); err != nil {
		return nil, fmt.Errorf("make the state folder: %w (name another one with --state)", err)
	}
	if d.store, err = d.openStore(ctx); err != nil {
		return nil, err
	}
	if err := d.wire(ctx); err != nil {
		return nil, errors.Join(err, d.store.Close())
	}
	return d, nil
}

// wire makes the parts that stand on the store, and joins them.
func (d *Daemon) wire(ctx context.Context) (err error) {
	if d.https, err = d.openHTTPS(ctx); err != nil {
		return err
	}
	if err := d.join(ctx); err != nil {
		return err
	}
	key, err := track.SiteKey(ctx, d.store)
	if err == nil {
		d.tracker, err = track.NewTracker(d.store, track.Options{Log: d.Log, Known: d.Site.Has, Slot: d.members.Self().Slot, Key: key})
	}
	if err != nil {
		d.members.Close()
		return err
	}
	d.Site.JudgeBy(d.tracker.Found)
	d.tracker.Watch(func(state *provision.State, _ bool) { d.Site.Learned(state.MAC, state.Found) })
	if d.leases, err = d.leaseStore().Open(ctx); err != nil {
		d.tracker.Close()
		d.members.Close()
		return err
	}
	if d.rollouts, err = book.Open(ctx, d.store, d.Log); err != nil {
		d.leases.Close()
		d.tracker.Close()
		d.members.Close()
		return err
	}
	d.tickets = tickets.New(d.store, nil)
	d.power = d.newDesk()
	d.sandbox = ejs.NewSandbox(d.Self, ejs.Options{Logger: d.Log})
	known := &machines.Machines{
		Site: d.Site, Tracker: d.tracker, Log: d.Log,
		Strangers: func() provision.Strangers { return d.Site.Settings().Strangers },
	}
	d.chain = &httpboot.Chain{
		Machines: known, Systems: &systems.Systems{Machines: known, Holder: d.holder, SiteFile: d.Site.ReadFile},
		Tickets: d.tickets, Render: d.sandbox,
		Loaders: loaders.Files{Dir: d.Settings.Assets, Site: d.Site},
		Base:    d.baseURL, TFTP: d.tftpAddr, Proxy: d.isProxy, Others: d.others,
		HTTPS:    d.forMachines(),
		Overlays: overlays.Folder(filepath.Join(d.Settings.State, "overlays")),
		Rescue:   func() provision.Rescue { return d.Site.Settings().Rescue },
		Approve: func(a provision.Approval) error {
			_, err := d.Site.Approve([]provision.Approval{a}, false)
			return err
		},
	}
	d.reviews = d.newReviewer()
	if d.depot, err = OpenDepot(d.Site, d.Settings, ramdisk.Programs{Self: d.Self[0], Embedded: d.Embedded}, d.https.pem(), d.peers(), d.sawKit, d.Log); err != nil {
		d.rollouts.Close()
		d.leases.Close()
		d.tracker.Close()
		d.members.Close()
		return errors.Join(err, d.sandbox.Close())
	}
	d.chain.Depot = d.depot
	d.roster = roster.New(d.Site, d.tracker, d.packOf)
	d.reviews.Images = d.depot
	d.tracker.Watch(d.reviews.SawState)
	return nil
}

// leaseStore is where the DHCP servers keep their leases.
func (d *Daemon) leaseStore() leases.Leases {
	return leases.Leases{Store: d.store, Log: d.Log, Server: d.members.Self().Name}
}

// holder is the network card that has an address by its lease, or "", and whether the
// address has a lease.
func (d *Daemon) holder(ctx context.Context, addr netip.Addr) (_ provision.MAC, held bool, err error) {
	card, held, err := d.leaseStore().Holder(ctx, addr, time.Now())
	if err != nil || card == nil {
		return "", held, err
	}
	mac, err := provision.MACFrom(card)
	return mac, held, err
}

// packOf is the digest of the pack of a machine's image, or "" as long as it is not
// made.
func (d *Daemon) packOf(spec *provision.Spec) string {
	if kit := d.depot.Status(depot.Key{Image: spec.Image, EntryPoint: spec.EntryPoint}).Kit; kit != nil {
		return kit.Pack.Digest
	}
	return ""
}

// sawKit passes on that an image is ready, or cannot be booted.
func (d *Daemon) sawKit(key depot.Key, status depot.Status) {
	d.chain.SawKit(key, status)
	d.roster.ImageChanged(key.Image)
	d.reviews.SawKit(key)
}

// peers returns the function that lists the servers which may have a pack, or nil
// if the store is not shared.
func (d *Daemon) peers() func() []string {
	if d.Settings.Store.Shared() {
		return func() []string { return d.others(netip.Addr{}) }
	}
	return nil
}

// OpenDepot opens the depot of a site. agent is the file of this program, which
// is the agent of its RAM disks, which trust the authority of trust, see
// [depot.Options.Trust]. peers lists other servers, and may be nil.
func OpenDepot(site *site.Site, s keys.Settings, programs ramdisk.Programs, trust []byte, peers func() []string, notify func(depot.Key, depot.Status), log *slog.Logger) (*depot.Depot, error) {
	return depot.Open(depot.Options{
		Dir: filepath.Join(s.State, "depot"), Images: site, Assets: bootloader.Assets{Dir: s.Assets}, Agent: programs.Self, Embedded: programs.Embedded, Trust: trust, Peers: peers, Notify: notify, Owner: ownerOf(s), Log: log,
	})
}

// ownerOf returns the function that reads the key of the machines' owner, or nil if
// the settings name none. The files are read anew each time, so that a certificate
// may be replaced.
func ownerOf(s keys.Settings) func() (*signing.Key, error) {
	if s.SecureBootKey == "" {
		return nil
	}
	return func() (*signing.Key, error) {
		if err := signing.CheckPrivate(s.SecureBootKey); err != nil {
			return nil, err
		}
		return signing.ReadKey(s.SecureBootKey, s.SecureBootCert, time.Now())
	}
}

// Serve opens all sockets, says that it serves, and runs every task until ctx
// ends or a task fails.
//
// The groups end in the order in which they are listed: first the servers, then
// the background work, and last the tracker, since it writes the events of all
// others. The store can be closed only after that.
func (d *Daemon) Serve(ctx context.Context) error {
	d.watcher = ifwatch.Open()
	servers, err := d.listen(ctx)
	if err != nil {
		d.watcher.Close()
		return errors.Join(err, d.close())
	}
	d.explain()
	d.tellSystemd(systemdReady)
	close(d.ready)
	err = runGroups(ctx,
		append(servers, task{"tell systemd", d.tellSystemdOfEnd}),
		[]task{{"make images ready", d.depot.Run}, {"choose the images", d.wantImages}, {"watch the site", d.Site.Watch}, {"watch the interfaces", d.watcher.Run}, {"follow the interfaces", d.followInterfaces}, {"check the machines", d.reviews.Run}, {"remove old overlays", d.sweepOverlays}, {"compare the site", d.compareSites}, {"look at the machines' addresses", d.warnMisplaced}, {"share progress", d.tracker.ShareProgress}, {"notice quiet machines", d.noticeQuiet}, {"switch machines", d.power.Run}, {"carry roll-outs on", d.newConductor().Run}},
		[]task{{"write events", d.tracker.Run}},
	)
	return errors.Join(err, d.close())
}

// Ready is closed when all sockets are open.
func (d *Daemon) Ready() <-chan struct{} { return d.ready }

func (d *Daemon) close() error {
	d.rollouts.Close()
	d.leases.Close()
	d.tracker.Close()
	d.members.Close()
	return errors.Join(d.sandbox.Close(), d.store.Close())
}

// wantImages asks the depot for the images of all machines, now and whenever
// the site changes, so that no machine has to wait for one.
func (d *Daemon) wantImages(ctx context.Context) error {
	changes := d.Site.Changes(ctx)
	for {
		for _, key := range KitKeys(d.Site) {
			d.depot.Want(key)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-changes:
		}
	}
}

// sweepOverlays removes overlays that no install needs any more, now and from
// time to time.
func (d *Daemon) sweepOverlays(ctx context.Context) error {
	again := time.NewTicker(time.Minute)
	defer again.Stop()
	for {
		if err := d.chain.SweepOverlays(); err != nil {
			d.Log.Warn("overlays stay for now", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-again.C:
		}
	}
}

// noticeQuiet records that machines are quiet. Of several servers the one with the
// lowest slot does it.
func (d *Daemon) noticeQuiet(ctx context.Context) error {
	self := d.members.Self().Slot
	first := func() bool {
		return !slices.ContainsFunc(d.members.Live(), func(m members.Member) bool { return m.Slot < self })
	}
	return (&quiet.Noticer{Tracker: d.tracker, First: first, Log: d.Log, Known: d.Site.Has}).Run(ctx)
}

// tellSystemd sends a message to systemd. If it fails, the server goes on.
func (d *Daemon) tellSystemd(message string) {
	if err := notifySystemd(d.notifySocket, message); err != nil {
		d.Log.Warn("a message to systemd was not sent", "error", err)
	}
}

func (d *Daemon) tellSystemdOfEnd(ctx context.Context) error {
	<-ctx.Done()
	d.tellSystemd(systemdStopping)
	return nil
}

// api is the API. Only the command line's socket gives a backup, too.
func (d *Daemon) api(stopping <-chan struct{}) *web.Server {
	return &web.Server{
		Site: d.Site, Tracker: d.tracker, Roster: d.roster, Tickets: d.tickets, Power: d.power, Images: d.depot, Reviews: d.reviews, Version: d.Version, Started: d.started,
		Authority: d.https.api(d.store),
		Stopping:  stopping, Log: d.Log, Servers: d.members, Networks: d.networks, Leases: d.leases, StoreAway: d.store.away, Rollouts: d.rollouts,
	}
}

// explain logs what the server does from now on, and what the user could do
// next.
func (d *Daemon) explain() {
	for _, p := range d.places.now() {
		d.Log.Info("serving", "interface", p.Interface, "address", p.own.Addr(), "network", p.Title(), "dhcp", p.DHCP, "site", d.Site.Dir())
	}
	if d.https != nil {
		d.Log.Info("serving HTTPS too; `cloudlets ca` prints what firmware has to trust", "listening", d.https.listen, "authority", authority.Fingerprint(d.https.trust))
	}
	specs := d.Site.Specs()
	names := d.Site.Images()
	switch {
	case len(names) == 0:
		d.Log.Info("the site has no images yet: put a folder or a tarball with /.cloudlet/manifest in it into " + filepath.Join(d.Site.Dir(), "images"))
	case len(specs) == 0:
		d.Log.Info("the site has no machines yet: switch one on and its address appears in `cloudlets machines`; then write {\"image\": \"" + names[0] + "\"} to " + filepath.Join(d.Site.Dir(), "machines", "<MAC>.json"))
	}
	if d.Settings.SecureBootKey != "" {
		if _, err := d.depot.Owner(); err != nil {
			d.Log.Warn("machines with \"secureBoot\": \"owner\" cannot be installed", "error", err)
		}
	}
	if d.dhcpIsOff() {
		d.Log.Info("DHCP is off: machines find this server only if your DHCP server names it")
	}
}
