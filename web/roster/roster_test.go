package roster_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
	"cloudlets/web/roster"
)

// walk returns all machines of a query, from all its pages.
func walk(t *testing.T, r *roster.Roster, q roster.Query) (macs []provision.MAC) {
	t.Helper()
	for {
		page, err := r.Page(q)
		if err != nil {
			t.Fatal(err)
		}
		macs = append(macs, page.MACs...)
		if page.Next == "" {
			return macs
		}
		q.After = page.Next
	}
}

// expected makes a list anew from all states and all files.
func expected(s *site.Site, t *track.Tracker, list roster.List) (macs []provision.MAC) {
	states := make(map[provision.MAC]provision.State)
	for _, spec := range s.Specs() {
		states[spec.MAC], _ = t.State(spec.MAC)
	}
	for _, state := range t.States() {
		states[state.MAC] = state
	}
	names := make(map[provision.MAC]string)
	for mac, state := range states {
		spec, described := s.Spec(mac)
		install := described && provision.Decide(&spec, state).Action == provision.ActionInstall
		if list == roster.All || list == roster.List(state.Stage) || list == roster.Installing && state.Installing() ||
			list == roster.Waiting && install && !state.Installing() || list == roster.Strangers && !described {
			macs = append(macs, mac)
		}
		if names[mac] = spec.Hostname; spec.Hostname == "" {
			names[mac] = "~" // after all hostnames
		}
	}
	slices.SortFunc(macs, func(a, b provision.MAC) int {
		return cmp.Or(cmp.Compare(names[a], names[b]), cmp.Compare(a, b))
	})
	return macs
}

// Whatever happens, in whatever order, the lists are those that a look at all
// machines would give.
func TestListsAgreeWithALookAtAllMachines(t *testing.T) {
	dir := t.TempDir()
	folder := filepath.Join(dir, "machines")
	if err := os.MkdirAll(filepath.Join(dir, "images", "debian"), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	s, err := site.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := track.NewTracker(&store.Memory{}, track.Options{Known: s.Has})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	r := roster.New(s, tr, nil)
	random := rand.New(rand.NewPCG(1, 2))
	for step := range 250 {
		i := random.IntN(25)
		file := filepath.Join(folder, string(macOf(i))+".json")
		switch random.IntN(8) {
		case 0:
			text := fmt.Sprintf(`{"image": "debian", "hostname": "h%c", "install": "once"}`, 'a'+rune(random.IntN(26)))
			if random.IntN(3) == 0 {
				text = `{"image": "debian"}`
			}
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			s.Reload()
		case 1:
			if err := os.RemoveAll(file); err != nil {
				t.Fatal(err)
			}
			s.Reload()
		case 2:
			event(t, tr, i, provision.KindArmed, "")
		case 3:
			event(t, tr, i, provision.KindDisarmed, "")
		case 4:
			event(t, tr, i, provision.KindDone, "")
		case 5:
			event(t, tr, i, provision.KindProgress, "")
		default:
			event(t, tr, i, provision.KindStage, roster.Stages()[random.IntN(len(roster.Stages()))])
		}
		counts := r.Counts()
		for _, list := range append(roster.Lists(), roster.All) {
			got := walk(t, r, roster.Query{List: list, Limit: 1 + random.IntN(7)})
			if want := expected(s, tr, list); !slices.Equal(got, want) || counts[list] != len(want) {
				t.Fatalf("step %d, list %q: got %v, counted %d, want %v", step, list, got, counts[list], want)
			}
		}
	}
}

// Machines that the tracker forgets leave the roster.
func TestForgottenStrangersAreGone(t *testing.T) {
	s, err := site.Open(t.TempDir(), nil)
	if err != nil {
		t.Fatal(err)
	}
	tr, err := track.NewTracker(&store.Memory{}, track.Options{Known: s.Has})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	r := roster.New(s, tr, nil)
	for i := range 5000 {
		event(t, tr, i, provision.KindDHCP, provision.StageStranger)
	}
	known := tr.States()
	if n := r.Counts()[roster.All]; n != len(known) || n == 5000 {
		t.Errorf("%d machines in the roster, the tracker knows %d", n, len(known))
	}
	if got := walk(t, r, roster.Query{}); len(got) != len(known) {
		t.Errorf("%d machines on all pages, want %d", len(got), len(known))
	}
}

// A search looks at a bounded number of machines for each page, and whoever goes on
// finds all.
func TestASearchIsBounded(t *testing.T) {
	r, _ := fleet(t, roster.MaxExamined+10)
	last := macOf(roster.MaxExamined + 9)
	q := roster.Query{Search: strings.ToUpper(string(last))}
	page, err := r.Page(q)
	if err != nil || len(page.MACs) != 0 || page.Next == "" {
		t.Errorf("the first page is %+v, %v", page, err)
	}
	if got := walk(t, r, q); !slices.Equal(got, []provision.MAC{last}) {
		t.Errorf("found %v", got)
	}
}

// A view is told of its own machines, and costs nothing for others.
func TestAView(t *testing.T) {
	r, tr := fleet(t, 10)
	v, err := r.View(roster.Query{List: "stream", Limit: 3})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(v.Close)
	if page := v.Page(); !slices.Equal(page.MACs, []provision.MAC{macOf(0), macOf(1), macOf(2)}) {
		t.Fatalf("at first %v", page)
	}
	check := func(what string, rows []provision.MAC, moved bool) {
		t.Helper()
		if got, did := v.Changes(); !slices.Equal(got, rows) || did != moved {
			t.Errorf("%s: %v, %t; want %v, %t", what, got, did, rows, moved)
		}
	}
	check("nothing", nil, false)
	event(t, tr, 5, provision.KindProgress, "")
	check("progress of another", nil, false)
	event(t, tr, 2, provision.KindProgress, "")
	event(t, tr, 1, provision.KindProgress, "")
	check("progress of two", []provision.MAC{macOf(1), macOf(2)}, false)
	event(t, tr, 7, provision.KindStage, provision.StageVerify)
	check("another leaves the list", nil, false)
	event(t, tr, 1, provision.KindStage, provision.StageVerify)
	check("one leaves the page", nil, true)
	if page := v.Page(); !slices.Equal(page.MACs, []provision.MAC{macOf(0), macOf(2), macOf(3)}) {
		t.Errorf("then %v", page)
	}
	event(t, tr, 1, provision.KindProgress, "")
	event(t, tr, 3, provision.KindProgress, "")
	check("after that", []provision.MAC{macOf(3)}, false)
}
