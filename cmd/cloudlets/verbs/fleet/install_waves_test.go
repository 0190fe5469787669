package fleet

import (
	"strings"
	"testing"

	"cloudlets/web/api"
)

// TestOutdatedLiveMachinesAreNotInstalled: a restart is all that they need, and a person is
// told so. Other selections install them, for the data that they shall keep.
func TestOutdatedLiveMachinesAreNotInstalled(t *testing.T) {
	list := func() []api.Machine {
		return []api.Machine{{MAC: "a", Described: true, Live: &api.System{Image: "web"}}, {MAC: "b", Described: true}, {MAC: "stranger"}}
	}
	got, err := machineFilter{outdated: true}.toInstall(list())
	if err != nil || len(got) != 1 || got[0].MAC != "b" {
		t.Errorf("of the outdated ones %+v are installed (%v)", got, err)
	}
	if _, err := (machineFilter{outdated: true}).toInstall(list()[:1]); err == nil || !strings.Contains(err.Error(), "when they start again") {
		t.Errorf("if all are live: %v", err)
	}
	if got, err := (machineFilter{profile: "web"}).toInstall(list()); err != nil || len(got) != 2 {
		t.Errorf("of a profile %+v are installed (%v)", got, err)
	}
	if _, err := (machineFilter{profile: "web"}).toInstall(nil); err == nil {
		t.Error("nobody is told that no machine is selected")
	}
}
