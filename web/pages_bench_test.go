package web_test

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"sync"
	"testing"
	"time"

	"cloudlets/provision"
)

// stormBed is a server that knows n machines, all of which are being installed.
func stormBed(b *testing.B, n int) *bed {
	b.Helper()
	made := newBed(b)
	made.fill(b, n, provision.StageStream)
	return made
}

// What the page asks must cost the same with ten machines and with a hundred
// thousand.
func BenchmarkPageOfMachines(b *testing.B) {
	for _, n := range []int{10, 1000, 10_000, 100_000} {
		h := stormBed(b, n).Handler()
		for _, query := range []string{"", "?stage=stream", "?search=52:54", "?search=nowhere"} {
			b.Run(fmt.Sprintf("%d%s", n, query), func(b *testing.B) {
				for b.Loop() {
					page(b, h, query)
				}
			})
		}
	}
}

// How long the page's API takes while ten thousand machines report as fast as two
// processors can take it.
func BenchmarkPageInAStorm(b *testing.B) {
	const machines, reporters = 10_000, 8
	made := stormBed(b, machines)
	h := made.Handler()
	ctx, cancel := context.WithCancel(b.Context())
	var storm sync.WaitGroup
	for k := range reporters {
		storm.Go(func() {
			for i := k; ctx.Err() == nil; i = (i + reporters) % machines {
				e := provision.Event{MAC: macOf(i), Kind: provision.KindProgress, Progress: &provision.Progress{Done: int64(i), Total: machines}}
				if i%10 == 0 {
					e = entered(macOf(i), []provision.Stage{provision.StageStream, provision.StageVerify}[i/10%2], 0)
				}
				if err := made.Tracker.Record(ctx, e); err != nil {
					return
				}
			}
		})
	}
	var took []time.Duration
	for b.Loop() {
		began := time.Now()
		page(b, h, "")
		took = append(took, time.Since(began))
	}
	cancel()
	storm.Wait()
	slices.Sort(took)
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds()), "p99-µs")
	b.ReportMetric(float64(took[len(took)-1].Microseconds()), "max-µs")
}

func page(b *testing.B, h http.Handler, query string) {
	b.Helper()
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequestWithContext(b.Context(), "GET", "http://localhost/api/v1/machines"+query, nil))
	if w.Code != http.StatusOK {
		b.Fatal(w.Body)
	}
}
