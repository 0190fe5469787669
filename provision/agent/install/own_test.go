package install

import (
	"os"
	"testing"

	"cloudlets/provision"
)

// TestAnAgentOverwritesItsOwn: what an attempt wrote does not keep the next one away, and
// nothing else is overwritten.
func TestAnAgentOverwritesItsOwn(t *testing.T) {
	b, d := newFaultBed(t)
	b.job.Own = &Own{}
	again := func() {
		t.Helper()
		if err := Unmount(b.job.Target); err != nil {
			t.Fatal(err)
		}
	}
	b.install(t)
	again()
	b.install(t)
	again()
	b.job.Own = &Own{} // the machine was booted again
	b.wantFailure(t, "not empty", "nothing was written")
	own := &Own{}
	own.add(os.DirFS("/sys"), d.info)
	if !own.has(os.DirFS("/sys"), d.info) {
		t.Error("a disk is not known again")
	}
	other := d.info
	other.Serial = "ANOTHER"
	if own.has(os.DirFS("/sys"), other) || own.has(os.DirFS("/nowhere"), d.info) || (*Own)(nil).has(os.DirFS("/sys"), provision.DiskInfo{}) {
		t.Error("another disk is taken for the agent's own")
	}
}
