// Package depot makes the files that machines fetch, before any machine asks
// for them: the pack of an image, its kernel, the RAM disk that the kernel
// boots into, and the boot loaders for the disk. Each is made once and named
// by its digest, so it can be cached and served for ever. Start reading at
// [Depot].
package depot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"cloudlets/images"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki/signing"
	"cloudlets/images/footprint"
	"cloudlets/images/manifest"
	"cloudlets/images/pack"
	"cloudlets/images/ramdisk"
	"cloudlets/images/source"
	"cloudlets/images/target"
)

// Finder tells where a site's images are.
type Finder interface {
	ImagePath(name string) (string, bool)
}

// File is one thing of the depot.
type File struct {
	// Digest names the file, "sha256:…". A pack's is that of its table of
	// contents; any other file's is that of its bytes.
	Digest string `json:"digest"`
	Size   int64  `json:"size"`
}

// Key names a kit: an image, and which of its kernel entry points.
type Key struct {
	Image string
	// EntryPoint is "" for the default.
	EntryPoint string
	// Server is a base URL of this server. It asks for [Kit.Unified], whose agent
	// asks there for its parameters. "" asks for no such program.
	Server string
	// AsIs asks for a kit that boots the image's own kernel and initrd as they are.
	// Nothing can be installed with it.
	AsIs bool
	// Live asks for [Kit.Root] too.
	Live bool
}

func (k Key) String() string {
	text := k.Image
	if k.EntryPoint != "" {
		text += " (" + k.EntryPoint + ")"
	}
	if k.AsIs {
		text += ", as it is"
	}
	if k.Live {
		text += ", live"
	}
	if k.Server != "" {
		text += ", signed for " + k.Server
	}
	return text
}

// Kit has everything that is needed to boot and install one image.
type Kit struct {
	Key      Key
	Manifest *manifest.Manifest
	Pack     File
	// Entries is the number of files in the pack, and Bytes the length of
	// their content.
	Entries int
	Bytes   int64
	Kernel  File
	// RAMDisk has the agent. With [Key.AsIs] it is the image's own, or the zero value
	// if its entry point has none.
	RAMDisk File
	// Image is what the plan of a disk depends on. The file Kernel is the
	// first of its kernels. Their command lines are not rendered.
	target.Image
	// Filesystems are the names of those that the RAM disk can make.
	Filesystems []string
	// Root is what live machines have as their root filesystem, if the key is Live. NotLive
	// names the kernel's modules that they lack, whatever the key.
	Root    Root
	NotLive []string
	// NotMirror names those that machines lack whose system is on two disks.
	NotMirror []string
	// Loaders are the boot loaders for the disk, by name. The signed ones for
	// Secure Boot are among them, unless Signed says why they are missing.
	Loaders map[string]File
	Signed  error
	// NoStub says why the loaders lack those from which a disk is made that the
	// machines' owner signs.
	NoStub error
	// Unified is the kernel with the RAM disk and a command line as one UEFI program
	// that the machines' owner has signed, if the key has a Server.
	Unified File
}

// Status is how far the making of a kit has come.
type Status struct {
	// Kit is the finished kit, nil before the first is done.
	Kit *Kit
	// Err is why the last try to make one failed.
	Err error
	// Busy says that a kit is being made, or waits for its turn.
	Busy bool
}

// Depot makes and keeps files for machines. Its methods may be called by
// several goroutines at once.
type Depot struct {
	dir      string
	finder   Finder
	assets   bootloader.Assets
	programs ramdisk.Programs
	self     agent // the program that runs, if machines like this host get it
	trust    []byte
	log      *slog.Logger
	notify   func(Key, Status)
	owner    func() (*signing.Key, error)
	free     func(dir string) (int64, error) // bytes in a folder

	peers    func() []string // nil if the server stands alone
	client   *http.Client
	patience patience

	shelf shelf
	small smallFiles

	wake chan struct{}
	mu   sync.Mutex
	kits map[Key]*slot
	// proven has the digests of packs that were checked as a whole.
	proven map[string]bool
	offers map[string]File // packs by the digests of their contents
	turn   []Key

	looking chan struct{} // wakes a looker
	looks   map[string]*look
	unseen  []string // images that still have to be looked at
}

// slot is what is known of one kit.
type slot struct {
	Status
	fingerprint string        // of the image that the kit was made from
	done        chan struct{} // closed when the making ends

	// These are set after a failure. failed is the fingerprint of the image,
	// or "" if it has none. While the image stays the same, the next try may
	// begin at retry, which is pause after the failure.
	failed string
	pause  time.Duration
	retry  time.Time
}

