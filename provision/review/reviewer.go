package review

import (
	"context"
	"fmt"
	"log/slog"
	"net/netip"
	"reflect"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/images"
	"cloudlets/images/jsontext"
	"cloudlets/images/pack"
	"cloudlets/images/pause"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/rendering"
)

// Site knows the machines' files. [site.Site] implements it.
type Site interface {
	Specs() []provision.Spec
	Spec(provision.MAC) (provision.Spec, bool)
	ByImage(image string) []provision.MAC
	ImagePath(image string) (string, bool)
	// ProblemsOf are the mistakes in what the site says of a machine.
	ProblemsOf(provision.MAC) jsontext.Problems
	// Locate returns where it says something.
	Locate(provision.MAC) func(names ...string) jsontext.Place
	Changes(ctx context.Context) <-chan struct{}
	// CheckFile says why a file of the site cannot be read.
	CheckFile(name string) error
}

// Images has the images as machines get them. [depot.Depot] implements it.
type Images interface {
	Status(depot.Key) depot.Status
	OpenPack(depot.File) (*pack.Pack, func(), error)
	Suits(spec *provision.Spec, kit *depot.Kit, arch string) error
}

// Reviewer checks machines in the background, one after the other, and keeps what it
// found. It looks at a machine again only if its file, its image, or a fact that the
// image's templates use has changed. Set the fields before you use it. Several
// goroutines may use it at once.
type Reviewer struct {
	Site   Site
	Images Images
	// State returns what is known of a machine.
	State func(provision.MAC) provision.State
	// Renderer returns what renders templates, and a function that ends it. It is called
	// when there is something to do.
	Renderer func() (images.Renderer, func() error)
	// Server returns the URL of this server as machines may see it.
	Server func() string
	// Busy, if not nil, says whether machines wait for this server. Then it checks a few
	// in a second only.
	Busy func() bool
	// Changed, if not nil, is called when something else was found about a machine.
	Changed func(provision.MAC)
	Log     *slog.Logger // may be nil; then nothing is logged

	mu       sync.Mutex
	once     sync.Once
	wake     chan struct{}
	machines map[provision.MAC]*entry
	// changed wait because of their files, and come before others, of which many wait
	// when an image has changed.
	changed, others []provision.MAC
	uses            map[string]uses // by the digest of a pack
	checks          int             // that were made
}

// entry is what is known of one machine.
type entry struct {
	spec    *provision.Spec // of the site, which never changes it
	subject subject
	found   []Finding
	done    bool // found is of spec and subject
	waits   bool
}

// subject is what a machine was checked against, besides its file.
type subject struct {
	pack, kernel, ramdisk string
	arch, disk            string
	address               netip.Addr
}

func (r *Reviewer) start() {
	r.once.Do(func() {
		r.wake = make(chan struct{}, 1)
		r.machines, r.uses = make(map[provision.MAC]*entry), make(map[string]uses)
	})
}

// Run checks machines until ctx ends.
func (r *Reviewer) Run(ctx context.Context) error {
	r.start()
	changes := r.Site.Changes(ctx)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error {
		for {
			r.renew()
			if _, more := <-changes; !more {
				return nil
			}
		}
	})
	tasks.Go(func() error { return r.work(ctx) })
	return tasks.Wait()
}

// renew looks which machines' files say something else than before.
func (r *Reviewer) renew() {
	specs := r.Site.Specs()
	for i := range specs {
		r.renewOne(&specs[i])
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.machines) > len(specs) {
		for mac := range r.machines {
			if _, there := r.Site.Spec(mac); !there {
				delete(r.machines, mac)
			}
		}
	}
}

// renewOne locks for one machine alone, so that nobody waits for all of them.
func (r *Reviewer) renewOne(spec *provision.Spec) {
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.machines[spec.MAC]
	if e == nil {
		e = &entry{}
		r.machines[spec.MAC] = e
	} else if reflect.DeepEqual(e.spec, spec) {
		e.spec = spec // so that the site's last reading is not kept
		return
	}
	e.spec, e.done = spec, false
	r.queue(&r.changed, spec.MAC, e)
}

// queue lets a machine wait for its turn. The caller holds mu.
func (r *Reviewer) queue(list *[]provision.MAC, mac provision.MAC, e *entry) {
	if e.waits {
		return
	}
	e.waits = true
	*list = append(*list, mac)
	select {
	case r.wake <- struct{}{}:
	default:
	}
}

