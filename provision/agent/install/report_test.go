package install

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
)

// TestTheReportAfterwards says what was fetched and written, how long each stage took, and
// what was read back.
func TestTheReportAfterwards(t *testing.T) {
	b, _ := newFaultBed(t)
	b.job.Claimed = time.Hour
	b.job.Propose = func(context.Context, provision.Proposal) error { return nil }
	result := b.install(t)
	r, plan := result.Report, b.job.Plan
	var least int64
	for _, blob := range plan.BootLoaders {
		least += blob.Size
	}
	if r.Fetched <= least || r.Files == 0 || r.Files != result.Stats.Entries || r.Written != result.Stats.Bytes || r.Written == 0 {
		t.Errorf("the report is %+v; the boot loaders alone have %d bytes", r, least)
	}
	var stages []string
	for _, s := range r.Stages {
		stages = append(stages, string(s.Stage))
	}
	if got := strings.Join(stages, " "); got != "agent confirm partition stream configure verify bootable" || r.Stages[0].Seconds < 3600 {
		t.Errorf("the stages took %s", r.Times())
	}
	if !slices.Equal(r.Digests, []string{plan.Pack.Digest, plan.Overlay.Digest}) {
		t.Errorf("read back: %q", r.Digests)
	}
}
