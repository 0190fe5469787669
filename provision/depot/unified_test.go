package depot

import (
	"strings"
	"testing"
)

// TestCommonWords: a signed program has the words that are the same for all
// machines, and none that a template makes.
func TestCommonWords(t *testing.T) {
	for template, want := range map[string]string{
		"console=ttyS0 quiet":                                         "console=ttyS0 quiet",
		"console=ttyS0 role=<%= args.role %> quiet":                   "console=ttyS0 quiet",
		"a=<%= args.a %>,<%= args.b %> b":                             "b",
		"<% if (args.debug) { %>debug<% } %> console=ttyS0":           "",
		"ip=<%= args.ip %> <% if (args.debug) { %>debug<% } %> quiet": "",
		"":                                  "",
		`dyndbg="file  drivers/* +p" quiet`: `dyndbg="file  drivers/* +p" quiet`,
		`note="for <%= args.role %> alone" quiet`:                "quiet",
		`note="for <%= args["role of it"] %> alone" quiet`:       "quiet",
		`note=<%= args["role of it"] %> quiet`:                   "quiet",
		`quiet -- role=<%= args.role %> single`:                  "quiet -- single",
		`a=<%= args.a %><% if (args.debug) { %>debug<% } %> "b"`: "",
	} {
		if got := commonWords(template); got != want {
			t.Errorf("of %q the common words are %q, want %q", template, got, want)
		}
	}
}

// TestNoOwner: without a key an image can be installed as ever, and its signed
// program says what is missing.
func TestNoOwner(t *testing.T) {
	d, stop := newSite(t).run(t, newJournal())
	defer stop()
	mustKit(t, d, tiny)
	signed := tiny
	signed.Server = "http://10.0.0.1:8080"
	if kit, err := d.Kit(t.Context(), signed); err == nil || !strings.Contains(err.Error(), `"secureBootKey" and "secureBootCert"`) {
		t.Errorf("kit %+v, error %v", kit, err)
	}
}
