package target_test

import (
	"strings"
	"testing"

	"cloudlets/images/imagetest"
	"cloudlets/images/target"
)

// TestVolatilePatternsThroughLinks: such a pattern matches nothing, and a person is told
// which link is in its way. Others are in order.
func TestVolatilePatternsThroughLinks(t *testing.T) {
	tree := imagetest.NewTree("/usr/lib/x/file = data", "/lib -> usr/lib", "/var/run -> ../run", "/run/", "/boot/vmlinuz-6.1.0-9-amd64 = "+string(kernel()))
	for pattern, link := range map[string]string{
		`/lib/x/.+`:                   "/lib",
		`^/lib/x/file$`:               "/lib",
		`/lib/x\.d/(?!a).+`:           "/lib",
		`/var/run/.+`:                 "/var/run",
		`/usr/lib/x/.+`:               "",
		`/lib$`:                       "", // the link itself
		`/nothing/here/.+`:            "",
		`(/usr)?/lib/x/.+`:            "",
		`/lib/x/.+|/usr/lib/x/.+`:     "", // a part of it matches
		`.+/lib/x`:                    "",
		`/tmp/.+`:                     "",
		`/lib.+/x`:                    "",
		`/usr/lib/[x]/f\w+`:           "",
		`/run/.+`:                     "",
		`/boot/.+\.old$`:              "",
		`/var/lib/dpkg/[^/]+-old$`:    "",
		`/lib/systemd/system/.+\.d/*`: "/lib",
	} {
		s := target.System{Name: "web", Tree: tree, Manifest: imagetest.Manifest(t,
			`{"volatile": [`+quote(pattern)+`], "entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*"}}}`)}
		im, err := target.Look(t.Context(), s, "", false)
		check(t, err)
		var told []string
		for _, notice := range im.Notices {
			if strings.Contains(notice, "volatile") {
				told = append(told, notice)
			}
		}
		switch {
		case link == "" && len(told) > 0:
			t.Errorf("%s: %q", pattern, told)
		case link != "" && (len(told) != 1 || !strings.Contains(told[0], link+" is a link")):
			t.Errorf("%s: %q, want the link %s", pattern, told, link)
		}
	}
}

func quote(s string) string { return `"` + strings.ReplaceAll(s, `\`, `\\`) + `"` }
