package main

import (
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision"
)

// TestApproveAllThatWait: strangers get files in the order of their ports, and a machine
// that only boots, or has a file, gets none.
func TestApproveAllThatWait(t *testing.T) {
	b := newAPIBed(t, map[string]string{"profiles/web.json": "{}", "machines/52:54:00:00:00:09.json": "{}"})
	for mac, port := range map[provision.MAC]string{"52:54:00:00:00:01": "10", "52:54:00:00:00:02": "9", "52:54:00:00:00:09": "1"} {
		b.inspected(t, mac, port)
	}
	if err := b.tracker.Record(t.Context(), provision.Event{MAC: "52:54:00:00:00:08", Kind: provision.KindDHCP, Stage: provision.StageFirmware, Text: "asks"}); err != nil {
		t.Fatal(err)
	}
	args := []string{"approve", "--waiting", "--sort", "port", "--profile", "web", "--name", "node[1-40]", "--address", "10.0.3.[11-50]"}
	out, err := b.run(t, append(args, "--dry-run")...)
	first, second := strings.Index(out, `"hostname": "node1"`), strings.Index(out, `"hostname": "node2"`)
	if err != nil || !strings.HasPrefix(out, "machines/52:54:00:00:00:02.json would be") || first < 0 || second < first || strings.Contains(out, "node3") {
		t.Fatalf("%v: %s", err, out)
	}
	if files, err := filepath.Glob(b.dir + "/machines/*"); err != nil || len(files) != 1 {
		t.Errorf("a dry run leaves %q, %v", files, err)
	}
	if out, err := b.run(t, args...); err != nil || strings.Count(out, " is written") != 2 {
		t.Errorf("%v: %s", err, out)
	}
	if out, err := b.run(t, args...); err == nil || !strings.Contains(err.Error(), "no stranger waits") {
		t.Errorf("%v: %s", err, out)
	}
}
