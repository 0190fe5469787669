package httpboot

import (
	"context"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/httpboot/loaders"
	"cloudlets/httpboot/machines"
	"cloudlets/httpboot/overlays"
	"cloudlets/httpboot/systems"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/ejs"
	"cloudlets/provision"
	"cloudlets/provision/depot"
	"cloudlets/provision/store"
	"cloudlets/provision/tickets"
	"cloudlets/provision/track"
	"cloudlets/provision/wire"
)

// second is another server with the same store and images, and a site and a state
// folder of its own.
func (b *bed) second(s store.Store) *bed {
	b.t.Helper()
	other := &bed{t: b.t, dir: b.t.TempDir(), log: &lockedBuffer{}}
	other.site = &testSite{images: b.site.images}
	other.site.Put(testSpec(node1))
	log := slog.New(slog.NewTextHandler(other.log, nil))
	tracker, err := track.NewTracker(s, track.Options{Log: log, Slot: 1})
	must(b.t, err)
	b.t.Cleanup(tracker.Close)
	assets := filepath.Join(b.dir, "assets")
	kits, err := depot.Open(depot.Options{
		Dir: filepath.Join(other.dir, "depot"), Images: other.site, Assets: bootloader.Assets{Dir: assets},
		Agent: filepath.Join(b.dir, "agent"), Log: log,
	})
	must(b.t, err)
	known := &machines.Machines{Site: other.site, Tracker: tracker, Log: log}
	other.Chain = &Chain{
		Machines: known, Systems: &systems.Systems{Machines: known}, Tickets: tickets.New(s, nil), Depot: kits, Render: &ejs.Renderer{},
		Loaders: loaders.Files{Dir: assets, Site: other.site}, Overlays: overlays.Folder(filepath.Join(other.dir, "overlays")),
	}
	other.http = httptest.NewServer(other.Handler())
	other.Base = other.http.URL
	other.Chain.Base = func(netip.Addr) string { return other.Base }
	other.run(kits)
	return other
}

// TestAnotherServerGoesOn: one server gives the plan, and dies. Another one that
// shares the store has all that the plan names, byte for byte, and takes the
// reports.
func TestAnotherServerGoesOn(t *testing.T) {
	b := newBed(t, func(image string) {
		write(t, filepath.Join(image, ".cloudlet/manifest"), []byte(`{"templates": ["/etc/server"], "arch": "x86_64"}`))
		write(t, filepath.Join(image, "etc/server"), []byte("<%= env.server %> <%= env.hostname %>"))
	})
	shared := &store.Memory{}
	b.start(shared)
	other := b.second(shared)
	b.Others = func(netip.Addr) []string { return []string{other.Base} }
	b.kit(node1)
	if got := b.token(node1).Servers; len(got) != 2 || got[0] != b.Base || got[1] != other.Base {
		t.Errorf("the kernel is told of %v", got)
	}
	plan := b.claim(node1)
	if len(plan.Servers) != 2 || plan.Servers[1] != other.Base {
		t.Errorf("the plan names %v", plan.Servers)
	}
	_, files := b.overlayOf(plan)
	raw, _ := b.overlayOf(plan)
	b.http.Close()

	other.kit(node1)
	for _, blob := range plan.BootLoaders {
		other.get(blob.Path).want(t, http.StatusOK)
	}
	other.get(plan.Pack.Path).want(t, http.StatusOK)
	again, filesAgain := other.overlayOf(plan)
	if again != raw || filesAgain["/etc/server"] != b.Base+" "+plan.Hostname {
		t.Errorf("the overlay of the other server differs: %v, was %v", filesAgain, files)
	}
	done := []provision.Event{{MAC: node1, Kind: provision.KindDone, Stage: provision.StageInstalled, Text: "done"}}
	other.do(http.MethodPost, "/agent/events", plan.Session, done).want(t, http.StatusNoContent)
	if state, _ := b.Tracker.State(node1); state.Installs != 1 {
		t.Errorf("the first server knows %+v", state)
	}
}

// deafStore tells its followers nothing, as if what others write came late.
type deafStore struct{ store.Store }

func (s deafStore) Follow(ctx context.Context, f store.Follower, _ ...string) (func(), error) {
	return s.Store.Follow(ctx, f)
}

// TestTheEndIsReportedAgainElsewhere: the server that recorded the end of an install
// died before it answered. Another one, which has not heard of it yet, takes the
// report for what it is.
func TestTheEndIsReportedAgainElsewhere(t *testing.T) {
	b := newBed(t, nil)
	shared := &store.Memory{}
	b.start(shared)
	other := b.second(deafStore{shared})
	b.kit(node1)
	plan := b.claim(node1)
	done := []provision.Event{{MAC: node1, Kind: provision.KindDone, Stage: provision.StageInstalled, Text: "done"}}
	b.do(http.MethodPost, "/agent/events", plan.Session, done).want(t, http.StatusNoContent)
	other.do(http.MethodPost, "/agent/events", plan.Session, done).want(t, http.StatusNoContent)
	other.do(http.MethodPost, "/agent/events", plan.Session, []provision.Event{{MAC: node1, Kind: provision.KindLog, Text: "more"}}).want(t, http.StatusForbidden)
}

// TestCopiesOfTheSiteThatDiffer: a server does not serve files that are not those
// of the plan.
func TestCopiesOfTheSiteThatDiffer(t *testing.T) {
	b := newBed(t, nil)
	shared := &store.Memory{}
	b.start(shared)
	other := b.second(shared)
	b.kit(node1)
	plan := b.claim(node1)
	other.forget(node1)
	other.do(http.MethodGet, plan.Overlay.Path, plan.Session, nil).want(t, http.StatusServiceUnavailable, "this server's copy of the site has no good file")
	other.change(node1, func(s *provision.Spec) { s.Config.Args = map[string]any{"port": 81} })
	other.kit(node1)
	other.do(http.MethodGet, plan.Overlay.Path, plan.Session, nil).want(t, http.StatusServiceUnavailable, "differs from that of the server that gave the plan")
}

// TestPackOfAnotherCopy: a machine that was armed with an image is not installed
// with other content under that name, and its trace says why.
func TestPackOfAnotherCopy(t *testing.T) {
	b := newBed(t, nil)
	kit := b.kit(node1)
	spec, _ := b.site.Spec(node1)
	arm := func(pack string) {
		t.Helper()
		must(t, b.Tracker.Record(t.Context(), provision.Event{MAC: node1, Kind: provision.KindArmed, By: "anna", Pin: &provision.Pin{Order: spec.Order(), Pack: pack}}))
	}
	arm("sha256:another")
	request := b.request(node1)
	b.do(http.MethodPost, wire.ClaimPath, "", request).want(t, http.StatusConflict)
	if state, _ := b.Tracker.State(node1); state.Stage != provision.StageFailed || !strings.Contains(state.Failure, spec.Image) {
		t.Errorf("the machine is %s", state)
	}
	arm(kit.Pack.Digest)
	request = b.request(node1)
	request.Nonce = "again"
	b.claimAs(request)
}
