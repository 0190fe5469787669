package roster_test

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
	"cloudlets/provision/track"
	"cloudlets/web/roster"
)

func macOf(i int) provision.MAC {
	return provision.MAC(fmt.Sprintf("52:54:%02x:%02x:%02x:%02x", i>>24&0xff, i>>16&0xff, i>>8&0xff, i&0xff))
}

// fleet is a roster of machines that are being installed.
func fleet(tb testing.TB, n int) (*roster.Roster, *track.Tracker) {
	tb.Helper()
	dir := tb.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "machines"), 0o755); err != nil {
		tb.Fatal(err)
	}
	s, err := site.Open(dir, nil)
	if err != nil {
		tb.Fatal(err)
	}
	t, err := track.NewTracker(&store.Memory{}, track.Options{})
	if err != nil {
		tb.Fatal(err)
	}
	tb.Cleanup(t.Close)
	r := roster.New(s, t, nil)
	for i := range n {
		event(tb, t, i, provision.KindStage, provision.StageStream)
	}
	return r, t
}

func event(tb testing.TB, t *track.Tracker, i int, kind provision.Kind, stage provision.Stage) {
	tb.Helper()
	e := provision.Event{MAC: macOf(i), Kind: kind, Stage: stage, Text: "x"}
	if kind == provision.KindProgress {
		e.Progress = &provision.Progress{Done: 1, Total: 2}
	}
	if err := t.Record(tb.Context(), e); err != nil {
		tb.Fatal(err)
	}
}

// What a request and an event cost must not grow with the number of machines.
func BenchmarkRoster(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000, 100_000} {
		r, t := fleet(b, n)
		query := func(q roster.Query) func(*testing.B) {
			return func(b *testing.B) {
				for b.Loop() {
					if _, err := r.Page(q); err != nil {
						b.Fatal(err)
					}
				}
			}
		}
		b.Run(fmt.Sprintf("first page/%d", n), query(roster.Query{}))
		b.Run(fmt.Sprintf("a stage/%d", n), query(roster.Query{List: "stream"}))
		b.Run(fmt.Sprintf("search that finds/%d", n), query(roster.Query{Search: "52:54"}))
		b.Run(fmt.Sprintf("search that finds nothing/%d", n), query(roster.Query{Search: "nowhere"}))
		b.Run(fmt.Sprintf("counts/%d", n), func(b *testing.B) {
			for b.Loop() {
				r.Counts()
			}
		})
		b.Run(fmt.Sprintf("event/%d", n), func(b *testing.B) {
			for i := 0; b.Loop(); i++ {
				event(b, t, i%n, provision.KindProgress, "")
			}
		})
		b.Run(fmt.Sprintf("view of unseen/%d", n), func(b *testing.B) {
			v, err := r.View(roster.Query{Limit: 5})
			if err != nil {
				b.Fatal(err)
			}
			defer v.Close()
			v.Page()
			for b.Loop() {
				event(b, t, n-1, provision.KindProgress, "")
				v.Changes()
			}
		})
	}
}
