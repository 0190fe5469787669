package keys_test

import (
	"strings"
	"testing"
)

func TestSlots(t *testing.T) {
	if got := goodMachine(t, `{"image": "web", "slots": 2, "mirror": true, "persistent": "20GB"}`); got.Slots != 2 || !got.Mirror || got.Persistent != 20e9 || !got.Keeps() {
		t.Errorf("the machine is %+v", got)
	}
	if got := goodMachine(t, `{"image": "web"}`); got.Keeps() {
		t.Errorf("the machine is %+v", got)
	}
	for file, want := range map[string]string{
		`{"image": "web", "slots": 3}`:                                                "room for 1 system or for 2, not 3",
		`{"image": "web", "mirror": true}`:                                            `:1:28: a system on two disks has two slots`,
		`{"image": "web", "slots": 2, "filesystem": "xfs"}`:                           `:1:27: with two slots`,
		`{"image": "web", "slots": 2, "secureBoot": "owner"}`:                         `take "slots" out`,
		`{"image": "web", "persistent": "1GB", "secureBoot": "owner", "https": true}`: `take "persistent" out`,
	} {
		_, problems := machine(file)
		if p := lines(problems); !strings.Contains(p, want) {
			t.Errorf("%s: the problems are %q, want %q", file, p, want)
		}
	}
}
