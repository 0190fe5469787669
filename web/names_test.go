package web_test

import (
	"strings"
	"testing"

	"cloudlets/web/api"
)

// TestNames: what shells complete, also from the address that only reads.
func TestNames(t *testing.T) {
	b := newBed(t)
	write(t, b.dir, "profiles/web.json", `{"tags": ["b", "a"]}`)
	write(t, b.dir, "profiles/unused.json", `{"tags": ["none"]}`)
	write(t, b.dir, mac9.File(), `{"extends": "web", "tags": ["c"]}`)
	b.Site.Reload()
	got := get[api.Names](t, b.ReadOnly(), "/api/v1/names")
	if strings.Join(got.Profiles, " ") != "unused web" || strings.Join(got.Tags, " ") != "a b c" || strings.Join(got.Images, " ") != strings.Join(b.Site.Images(), " ") || len(got.Images) == 0 {
		t.Errorf("%+v", got)
	}
}
