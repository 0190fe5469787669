package shown

import (
	"reflect"
	"testing"

	"cloudlets/provision"
	"cloudlets/web/api"
)

// TestDetailShowsEverySetting: whatever a machine's file may say is shown. A new key of
// machine files that is forgotten here fails.
func TestDetailShowsEverySetting(t *testing.T) {
	otherName := map[string]string{"Cards": "MACs", "InstallOnce": "Install", "Config": "Args"}
	var set provision.Spec
	shown := reflect.TypeFor[api.Spec]()
	for field := range reflect.TypeFor[provision.Spec]().Fields() {
		name := field.Name
		if name == "MAC" || name == "Profiles" {
			continue // they are in the machine's row
		}
		if other := otherName[name]; other != "" {
			name = other
		}
		if _, ok := shown.FieldByName(name); !ok {
			t.Errorf("the detail of a machine does not show %s", field.Name)
		}
	}
	yes := true
	set.Confirm = true
	set.HTTPS, set.BootEntry, set.Network, set.SecureBoot = &yes, true, &provision.Network{}, provision.ByOwner
	if got := newSpec(&set); got.HTTPS != set.HTTPS || !got.BootEntry || !got.Confirm || got.Network != set.Network || got.SecureBoot != provision.ByOwner {
		t.Errorf("a setting is lost: %+v", got)
	}
}
