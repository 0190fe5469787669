// Package site reads what a user keeps of a network: the files in machines/ and
// profiles/, the images in images/, and cloudlets.json. It watches them, and
// while one of them is broken, the last good one stands. What the keys in them mean is said
// by package keys.
package site

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"log/slog"
	"maps"
	"net/netip"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"cloudlets/images/jsontext"
	"cloudlets/provision"
	"cloudlets/provision/site/keys"
)

// The places in a site.
const (
	SettingsFile = "cloudlets.json"
	profilesDir  = "profiles"
	imagesDir    = "images"
)

// Site is a folder in which a user keeps what should be: machines/, profiles/,
// images/ and cloudlets.json. All of it may be absent. A file that is wrong
// never takes away what the last good one said: that stands, and the mistake
// is one of [Site.Problems].
//
// A Site may be used by several goroutines at once.
type Site struct {
	dir   string
	log   *slog.Logger
	clock func() time.Time

	reading sync.Mutex // held while the files are read
	files   fileCache  // guarded by reading
	facts   Facts      // guarded by reading; nil if nothing is known
	learned chan struct{}
	mu      sync.Mutex // guards what follows
	view    *view
	waiting map[chan struct{}]struct{}
	indexes []func()

	// These share the readings of Refresh.
	asked      atomic.Uint64
	refreshing sync.Mutex
	answered   uint64 // the number of the latest request that a reading has answered; guarded by refreshing
}

// view is all that was read of a site at one time. It is never changed.
type view struct {
	settings keys.Settings
	machines index
	images   map[string]string // name to path
	profiles []string          // names, sorted
	problems jsontext.Problems
	// wrong has those of problems that are about a machine. One in a profile is about
	// each machine that extends it.
	wrong map[provision.MAC]jsontext.Problems
	// judged has by what the rules of profiles were judged, of machines that have such.
	judged map[provision.MAC]map[string]string

	digest func() string // of machines, made when it is first asked for
}

// equal says whether two views say the same.
func (v *view) equal(other *view) bool {
	return reflect.DeepEqual(v.settings, other.settings) && maps.Equal(v.images, other.images) && slices.Equal(v.profiles, other.profiles) &&
		slices.Equal(v.problems, other.problems) && maps.EqualFunc(v.wrong, other.wrong, slices.Equal[jsontext.Problems]) && reflect.DeepEqual(v.machines.specs, other.machines.specs) &&
		reflect.DeepEqual(v.judged, other.judged)
}

// Open reads the site in dir. A nil log is silent. Mistakes in the site's files
// are told by [Site.Problems]; the error is about a path that can never be a
// site.
func Open(dir string, log *slog.Logger) (*Site, error) {
	if log == nil {
		log = slog.New(slog.DiscardHandler)
	}
	abs, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open site %s: %w", dir, err)
	}
	if info, err := os.Stat(abs); err == nil && !info.IsDir() {
		return nil, fmt.Errorf("open site %s: it is a file; name the folder that holds machines/ and images/", dir)
	}
	s := &Site{dir: abs, log: log, clock: time.Now, view: newView(), waiting: make(map[chan struct{}]struct{}), learned: make(chan struct{}, 1)}
	s.Reload()
	return s, nil
}

// Dir is the site's folder, as an absolute path.
func (s *Site) Dir() string { return s.dir }

func (s *Site) current() *view {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.view
}

// Spec is what the site says of a machine, by its primary MAC, and whether it says
// anything. Maps, lists and pointers in it are shared: do not write to them.
func (s *Site) Spec(mac provision.MAC) (provision.Spec, bool) {
	return s.current().machines.spec(mac)
}

// Has says whether the site says anything of a machine.
func (s *Site) Has(mac provision.MAC) bool {
	_, ok := s.current().machines.at[mac]
	return ok
}

// Machine is the machine that has a network card, by its primary MAC. A card that
// no file lists is a machine of its own.
func (s *Site) Machine(card provision.MAC) provision.MAC {
	if mac, listed := s.current().machines.byCard[card]; listed {
		return mac
	}
	return card
}

// ByUUID is the machine whose file has a UUID.
func (s *Site) ByUUID(uuid provision.UUID) (provision.MAC, bool) {
	mac, ok := s.current().machines.byUUID[uuid]
	return mac, ok
}

