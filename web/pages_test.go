package web_test

import (
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"cloudlets/provision"
	"cloudlets/web/api"
	"cloudlets/web/roster"
)

func macOf(i int) provision.MAC {
	return provision.MAC(fmt.Sprintf("52:54:00:%02x:%02x:%02x", 1+i>>16, i>>8&0xff, i&0xff))
}

// fill lets many machines appear that no file describes.
func (b *bed) fill(t testing.TB, n int, stage provision.Stage) {
	t.Helper()
	for i := range n {
		b.record(t, entered(macOf(i), stage, 0))
	}
}

// macsOf walks all pages of a query.
func macsOf(t *testing.T, h http.Handler, query url.Values) (macs []provision.MAC, pages int) {
	t.Helper()
	for {
		page := get[api.MachinePage](t, h, "/api/v1/machines?"+query.Encode())
		for _, m := range page.Machines {
			macs = append(macs, m.MAC)
		}
		if pages++; page.Next == "" {
			return macs, pages
		}
		query.Set("after", page.Next)
	}
}

func TestPagesOfTheTable(t *testing.T) {
	b := newBed(t)
	b.fill(t, 250, provision.StageStream)
	b.record(t, entered(macOf(7), provision.StageInstalled, 0), entered(macOf(8), provision.StageVerify, 0))
	h := b.Handler()
	all, pages := macsOf(t, h, url.Values{})
	if len(all) != 252 || pages != 3 || all[0] != mac1 || all[1] != mac2 || !slices.IsSorted(all[2:]) {
		t.Errorf("%d machines in %d pages: %v", len(all), pages, all)
	}
	for query, want := range map[string]struct{ machines, pages int }{
		"limit=50":                    {252, 6},
		"limit=126":                   {252, 2},
		"stage=stream":                {248, 3},
		"stage=installing":            {249, 3},
		"stage=installed":             {1, 1},
		"stage=strangers":             {250, 3},
		"stage=waiting":               {1, 1},
		"stage=failed":                {0, 1},
		"search=WEB-1":                {1, 1},
		"search=debian":               {2, 1},
		"search=10.0.0.21":            {1, 1},
		"search=01:00:0&stage=stream": {14, 1},
		"search=nowhere":              {0, 1},
		"sort=-stage&name=web-[1-9]":  {2, 1},
		"image=debian&sort=seen":      {2, 1},
	} {
		values, err := url.ParseQuery(query)
		if err != nil {
			t.Fatal(err)
		}
		if got, pages := macsOf(t, h, values); len(got) != want.machines || pages != want.pages {
			t.Errorf("%s: %d machines in %d pages, want %v", query, len(got), pages, want)
		}
	}
	if page := get[api.MachinePage](t, h, "/api/v1/machines?limit=1&stage=installed"); page.Counts.All != 252 || page.Counts.Stages[provision.StageStream] != 248 {
		t.Errorf("the counts are %+v", page.Counts)
	}
}

func TestPagesThatAreRefused(t *testing.T) {
	h := newBed(t).Handler()
	for query, sentence := range map[string]string{
		"limit=1001": "ask for 1 to 1000", "limit=x": "is not a number", "limit=9223372036854775807": "ask for 1 to 1000",
		"stage=asleep": `no list of machines is called "asleep"`, "after=%21": "is not a place in the list",
		"sort=sene": `did you mean "seen"`, "name=a[": "has no end",
		"search=" + fmt.Sprintf("%0101d", 0): "give at most 100",
	} {
		for _, path := range []string{"/api/v1/machines?", "/api/v1/live?"} {
			wantRefusal(t, ask(t, h, "GET", path+query, ""), http.StatusBadRequest, sentence)
		}
	}
	wantRefusal(t, ask(t, h, "GET", "/api/v1/live?trace=web-7", ""), http.StatusNotFound, "no machine is called")
}

