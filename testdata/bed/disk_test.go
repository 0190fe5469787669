package bed_test

import (
	"context"
	"testing"

	"cloudlets/testdata/bed"
)

// bootAlone switches on a machine in a network of its own, without a server.
func bootAlone(ctx context.Context, t *testing.T, spec bed.Spec) *bed.Machine {
	t.Helper()
	network, err := bed.NewNetwork(ctx)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := network.Close(); err != nil {
			t.Error(err)
		}
	})
	m, err := bed.Start(ctx, network, t.TempDir(), spec)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		m.Stop()
		logCost(t, m)
		if t.Failed() {
			t.Logf("console:\n%s", m.Console.Tail())
		}
	})
	return m
}
