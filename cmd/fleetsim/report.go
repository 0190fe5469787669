//go:build linux

package main

import (
	"cmp"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"slices"
	"sync"
	"text/tabwriter"
	"time"

	"golang.org/x/sys/unix"

	"cloudlets/images/bytesize"
)

// notes are how long steps took, and how often something happened. The zero value
// is empty.
type notes struct {
	mu     sync.Mutex
	times  map[string][]time.Duration
	counts map[string]int
}

func (n *notes) took(what string, d time.Duration) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.times == nil {
		n.times = make(map[string][]time.Duration)
	}
	n.times[what] = append(n.times[what], d)
}

func (n *notes) count(what string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.counts == nil {
		n.counts = make(map[string]int)
	}
	n.counts[what]++
}

// serverUse is what a daemon used.
type serverUse struct {
	Address string        `json:"address"`
	CPU     time.Duration `json:"cpu"`
	Memory  int64         `json:"memory"`
	// Anonymous is the part of it that is no file's, as far as it was seen.
	Anonymous int64 `json:"anonymous"`
}

// addServers adds what the daemons used, once they have ended.
func (r *result) addServers(b *bed) {
	for _, s := range b.servers {
		r.servers = append(r.servers, serverUse{s.addr.String(), s.used, s.memory, s.anonymous})
	}
	var own unix.Rusage
	if unix.Getrusage(unix.RUSAGE_SELF, &own) == nil {
		r.ownCPU = time.Duration(own.Utime.Nano() + own.Stime.Nano())
	}
}

// verdict is an error unless every machine ended installed.
func (r *result) verdict(o *options) error {
	if n := r.failed.Load(); n > 0 {
		return fmt.Errorf("%d machines did not end installed", n)
	}
	if err := checkStrangers(r.strangers, o.Strangers); err != nil || o.Rollout == 0 {
		return err
	}
	return checkRollout(r.rollout, r.rolled, o)
}

// percentile of sorted times, 0 to 100.
func percentile(sorted []time.Duration, p float64) time.Duration {
	if len(sorted) == 0 {
		return 0
	}
	return sorted[min(len(sorted)-1, int(p/100*float64(len(sorted))))]
}

// step is a row of the table.
type step struct {
	What  string        `json:"what"`
	Count int           `json:"count"`
	P50   time.Duration `json:"p50"`
	P90   time.Duration `json:"p90"`
	P99   time.Duration `json:"p99"`
	Max   time.Duration `json:"max"`
}

func (r *result) steps() []step {
	var all []step
	for _, what := range slices.Sorted(maps.Keys(r.notes.times)) {
		times := slices.Sorted(slices.Values(r.notes.times[what]))
		all = append(all, step{what, len(times), percentile(times, 50), percentile(times, 90), percentile(times, 99), times[len(times)-1]})
	}
	return all
}

func (r *result) print(w io.Writer, o *options) error {
	took := r.ended.Sub(r.began)
	if o.JSON {
		e := json.NewEncoder(w)
		e.SetIndent("", "  ")
		causes := map[string]int{}
		for kind, c := range r.causes {
			causes[kind] = c.count
		}
		return e.Encode(map[string]any{
			"machines": o.total(), "strangers": r.strangers, "installed": r.installed.Load(), "failed": r.failed.Load(), "took": took, "steps": r.steps(),
			"counts": r.notes.counts, "causes": causes, "servers": r.servers, "ownCPU": r.ownCPU, "bytes": r.bytes,
			"rollout": r.rollout,
		})
	}
	fmt.Fprintf(w, "%d machines, switched on over %s: %d installed, %d failed, in %s: %.0f a minute\n\n",
		o.total(), o.Over, r.installed.Load(), r.failed.Load(), took.Round(100*time.Millisecond), float64(r.installed.Load())/took.Minutes())
	if o.Strangers > 0 {
		fmt.Fprintf(w, "%d of them were strangers: inspected, approved by a rule as %s, and installed\n\n", len(r.strangers), rackNames)
	}
	if o.Rollout > 0 {
		fmt.Fprintf(w, "installed anew, %d at a time: %d are good, %d bad, and %d wait; the roll-out is %s %s\n\n", o.Rollout, r.rollout.Good, r.rollout.Bad, r.rollout.Waiting, r.rollout.Phase, r.rollout.Why)
	}
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(t, "step\ttimes\tp50\tp90\tp99\tmax\t")
	for _, s := range r.steps() {
		fmt.Fprintf(t, "%s\t%d\t%s\t%s\t%s\t%s\t\n", s.What, s.Count, short(s.P50), short(s.P90), short(s.P99), short(s.Max))
	}
	if err := t.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(w)
	for _, what := range slices.Sorted(maps.Keys(r.notes.counts)) {
		fmt.Fprintf(w, "%s: %d\n", what, r.notes.counts[what])
	}
	byCount := func(a, b string) int { return cmp.Compare(r.causes[b].count, r.causes[a].count) }
	for _, kind := range slices.SortedFunc(maps.Keys(r.causes), byCount) {
		fmt.Fprintf(w, "failed, %d:%s\n  such as %s\n", r.causes[kind].count, kind, r.causes[kind].example)
	}
	for _, s := range r.servers {
		fmt.Fprintf(w, "daemon at %s: %.1f s of a processor (%.2f ms a machine, %.0f%% of one), at most %s of memory, %s of it without mapped files\n",
			s.Address, s.CPU.Seconds(), float64(s.CPU.Milliseconds())/float64(o.total()), 100*s.CPU.Seconds()/took.Seconds(), bytesize.Decimal(s.Memory), bytesize.Decimal(s.Anonymous))
	}
	fmt.Fprintf(w, "simulator: %.1f s of a processor (%.0f%% of one)\n", r.ownCPU.Seconds(), 100*r.ownCPU.Seconds()/took.Seconds())
	return nil
}

func short(d time.Duration) string {
	switch {
	case d < time.Millisecond:
		return d.Round(time.Microsecond).String()
	case d < time.Second:
		return d.Round(100 * time.Microsecond).String()
	}
	return d.Round(10 * time.Millisecond).String()
}
