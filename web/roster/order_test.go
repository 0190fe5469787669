package roster_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
	"cloudlets/web/roster"
)

// compareBy compares two machines anew, from their files and states.
func compareBy(s *site.Site, t *track.Tracker, order roster.Order) func(a, b provision.MAC) int {
	look := func(mac provision.MAC) (spec provision.Spec, state provision.State) {
		spec, _ = s.Spec(mac)
		state, _ = t.State(mac)
		return spec, state
	}
	orLast := func(text string) string { return cmp.Or(text, "~") }
	return func(a, b provision.MAC) int {
		specA, stateA := look(a)
		specB, stateB := look(b)
		by := 0
		switch order {
		case roster.ByStage:
			stage := func(state provision.State) int {
				return slices.Index(roster.Stages(), cmp.Or(state.Stage, provision.StageNew))
			}
			by = cmp.Compare(stage(stateA), stage(stateB))
		case roster.ByImage:
			by = cmp.Compare(orLast(specA.Image), orLast(specB.Image))
		case roster.BySeen:
			by = stateA.Seen.Compare(stateB.Seen)
		case roster.ByAddress:
			last := netip.MustParseAddr("ffff::")
			address := func(spec provision.Spec) netip.Addr {
				if spec.Address.IsValid() {
					return spec.Address
				}
				return last
			}
			by = address(specA).Compare(address(specB))
		}
		return cmp.Or(by, cmp.Compare(orLast(specA.Hostname), orLast(specB.Hostname)), cmp.Compare(a, b))
	}
}