// Specs are all machines of the site, ordered by MAC. The list is shared: do
// not write to it.
func (s *Site) Specs() []provision.Spec { return s.current().machines.specs }

// ByAddress is the machine for which an address is reserved.
func (s *Site) ByAddress(addr netip.Addr) (provision.MAC, bool) {
	mac, ok := s.current().machines.byAddress[addr]
	return mac, ok
}

// ByName is the machine with a hostname, or else all those whose hostname
// begins with this label. The list is shared: do not write to it.
func (s *Site) ByName(name string) []provision.MAC { return s.current().machines.named(name) }

// ByImage are the machines whose files name an image, in order. The list is
// shared: do not write to it.
func (s *Site) ByImage(image string) []provision.MAC { return s.current().machines.byImage[image] }

// ImageUses are the images that machines' files name, with the number of
// machines that do. The map is shared: do not write to it.
func (s *Site) ImageUses() map[ImageUse]int { return s.current().machines.uses }

// IsBootFile says whether a machine's file names a boot loader of its own that
// has this name, in capitals or not.
func (s *Site) IsBootFile(name string) bool {
	_, ok := s.current().machines.bootFiles[strings.ToLower(name)]
	return ok
}

// Profiles are the names of what is in profiles/, sorted. The list is shared: do not write
// to it.
func (s *Site) Profiles() []string { return s.current().profiles }

// Tags are the tags that machines have, sorted.
func (s *Site) Tags() []string { return slices.Sorted(maps.Keys(s.current().machines.tags)) }

// Settings are what cloudlets.json says of the server.
func (s *Site) Settings() keys.Settings { return s.current().settings }

// Digest is the digest of what the site says of all its machines, "sha256:…". Two
// servers with copies of one site can compare it.
func (s *Site) Digest() string { return s.current().digest() }

// newView is a view of nothing.
func newView() *view {
	v := &view{}
	v.digest = sync.OnceValue(func() string { return digestOf(v.machines.specs) })
	return v
}

func digestOf(specs []provision.Spec) string {
	sum := sha256.New()
	for _, spec := range specs {
		text, err := json.Marshal(spec)
		if err != nil {
			text = fmt.Append(nil, spec.MAC, err) // what was read from JSON can be written as JSON
		}
		sum.Write(append(text, '\n'))
	}
	return fmt.Sprintf("sha256:%x", sum.Sum(nil))
}

// Problems are the mistakes in the site's files, ordered by file and line.
func (s *Site) Problems() jsontext.Problems { return slices.Clone(s.current().problems) }

// ProblemsOf are the mistakes in what the site's files say of one machine.
func (s *Site) ProblemsOf(mac provision.MAC) jsontext.Problems {
	return s.current().wrong[mac].Tidy()
}

// Images are the names of what is in images/, sorted: directories, and
// tarballs without their ending.
func (s *Site) Images() []string {
	return slices.Sorted(maps.Keys(s.current().images))
}

// ImagePath is where an image is: the path of a directory or of a tarball, or
// for "web@v1.2" that of the repository images/web and the revision after it.
func (s *Site) ImagePath(name string) (string, bool) { return s.current().imagePath(name) }

// Changes tells of each time that the site has changed, until ctx ends; then
// the channel is closed. Several changes in a row may be told as one.
func (s *Site) Changes(ctx context.Context) <-chan struct{} {
	c := make(chan struct{}, 1)
	s.mu.Lock()
	s.waiting[c] = struct{}{}
	s.mu.Unlock()
	context.AfterFunc(ctx, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		delete(s.waiting, c)
		close(c)
	})
	return c
}

// Index has renew called after each reading that changed something, before any
// reader of [Site.Changes] is told, for as long as the site is used. It is for
// those who keep what follows from the site, and renew it once for each reading.
func (s *Site) Index(renew func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.indexes = append(s.indexes, renew)
}

// publish makes next the current view and tells those who wait. The caller holds
// reading.
func (s *Site) publish(next *view) {
	s.mu.Lock()
	s.view = next
	indexes := slices.Clone(s.indexes)
	s.mu.Unlock()
	for _, renew := range indexes {
		renew()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for c := range s.waiting {
		select {
		case c <- struct{}{}:
		default: // told already, and not heard yet
		}
	}
}
