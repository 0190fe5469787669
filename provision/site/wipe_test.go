package site_test

import (
	"strings"
	"testing"
)

// TestWipeIsIgnoredAndSaid: a file with the key of before keeps its machine in the site.
func TestWipeIsIgnoredAndSaid(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"machines/" + mac1 + ".json": `{"extends": "lab", "address": "10.0.0.21"}`, "profiles/lab.json": `{"wipe": true, "image": "web"}`,
		"machines/" + mac2 + ".json": `{"wipe": false, "image": "web"}`,
	}))
	if got := spec(t, s, mac1); got.Image != "web" || got.Address.String() != "10.0.0.21" {
		t.Errorf("the machine is %+v", got)
	}
	if p := problems(s); !strings.Contains(p, "profiles/lab.json:1:2: ") || !strings.Contains(p, "cloudlets install NAME --wipe") || strings.Count(p, "wipe\" does nothing") != 1 {
		t.Errorf("the problems are %s", p)
	}
}
