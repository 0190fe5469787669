package site_test

import (
	"encoding/json"
	"strings"
	"testing"

	"cloudlets/provision"
)

func TestVarsAndTags(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"profiles/base.json":         `{"vars": {"rack": 1, "ntp": {"a": 1, "b": 2}, "gone": true}, "tags": ["base", "all"]}`,
		"profiles/web.json":          `{"extends": "base", "vars": {"ntp": {"b": 3}}, "tags": ["web"]}`,
		"machines/" + mac1 + ".json": `{"extends": ["web", "base"], "vars": {"rack": 3, "gone": null}, "tags": ["own", "all"]}`,
		"machines/" + mac2 + ".json": `{"extends": "web", "vars": null, "tags": null}`,
		"machines/g.json":            `{"extends": "web", "tags": ["g"], "vars": {"unit": "u{n:02}"}, "machines": {"4": {"mac": "52:54:00:00:00:04", "tags": ["four"]}}}`,
	}))
	if got := problems(s); got != "" {
		t.Fatal(got)
	}
	for mac, want := range map[string]string{
		mac1:                `{"ntp":{"a":1,"b":2},"rack":3} [all base own web]`,
		mac2:                `null []`,
		"52:54:00:00:00:04": `{"gone":true,"ntp":{"a":1,"b":3},"rack":1,"unit":"u04"} [all base four g web]`,
	} {
		got := spec(t, s, provision.MAC(mac))
		vars, err := json.Marshal(got.Vars)
		if text := string(vars) + " [" + strings.Join(got.Tags, " ") + "]"; err != nil || text != want {
			t.Errorf("%s has %s, %v; want %s", mac, text, err, want)
		}
	}
}