// The pause after the first failure is minPause. It doubles with each further
// failure of the same image, up to maxPause.
const (
	minPause = 10 * time.Second
	maxPause = 5 * time.Minute
)

// fail records a failure with the image that has the fingerprint.
func (s *slot) fail(fingerprint string, now time.Time) {
	if s.pause == 0 || fingerprint != s.failed {
		s.pause = minPause / 2
	}
	s.failed, s.pause = fingerprint, min(2*s.pause, maxPause)
	s.retry = now.Add(s.pause)
}

// Options are what a depot needs.
type Options struct {
	// Dir is where the files are kept. It is made if it is not there.
	Dir    string
	Images Finder
	Assets bootloader.Assets
	// Agent is this program's file, and Embedded are the programs for machines that it
	// carries. [ramdisk.Programs] says which becomes /init of a RAM disk; it looks in
	// the folder of Assets too.
	Agent    string
	Embedded ramdisk.Embedded
	// Trust is the certificate, in PEM form, of the authority that agents trust. All
	// RAM disks have it. It is nil if no server has HTTPS.
	Trust []byte
	// Notify, if not nil, is called each time a kit was made that is not the same as
	// before, or could not be made.
	Notify func(Key, Status)
	// Peers, if not nil, returns the base URLs of the other servers that may have
	// made a pack already, without a slash at their end.
	Peers func() []string
	// Owner, if not nil, returns the key of the machines' owner as it is now.
	Owner func() (*signing.Key, error)
	Log   *slog.Logger
}

// Open opens the depot in a folder.
func Open(opt Options) (*Depot, error) {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	for _, dir := range []string{"files", "memo"} {
		if err := os.MkdirAll(filepath.Join(opt.Dir, dir), 0o755); err != nil {
			return nil, fmt.Errorf("open the depot: %w", err)
		}
	}
	self, err := openSelf(opt)
	if err != nil {
		return nil, fmt.Errorf("open the depot: %w", err)
	}
	return &Depot{
		dir: opt.Dir, finder: opt.Images, assets: opt.Assets, self: self, programs: ramdisk.Programs{Dir: opt.Assets.Dir, Embedded: opt.Embedded, Self: opt.Agent}, trust: opt.Trust, log: opt.Log, notify: opt.Notify, owner: opt.Owner, free: freeSpace,
		peers: opt.Peers, client: &http.Client{Transport: &http.Transport{}}, patience: patience{askTime, stallTime, graceTime, fetchTime}, offers: map[string]File{},
		wake: make(chan struct{}, 1), kits: map[Key]*slot{}, proven: map[string]bool{},
		looking: make(chan struct{}, 1), looks: map[string]*look{},
	}, nil
}

// Unused files are removed sweepAfter after Run began or last made a kit, since
// images are wanted one by one after a start, and then every sweepEvery.
const (
	sweepAfter = 10 * time.Minute
	sweepEvery = time.Hour
)

// Run makes the kits that are wanted, one after the other, and looks at the
// images that machines ask for, until ctx ends.
func (d *Depot) Run(ctx context.Context) error {
	d.shelf.keep(true)
	defer d.shelf.keep(false)
	tasks, ctx := errgroup.WithContext(ctx)
	tasks.Go(func() error { return d.makeAll(ctx) })
	for range lookers {
		tasks.Go(func() error { return d.lookAtAll(ctx) })
	}
	defer d.client.CloseIdleConnections()
	return tasks.Wait()
}

func (d *Depot) makeAll(ctx context.Context) error {
	sweep := time.NewTimer(sweepAfter)
	defer sweep.Stop()
	for {
		key, ok := d.next()
		if !ok {
			select {
			case <-d.wake:
			case <-sweep.C:
				d.sweep()
				sweep.Reset(sweepEvery)
			case <-ctx.Done():
				return nil
			}
			continue
		}
		kit, fingerprint, err := d.make(ctx, key)
		if ctx.Err() != nil {
			return nil
		}
		// Making a pack takes much memory, which is not needed until the next one.
		footprint.Release()
		d.finish(key, kit, fingerprint, err)
		sweep.Reset(sweepAfter)
	}
}

func (d *Depot) next() (Key, bool) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if len(d.turn) == 0 {
		return Key{}, false
	}
	key := d.turn[0]
	d.turn = d.turn[1:]
	return key, true
}