// orderBed is a roster, its site, a clock that a test turns, and a way to write a file.
func orderBed(t *testing.T) (r *roster.Roster, s *site.Site, tr *track.Tracker, now *time.Time, write func(name, text string)) {
	t.Helper()
	dir := t.TempDir()
	write = func(name, text string) {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for _, image := range []string{"debian", "alpine"} {
		write("images/"+image+"/x", "")
	}
	write("profiles/base.json", `{"image": "debian"}`)
	write("profiles/web.json", `{"extends": "base"}`)
	write("profiles/db.json", `{"extends": "base", "image": "alpine"}`)
	s, err := site.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	clock := time.Date(2026, 11, 23, 12, 0, 0, 0, time.UTC)
	tr, err = track.NewTracker(&store.Memory{}, track.Options{Known: s.Has, Clock: func() time.Time { return clock }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(tr.Close)
	return roster.New(s, tr, nil), s, tr, &clock, write
}

// Whatever happens, each order of each list is the one that sorting all machines gives,
// up and down, whether the order was asked for before or not.
func TestOrdersAgreeWithSorting(t *testing.T) {
	r, s, tr, now, write := orderBed(t)
	random := rand.New(rand.NewPCG(3, 4))
	orders := roster.Orders()
	for step := range 200 {
		i := random.IntN(20)
		*now = now.Add(time.Second)
		switch random.IntN(4) {
		case 0:
			profile := []string{"web", "db", "base"}[random.IntN(3)]
			text := fmt.Sprintf(`{"extends": %q, "hostname": "h%c", "address": "10.0.0.%d"}`, profile, 'a'+rune(i), 1+(i*7+random.IntN(2)*100)%250)
			if random.IntN(4) == 0 {
				text = `{}`
			}
			write(fmt.Sprintf("machines/%s.json", macOf(i)), text)
			s.Reload()
		case 1:
			event(t, tr, i, provision.KindProgress, "")
		default:
			event(t, tr, i, provision.KindStage, roster.Stages()[random.IntN(len(roster.Stages()))])
		}
		used := orders[:min(len(orders), 1+step/20)] // so that some are made late
		for _, order := range used {
			for _, list := range []roster.List{roster.All, roster.Strangers, "stream"} {
				want := expected(s, tr, list)
				slices.SortFunc(want, compareBy(s, tr, order))
				q := roster.Query{List: list, Order: order, Limit: 1 + random.IntN(7)}
				if got := walk(t, r, q); !slices.Equal(got, want) {
					t.Fatalf("step %d, list %q by %s: got %v, want %v", step, list, order, got, want)
				}
				q.Descending = true
				slices.Reverse(want)
				if got := walk(t, r, q); !slices.Equal(got, want) {
					t.Fatalf("step %d, list %q by %s, descending: got %v, want %v", step, list, order, got, want)
				}
			}
		}
	}
}

func TestProfileImageAndNamesSelect(t *testing.T) {
	r, s, tr, _, write := orderBed(t)
	for i, profile := range []string{"web", "web", "db", "base"} {
		write(fmt.Sprintf("machines/%s.json", macOf(i)), fmt.Sprintf(`{"extends": %q, "hostname": "node%d.example.org"}`, profile, i))
	}
	write(fmt.Sprintf("machines/%s.json", macOf(4)), fmt.Sprintf(`{"macs": ["%s"]}`, macOf(9)))
	write("machines/rack.json", fmt.Sprintf(`{"extends": "db", "image": null, "machines": {"1": %q, "2": %q}}`, macOf(5), macOf(6)))
	s.Reload()
	event(t, tr, 7, provision.KindDHCP, provision.StageStranger)
	// It has alpine, and shall have debian.
	claim := provision.Event{MAC: macOf(0), Kind: provision.KindClaim, Stage: provision.StageAgent, Text: "x", System: &provision.System{Image: "alpine"}}
	if err := tr.Record(t.Context(), claim); err != nil {
		t.Fatal(err)
	}
	event(t, tr, 0, provision.KindDone, provision.StageInstalled)
	for _, test := range []struct {
		query roster.Query
		want  []int
	}{
		{roster.Query{Profile: "web"}, []int{0, 1}},
		{roster.Query{Profile: "base"}, []int{0, 1, 2, 3, 5, 6}},
		{roster.Query{Profile: "db"}, []int{2, 5, 6}},
		{roster.Query{Group: "machines/rack.json"}, []int{5, 6}},
		{roster.Query{Group: "machines/rack.json", Profile: "web"}, nil},
		{roster.Query{Profile: "we"}, nil},
		{roster.Query{Search: "WEB"}, []int{0, 1}},
		{roster.Query{Image: "debian"}, []int{0, 1, 3}},
		{roster.Query{Image: "alpine"}, []int{0, 2}},
		{roster.Query{Image: "alpine", Profile: "web"}, []int{0}},
		{roster.Query{Names: []string{"node[1-2]", "NODE3.example.org"}}, []int{1, 2, 3}},
		{roster.Query{Names: []string{string(macOf(7)), string(macOf(9))}}, []int{4, 7}},
		{roster.Query{Names: []string{"node[7-9]"}}, nil},
	} {
		var want []provision.MAC
		for _, i := range test.want {
			want = append(want, macOf(i))
		}
		if got := walk(t, r, test.query); !slices.Equal(got, want) {
			t.Errorf("%+v: got %v, want %v", test.query, got, want)
		}
	}
	for sentence, q := range map[string]roster.Query{
		`did you mean "stage"`:     {Order: "stgae"},
		"has no end":               {Names: []string{"node["}},
		"ranges such as node[1-20": {Names: []string{strings.Repeat("n", roster.MaxNamesText+1)}},
	} {
		if _, err := r.Page(q); err == nil || !strings.Contains(err.Error(), sentence) {
			t.Errorf("%v does not say %q", err, sentence)
		}
	}
}

// A view by the latest events shows a machine that reports at its new place, and one that
// filters sees a machine come when its file begins to extend the profile.
func TestViewsOfOrdersAndFilters(t *testing.T) {
	r, s, tr, now, write := orderBed(t)
	for i := range 5 {
		*now = now.Add(time.Second)
		event(t, tr, i, provision.KindStage, provision.StageStream)
	}
	open := func(q roster.Query) *roster.View {
		v, err := r.View(q)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(v.Close)
		v.Page()
		return v
	}
	latest, web := open(roster.Query{Order: roster.BySeen, Descending: true, Limit: 2}), open(roster.Query{Profile: "web"})
	*now = now.Add(time.Second)
	event(t, tr, 1, provision.KindProgress, "")
	if _, moved := latest.Changes(); !moved {
		t.Error("a machine that reports does not move")
	}
	if got := latest.Page().MACs; !slices.Equal(got, []provision.MAC{macOf(1), macOf(4)}) {
		t.Errorf("the latest are %v", got)
	}
	file := fmt.Sprintf("machines/%s.json", macOf(3))
	write(file, `{"extends": "web"}`)
	s.Reload()
	if _, moved := web.Changes(); !moved || len(web.Page().MACs) != 1 {
		t.Errorf("with the profile %v", web.Page())
	}
	// Only its profile changes: the image and all names stay.
	write("profiles/other.json", `{"extends": "base"}`)
	write(file, `{"extends": "other"}`)
	s.Reload()
	if _, moved := web.Changes(); !moved || len(web.Page().MACs) != 0 {
		t.Errorf("then %v", web.Page())
	}
}