// SawKit is told that an image is ready, or cannot be. Its machines are checked again.
func (r *Reviewer) SawKit(key depot.Key) {
	r.start()
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, mac := range r.Site.ByImage(key.Image) {
		if e := r.machines[mac]; e != nil && e.spec.EntryPoint == key.EntryPoint {
			r.queue(&r.others, mac, e)
		}
	}
}

// SawState is told the state of a machine whenever it changes. It is quick.
func (r *Reviewer) SawState(state *provision.State, _ bool) {
	r.start()
	r.mu.Lock()
	defer r.mu.Unlock()
	e := r.machines[state.MAC]
	if e == nil || !e.done {
		return
	}
	if s := e.subject; s != s.seen(e.spec, state, r.uses[s.pack]) {
		r.queue(&r.others, state.MAC, e)
	}
}

// seen is the subject with what is known of the machine now.
func (s subject) seen(spec *provision.Spec, state *provision.State, u uses) subject {
	s.arch, s.disk, s.address = state.Facts["arch"], "", netip.Addr{}
	if u.disk {
		s.disk, _, _ = strings.Cut(state.Facts["disk"], ",")
	}
	if u.address && !spec.Address.IsValid() {
		s.address, _ = netip.ParseAddr(state.Facts["address"]) // it is invalid before the machine is seen
	}
	return s
}

// next takes the next machine that waits.
func (r *Reviewer) next() (provision.MAC, bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, list := range []*[]provision.MAC{&r.changed, &r.others} {
		for len(*list) > 0 {
			mac := (*list)[0]
			*list = (*list)[1:]
			if e := r.machines[mac]; e != nil {
				e.waits = false
				return mac, true
			}
		}
	}
	r.changed, r.others = nil, nil
	return "", false
}

// work checks the machines that wait, until ctx ends.
func (r *Reviewer) work(ctx context.Context) error {
	for {
		if mac, ok := r.next(); ok {
			if err := r.workOff(ctx, mac); err != nil {
				r.logger().Warn("the templates' process did not end well", "error", err)
			}
		}
		select {
		case <-r.wake:
		case <-ctx.Done():
			return nil
		}
	}
}

// workOff checks a machine, and then all that wait. Its renderer ends with it, so
// that nothing is held while there is nothing to do.
func (r *Reviewer) workOff(ctx context.Context, mac provision.MAC) error {
	render, end := r.Renderer()
	for ok := true; ok && ctx.Err() == nil; mac, ok = r.next() {
		r.look(ctx, render, mac)
		r.giveWay(ctx)
	}
	return end()
}

// busyPause follows each check while machines wait for the server. A hall that is switched
// on needs all processors for that, and nobody changes its files meanwhile.
const busyPause = 250 * time.Millisecond

func (r *Reviewer) giveWay(ctx context.Context) {
	if r.Busy != nil && r.Busy() {
		_ = pause.For(ctx, busyPause) // the next check sees whether ctx has ended
	}
}

// look checks one machine, unless it was checked as it is.
func (r *Reviewer) look(ctx context.Context, render images.Renderer, mac provision.MAC) {
	defer func() {
		if p := recover(); p != nil {
			r.logger().Error("a machine could not be checked", "machine", mac, "panic", p, "stack", string(debug.Stack()))
		}
	}()
	spec, kit := r.kit(mac)
	if kit == nil {
		return // what is known of its image says why, or it comes again when there is one
	}
	tree, done, err := r.Images.OpenPack(kit.Pack)
	if err != nil {
		r.logger().Warn("a machine could not be checked", "machine", mac, "error", err)
		return
	}
	defer done()
	state := r.State(mac)
	image := Image{Manifest: kit.Manifest, System: kit.Image, Tree: tree, Suits: func(spec *provision.Spec) error {
		return r.Images.Suits(spec, kit, state.Facts["arch"])
	}}
	now := subjectOf(kit).seen(&spec, &state, r.usesOf(kit.Pack.Digest, image))
	r.mu.Lock()
	e := r.machines[mac]
	same := e == nil || e.done && e.subject == now
	r.mu.Unlock()
	if same {
		return
	}
	facts := rendering.Facts{Server: r.Server(), Disk: now.disk, Address: now.address}
	found, err := Check(ctx, render, image, Machine{Spec: spec, Locate: r.Site.Locate(mac), Facts: facts})
	if err != nil {
		r.again(mac)
		return
	}
	if r.keep(mac, spec, now, found) && r.Changed != nil {
		r.Changed(mac)
	}
}

