package book_test

import (
	"fmt"
	"testing"

	"cloudlets/provision/rollout"
	"cloudlets/provision/rollout/book"
	"cloudlets/provision/store"
)

// BenchmarkStep: what one step of a machine costs, and what comes next is known, in roll-outs
// of few and of many machines.
func BenchmarkStep(b *testing.B) {
	for _, machines := range []int{100, rollout.MaxMachines} {
		b.Run(fmt.Sprint(machines), func(b *testing.B) {
			kept, err := book.Open(b.Context(), &store.Memory{}, nil)
			if err != nil {
				b.Fatal(err)
			}
			defer kept.Close()
			name, err := kept.Create(b.Context(), order(0, machines), "a")
			if err != nil {
				b.Fatal(err)
			}
			from := rollout.Waiting
			for b.Loop() {
				to := map[rollout.Phase]rollout.Phase{rollout.Waiting: rollout.Armed, rollout.Armed: rollout.Good, rollout.Good: rollout.Armed}[from]
				if err := kept.Note(b.Context(), name, "a", mac(0), from, rollout.Step{Phase: to, Armed: noon}); err != nil {
					b.Fatal(err)
				}
				kept.Look(name, func(r *rollout.Rollout) { r.Next() })
				from = to
			}
		})
	}
}