func (d *Depot) finish(key Key, kit *Kit, fingerprint string, err error) {
	d.mu.Lock()
	s := d.kits[key]
	news := err != nil || s.Err != nil || !s.Kit.same(kit)
	s.Busy, s.Err = false, err
	if err == nil {
		for _, f := range s.Kit.files() {
			d.touch(f) // a machine may be in the middle of the one before
		}
		s.Kit, s.fingerprint = kit, fingerprint
	} else {
		s.fail(fingerprint, time.Now())
	}
	status, done := s.Status, s.done
	d.mu.Unlock()
	defer close(done) // when the log has it
	if err != nil {
		d.log.Error("an image cannot be booted", "image", key, "error", err)
	}
	if news && d.notify != nil {
		d.notify(key, status)
	}
}

// Want asks for a kit without waiting for it.
func (d *Depot) Want(key Key) { d.want(key) }

// want returns the channel that is closed when the kit's making has ended.
func (d *Depot) want(key Key) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.enqueue(key)
}

// enqueue puts a kit on the list of those to be made, unless it is there or
// being made. It returns the channel that is closed when the kit's making has
// ended. The caller must hold mu.
func (d *Depot) enqueue(key Key) <-chan struct{} {
	s := d.kits[key]
	if s == nil {
		s = &slot{}
		d.kits[key] = s
	}
	if !s.Busy {
		s.Busy, s.done = true, make(chan struct{})
		d.turn = append(d.turn, key)
		select {
		case d.wake <- struct{}{}:
		default:
		}
	}
	return s.done
}

// Status returns how far a kit is. If the kit was never wanted, Status asks for
// it.
func (d *Depot) Status(key Key) Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.kits[key]; s != nil {
		if s.Err != nil && !s.Busy && !time.Now().Before(s.retry) {
			d.enqueue(key) // nobody may ask for the kit of an image that failed
		}
		return s.Status
	}
	d.enqueue(key)
	return Status{Busy: true}
}

// Kit returns the kit of the image as it is now. If the image has changed since
// its kit was made, Kit waits until the new one is done, or ctx ends. If the
// making failed and the image has not changed, Kit returns the same error until
// a pause is over, and only then tries again.
func (d *Depot) Kit(ctx context.Context, key Key) (*Kit, error) {
	making := d.making(key)
	if making == nil {
		seen, err := d.look(ctx, key.Image)
		if err != nil {
			return nil, fmt.Errorf("prepare image %s: %w: it is still being looked at; ask again", key, err)
		}
		d.mu.Lock()
		s := d.kits[key]
		switch {
		case s == nil: // the image was removed from the site meanwhile
		case !s.Busy && s.isOf(seen):
			defer d.mu.Unlock()
			return s.Kit, nil
		case !s.Busy && s.failedWith(seen) && time.Now().Before(s.retry):
			defer d.mu.Unlock()
			return nil, s.Err
		}
		making = d.enqueue(key)
		d.mu.Unlock()
	}
	select {
	case <-making:
	case <-ctx.Done():
		return nil, fmt.Errorf("prepare image %s: %w: it is still being packed; ask again", key, ctx.Err())
	}
	d.mu.Lock()
	defer d.mu.Unlock()
	s := d.kits[key]
	if s == nil { // the image was removed from the site meanwhile
		return nil, fmt.Errorf("prepare image %s: %w", key, ErrNoImage)
	}
	if s.Err != nil {
		return nil, s.Err // if there is a kit, it is of an older image
	}
	return s.Kit, nil
}

// making returns the channel that is closed when the kit's making has ended, if
// it is being made, or was never made. Otherwise it returns nil.
func (d *Depot) making(key Key) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	if s := d.kits[key]; s != nil && !s.Busy {
		return nil
	}
	return d.enqueue(key)
}

// isOf says whether a slot's kit was made from the image that was seen.
func (s *slot) isOf(seen *look) bool {
	return s.Kit != nil && s.Err == nil && seen.err == nil && seen.fingerprint == s.fingerprint
}

// failedWith says whether a slot's kit could not be made from the image that was
// seen.
func (s *slot) failedWith(seen *look) bool {
	return s.Err != nil && seen.fingerprint == s.failed
}

// ErrNoImage says that the site has no image of that name.
var ErrNoImage = errors.New("no such image")

func (d *Depot) open(ctx context.Context, name string) (*images.Image, error) {
	file, ok := d.finder.ImagePath(name)
	if !ok {
		return nil, fmt.Errorf("open image %s: %w: put a folder, a repository or a tarball of that name into the site's images/", name, ErrNoImage)
	}
	return source.Open(ctx, file, source.Options{})
}

// OpenPack opens a pack of the depot as a tree, which several may read. The caller
// must call the returned function to close it.
func (d *Depot) OpenPack(f File) (*pack.Pack, func(), error) {
	return d.shelf.take(f, d.Path(f.Digest))
}