// again lets a machine wait once more that could not be checked.
func (r *Reviewer) again(mac provision.MAC) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if e := r.machines[mac]; e != nil {
		r.queue(&r.others, mac, e)
	}
}

// keep keeps what was found, unless the file has changed meanwhile, and says whether it
// is news.
func (r *Reviewer) keep(mac provision.MAC, spec provision.Spec, now subject, found []Finding) (news bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.checks++
	e := r.machines[mac]
	if e == nil || !reflect.DeepEqual(e.spec, &spec) {
		return false
	}
	news = !slices.Equal(e.found, found)
	e.subject, e.found, e.done = now, found, true
	return news
}

// kit is what a machine's file says, and the kit of its image if there is a good one.
func (r *Reviewer) kit(mac provision.MAC) (provision.Spec, *depot.Kit) {
	spec, ok := r.Site.Spec(mac)
	if !ok || spec.Image == "" {
		return spec, nil
	}
	if _, there := r.Site.ImagePath(spec.Image); !there {
		return spec, nil
	}
	status := r.Images.Status(depot.Key{Image: spec.Image, EntryPoint: spec.EntryPoint})
	if status.Err != nil {
		return spec, nil
	}
	return spec, status.Kit
}

func subjectOf(kit *depot.Kit) subject {
	return subject{pack: kit.Pack.Digest, kernel: kit.Kernel.Digest, ramdisk: kit.RAMDisk.Digest}
}

// maxUses bounds the packs of which the uses are kept.
const maxUses = 1024

func (r *Reviewer) usesOf(digest string, image Image) uses {
	r.mu.Lock()
	u, known := r.uses[digest]
	r.mu.Unlock()
	if known {
		return u
	}
	u = usesOf(image)
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.uses) >= maxUses {
		clear(r.uses)
	}
	r.uses[digest] = u
	return u
}

// Of returns what is known to be wrong with a machine. It does not wait for anything:
// while the machine waits to be checked, only its file and its image count.
func (r *Reviewer) Of(mac provision.MAC) []Finding {
	found, _ := r.known(mac)
	return found
}

// known is Of, and whether the machine was checked as it is.
func (r *Reviewer) known(mac provision.MAC) (found []Finding, checked bool) {
	r.start()
	for _, p := range r.Site.ProblemsOf(mac) {
		found = append(found, Finding{Problem: p})
	}
	spec, ok := r.Site.Spec(mac)
	if !ok || spec.Image == "" {
		return found, true
	}
	if _, there := r.Site.ImagePath(spec.Image); !there {
		return found, true // the site says so
	}
	for key, file := range cloudInitFiles(spec.CloudInit) {
		// The site does not watch these files, so they are looked at each time.
		if err := r.Site.CheckFile(file); err != nil {
			found = append(found, Finding{Problem: jsontext.About(mac.File(), "/cloudInit/%s: %v", key, err)})
		}
	}
	key := depot.Key{Image: spec.Image, EntryPoint: spec.EntryPoint}
	status := r.Images.Status(key)
	if status.Err != nil && !status.Busy {
		// Its place would have to be read from the file, for each row of a table.
		return append(found, Finding{Problem: jsontext.About(spec.File(), "the image %s cannot be booted: %v", key, status.Err)}), true
	}
	if status.Kit == nil || status.Err != nil {
		return found, false
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	e, now := r.machines[mac], subjectOf(status.Kit)
	if e == nil || !e.done || e.subject.pack != now.pack || e.subject.ramdisk != now.ramdisk || !reflect.DeepEqual(e.spec, &spec) {
		return found, false
	}
	return append(found, e.found...), true
}

// Refusal says why an install of a machine cannot work, or is nil if nothing is known
// against it. Of a machine that still waits to be checked, it checks the arguments,
// which takes no time.
func (r *Reviewer) Refusal(mac provision.MAC) error {
	found, checked := r.known(mac)
	if spec, kit := r.kit(mac); !checked && kit != nil {
		found = append(found, CheckArgs(kit.Manifest, Machine{Spec: spec, Locate: r.Site.Locate(mac)})...)
	}
	var wrong []string
	for _, f := range found {
		if !f.Warning {
			wrong = append(wrong, f.Error())
		}
	}
	if wrong == nil {
		return nil
	}
	return fmt.Errorf("arm install of %s: it could not work; mend this first:\n%s", mac, strings.Join(wrong, "\n"))
}

func (r *Reviewer) logger() *slog.Logger {
	if r.Log == nil {
		return slog.New(slog.DiscardHandler)
	}
	return r.Log
}