// A query may ask for some columns, and gets these and no others.
func TestColumnsOfTheTable(t *testing.T) {
	b := newBed(t)
	b.record(t, entered(mac1, provision.StageStream, 0))
	h := b.Handler()
	page := get[struct {
		Machines []map[string]any
		Counts   api.Counts
	}](t, h, "/api/v1/machines?columns=hostname,stage,seen&limit=1")
	want := []map[string]any{{"hostname": "web-1.example.org", "stage": "stream", "seen": noon.Format(time.RFC3339)}}
	if diff := cmp.Diff(want, page.Machines); diff != "" || page.Counts.All != 2 {
		t.Errorf("%+v, %s", page.Counts, diff)
	}
	all := get[api.MachinePage](t, h, "/api/v1/machines")
	columns := slices.Collect(maps.Keys(get[struct{ Machines []map[string]any }](t, h, "/api/v1/machines").Machines[0]))
	if some := get[api.MachinePage](t, h, "/api/v1/machines?columns="+strings.Join(columns, ",")); cmp.Diff(all.Machines[:1], some.Machines[:1]) != "" {
		t.Error(cmp.Diff(all.Machines[:1], some.Machines[:1]))
	}
	b.record(t, provision.Event{MAC: mac1, Kind: provision.KindProgress, Progress: &provision.Progress{Done: 30, Total: 120, Rate: 9}})
	for query, want := range map[string]map[string]any{
		"next.action,progress.percent,progress.done": {"next": map[string]any{"action": string(all.Machines[0].Next.Action)}, "progress": map[string]any{"percent": 25.0, "done": 30.0}},
		"progress.left,progress.left":                {"progress": map[string]any{"left": 10.0}},
		"has.disk,running.time,stage":                {"stage": "stream"},
	} {
		parts := get[struct{ Machines []map[string]any }](t, h, "/api/v1/machines?limit=1&columns="+query)
		if diff := cmp.Diff(want, parts.Machines[0]); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for _, query := range []string{"next.action,next", "next,next.action"} {
		some := get[api.MachinePage](t, h, "/api/v1/machines?limit=1&columns="+query)
		if diff := cmp.Diff(all.Machines[0].Next, some.Machines[0].Next); diff != "" {
			t.Errorf("%s: %s", query, diff)
		}
	}
	for query, sentence := range map[string]string{
		"hostname,stgae": `did you mean "stage"?`, "next.acton": `did you mean "action"?`, "hostname.x": "it has none", "seen.wall": "it has none",
		"next.": "a machine's next has no part",
	} {
		wantRefusal(t, ask(t, h, "GET", "/api/v1/machines?columns="+query, ""), http.StatusBadRequest, sentence)
	}
}

// What the client asks for, the server understands.
func TestClientSortsAndSelects(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "profiles/db.json", `{"image": "debian"}`)
	for i := range 1500 {
		write(t, b.dir, fmt.Sprintf("machines/%s.json", macOf(i+10)), fmt.Sprintf(`{"extends": "db", "hostname": "db%d", "address": "10.1.%d.%d"}`, i, i/250, 250-i%250))
	}
	b.Site.Reload()
	b.record(t, entered(macOf(12), provision.StageStream, 0))
	c := newClient(t, b)
	for _, test := range []struct {
		query roster.Query
		first string
		n     int
	}{
		{roster.Query{Profile: "db"}, "db0", 1500},
		{roster.Query{Profile: "db", Order: roster.ByAddress}, "db249", 1500},
		{roster.Query{Profile: "db", Order: roster.ByAddress, Descending: true}, "db1250", 1500},
		{roster.Query{Order: roster.BySeen, Descending: true, Image: "debian"}, "db2", 1502},
		{roster.Query{Names: []string{"db[7-8]", "web-1"}}, "db7", 3},
		{roster.Query{Names: append(slices.Repeat([]string{strings.Repeat("n", 200)}, roster.MaxNamesText/200+1), "db8")}, "db8", 1},
	} {
		table, err := c.Machines(t.Context(), test.query, "stage")
		if err != nil || len(table) != test.n || table[0].Hostname != test.first || table[0].Stage == "" || table[0].Image != "" {
			t.Errorf("%.200v: %d machines, %v; %+v", test.query, len(table), err, table[:min(1, len(table))])
		}
	}
}

// The command line shows all machines, however many pages they are.
func TestClientWalksAllPages(t *testing.T) {
	b := newBed(t)
	b.fill(t, 2100, provision.StageStream)
	table, err := newClient(t, b).Machines(t.Context(), roster.Query{})
	if err != nil || len(table) != 2102 {
		t.Fatalf("%d machines, %v", len(table), err)
	}
	for i := 1; i < len(table); i++ {
		if table[i-1].MAC >= table[i].MAC {
			t.Fatalf("%s is before %s", table[i-1].MAC, table[i].MAC)
		}
	}
}

func TestOrderIsByHostnameWithNumbers(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "machines/52:54:00:00:00:03.json", `{"hostname": "WEB-10.example.org"}`)
	write(t, b.dir, "machines/52:54:00:00:00:04.json", `{"hostname": "db"}`)
	write(t, b.dir, "machines/52:54:00:00:00:00.json", `{}`)
	b.Site.Reload()
	want := []provision.MAC{"52:54:00:00:00:04", mac1, mac2, "52:54:00:00:00:03", "52:54:00:00:00:00"}
	if got, _ := macsOf(t, b.Handler(), url.Values{}); !slices.Equal(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	write(t, b.dir, "machines/52:54:00:00:00:04.json", `{"hostname": "web-1000"}`)
	b.Site.Reload()
	want = []provision.MAC{mac1, mac2, "52:54:00:00:00:03", "52:54:00:00:00:04", "52:54:00:00:00:00"}
	if got, _ := macsOf(t, b.Handler(), url.Values{}); !slices.Equal(got, want) {
		t.Errorf("after a renaming: got %v, want %v", got, want)
	}
}
