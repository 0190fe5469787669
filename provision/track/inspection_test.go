package track

import (
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/store"
)

// TestInspectionIsForgottenWithItsMachine: of a stranger that is forgotten nothing is left
// in the store.
func TestInspectionIsForgottenWithItsMachine(t *testing.T) {
	var s store.Memory
	tr, err := NewTracker(&s, Options{Known: func(mac provision.MAC) bool { return mac == "52:54:00:00:00:01" }})
	if err != nil {
		t.Fatal(err)
	}
	defer tr.Close()
	const mac = provision.MAC("52:54:00:00:00:09")
	found := Inspected{Inspection: provision.Inspection{CPU: "fast"}, Outcome: "it waits"}
	e := provision.Event{MAC: mac, Kind: provision.KindStage, Stage: provision.StageInspect, Text: "inspected"}
	if err := tr.RecordInspection(t.Context(), e, found); err != nil {
		t.Fatal(err)
	}
	if got, known, err := tr.Inspection(t.Context(), mac); err != nil || !known || got.CPU != "fast" || got.Outcome != "it waits" {
		t.Fatalf("%+v, %t, %v is kept", got, known, err)
	}
	for range 300 { // more than one transaction deletes
		e := provision.Event{MAC: mac, Kind: provision.KindFailed, Text: "failed"}
		if err := tr.Record(t.Context(), e); err != nil {
			t.Fatal(err)
		}
	}
	if err := tr.Forget(t.Context(), mac); err != nil {
		t.Fatal(err)
	}
	if _, seen := tr.State(mac); seen {
		t.Error("its state is still known")
	}
	err = s.View(t.Context(), func(tx store.Tx) error {
		for _, bucket := range []string{stateBucket, eventBucket, decisionBucket, inspectionBucket} {
			err := tx.Scan(bucket, string(mac), "", func(key string, _ []byte) error {
				t.Errorf("%s %s is left", bucket, key)
				return nil
			})
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if err := tr.Forget(t.Context(), "52:54:00:00:00:01"); err == nil || !strings.Contains(err.Error(), "a file of the site describes it") {
		t.Errorf("a machine of the site is forgotten: %v", err)
	}
}
