package site_test

import (
	"context"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/site"
)

// hardware is what is known of machines in a test.
type hardware map[provision.MAC]map[string]string

func (h hardware) of(mac provision.MAC) map[string]string { return h[mac] }

// ruled opens a site whose rules are judged by what is known.
func ruled(t *testing.T, h hardware, files map[string]string) (*site.Site, string) {
	t.Helper()
	dir := folder(t, files)
	s := open(t, dir)
	s.JudgeBy(h.of)
	return s, dir
}

const rulesOfWeb = `{"cmdline": "profile", "retry": 1, "tags": ["all"], "rules": [
	{"when": {"disks": 2}, "set": {"cmdline": "two", "retry": 2, "tags": ["two"]}},
	{"when": {"product": "poweredge*"}, "set": {"cmdline": "dell", "disk": {"model": "BOSS"}}},
	{"when": {"product": "*", "arch": "arm64"}, "set": {"cmdline": "arm"}}]}`

// TestRulesOfProfiles: all rules that match apply, a later one over an earlier one, the
// machine's own file over all of them, and each says why it does not match.
func TestRulesOfProfiles(t *testing.T) {
	h := hardware{mac1: {"disks": "2", "product": "PowerEdge R640", "arch": "amd64"}}
	s, _ := ruled(t, h, map[string]string{
		"machines/" + mac1 + ".json": `{"extends": "web", "retry": 9}`,
		"machines/" + mac2 + ".json": `{"extends": "web"}`,
		"profiles/web.json":          rulesOfWeb,
	})
	if p := s.Problems(); len(p) > 0 {
		t.Fatal(p)
	}
	got := spec(t, s, mac1)
	if got.Cmdline != "dell" || got.Retry != 9 || got.Disk.Model != "BOSS" || strings.Join(got.Tags, " ") != "all two" {
		t.Errorf("%+v", got)
	}
	want := `rule 1 of profiles/web.json matches; rule 2 of profiles/web.json matches; rule 3 of profiles/web.json wants arch "arm64", and it is "amd64"`
	if got.Rules.String() != want {
		t.Errorf("rules: %s", got.Rules)
	}
	unknown := spec(t, s, mac2)
	if unknown.Cmdline != "profile" || unknown.Retry != 1 || !strings.Contains(unknown.Rules.String(), "rule 3 of profiles/web.json waits, since nothing was found") {
		t.Errorf("a machine of which nothing is known: %+v, %s", unknown, unknown.Rules)
	}
}

// TestRulesBelowWhatExtends: a profile goes over the rules of one that it extends, and a
// rule of a profile that is extended in two ways is told once.
func TestRulesBelowWhatExtends(t *testing.T) {
	s, _ := ruled(t, hardware{mac1: {"disks": "1"}}, map[string]string{
		"machines/" + mac1 + ".json": `{"extends": ["a", "b"]}`,
		"profiles/base.json":         `{"cmdline": "base", "rules": [{"when": {"disks": "1"}, "set": {"cmdline": "rule", "retry": 7}}]}`,
		"profiles/a.json":            `{"extends": "base", "cmdline": "a"}`,
		"profiles/b.json":            `{"extends": "base", "retry": null}`,
	})
	got := spec(t, s, mac1)
	if got.Cmdline != "rule" || got.Retry != 7 || got.Rules.String() != "rule 1 of profiles/base.json matches" {
		t.Errorf("%+v, %s", got, got.Rules)
	}
	s, _ = ruled(t, hardware{mac1: {"disks": "1"}}, map[string]string{
		"machines/" + mac1 + ".json": `{"extends": "a"}`,
		"profiles/base.json":         `{"rules": [{"when": {"disks": "1"}, "set": {"cmdline": "rule", "retry": 7}}]}`,
		"profiles/a.json":            `{"extends": "base", "cmdline": "a"}`,
	})
	if got := spec(t, s, mac1); got.Cmdline != "a" || got.Retry != 7 {
		t.Errorf("%+v", got)
	}
}

// TestRulesOfAGroup: each machine of a group is judged by itself, and what the group says
// goes over the rules.
func TestRulesOfAGroup(t *testing.T) {
	h := hardware{mac1: {"disks": "2"}, mac2: {"disks": "1"}}
	s, _ := ruled(t, h, map[string]string{
		"machines/rack.json": `{"extends": "web", "retry": 5, "hostname": "n{n}", "machines": {"1": "` + mac1 + `", "2": "` + mac2 + `"}}`,
		"profiles/web.json":  rulesOfWeb,
	})
	one, two := spec(t, s, mac1), spec(t, s, mac2)
	if one.Cmdline != "two" || one.Retry != 5 || two.Cmdline != "profile" || one.Hostname != "n1" || len(one.Profiles) != 1 {
		t.Errorf("%+v\n%+v", one, two)
	}
	if at := s.Locate(mac1)("cmdline"); at.File() != "profiles/web.json" || at.Problem("").Line != 2 {
		t.Errorf("the command line is at %v", at.Problem(""))
	}
}

// TestRulesAreJudgedAgain: files that have not changed are settled anew when something else
// is known of their machines, and only then.
func TestRulesAreJudgedAgain(t *testing.T) {
	for name, files := range map[string]map[string]string{
		"a file":  {"machines/" + mac1 + ".json": `{"extends": "web", "address": "10.0.0.9"}`, "machines/" + mac2 + ".json": `{}`},
		"a group": {"machines/rack.json": `{"extends": "web", "address": "10.0.0.9", "machines": {"1": "` + mac1 + `"}}`, "machines/" + mac2 + ".json": `{}`},
	} {
		t.Run(name, func(t *testing.T) {
			files["profiles/web.json"] = `{"rules": [{"when": {"disks": 2}, "set": {"image": "big"}}]}`
			h := hardware{}
			s, dir := ruled(t, h, files)
			longAgo(t, dir)
			s.Reload()
			if s.Reload() || spec(t, s, mac1).Image != "" {
				t.Fatal("something changes by itself, or a rule matches nothing")
			}
			h[mac1] = map[string]string{"disks": "2"}
			h[mac2] = map[string]string{"disks": "2"}
			if !s.Reload() || spec(t, s, mac1).Image != "big" || len(s.ByImage("big")) != 1 {
				t.Errorf("what was found is not seen: %+v", spec(t, s, mac1))
			}
			if s.Reload() {
				t.Error("the same facts change the site")
			}
		})
	}
}

// TestRulesMayTakeWhatIsTaken: what a rule sets is checked as what a file says, and the last
// good version stands.
func TestRulesMayTakeWhatIsTaken(t *testing.T) {
	h := hardware{}
	s, _ := ruled(t, h, map[string]string{
		"machines/" + mac1 + ".json": `{"hostname": "one"}`,
		"machines/" + mac2 + ".json": `{"extends": "web"}`,
		"profiles/web.json":          `{"hostname": "two", "rules": [{"when": {"disks": 2}, "set": {"hostname": "one"}}]}`,
	})
	h[mac2] = map[string]string{"disks": "2"}
	s.Reload()
	if got := spec(t, s, mac2).Hostname; got != "two" || !strings.Contains(s.Problems().Err().Error(), "hostname one is that of "+mac1) {
		t.Errorf("it is called %s: %v", got, s.Problems())
	}
}

// TestMistakesInRules: each is told at its place, whether a machine matches or not.
func TestMistakesInRules(t *testing.T) {
	for text, want := range map[string]string{
		`{"rules": {}}`: "profiles/web.json:1:11: want a list […] of rules",
		`{"rules": [
  {"when": {"prodct": "x"}, "set": {"retry": 1}}]}`: `profiles/web.json:2:13: "prodct" is nothing that is found in a machine; did you mean "product"?`,
		`{"rules": [{"when": {"disks": 2}, "st": {}}]}`:                                                        `unknown key "st"; did you mean "set"?`,
		`{"rules": [{"when": {"disks": true}, "set": {}}]}`:                                                    `1:31: want a number, or a text`,
		`{"rules": [{"set": {"retry": 1}}]}`:                                                                   `"when" is missing`,
		`{"rules": [{"when": {"disks": 2}}]}`:                                                                  `"set" is missing`,
		`{"rules": [{"when": {"disks": 2}, "set": {"extends": "x"}}]}`:                                         `1:43: a rule cannot set "extends"`,
		`{"rules": [{"when": {"disks": 2}, "set": {"rules": []}}]}`:                                            `a rule cannot set "rules"`,
		`{"rules": [{"when": {"disks": 2}, "set": {"hostnme": "x"}}]}`:                                         `1:43: unknown key "hostnme"; did you mean "hostname"?`,
		`{"rules": [{"when": {"disks": 2}, "set": {"image": "nothere"}}]}`:                                     `1:52: image "nothere" is not in images/`,
		`{"disk": {"minSize": "2GB"}, "rules": [{"when": {"disks": 2}, "set": {"disk": {"maxSize": "1GB"}}}]}`: "no disk can match",
		`{"rules": [` + strings.Repeat(`{"when": {"disks": 2}, "set": {}},`, 64) + `{"when": {}, "set": {}}]}`: "at most 64 rules",
	} {
		s := open(t, folder(t, map[string]string{"profiles/web.json": text}))
		if p := s.Problems(); len(p) == 0 || !strings.Contains(p.Err().Error(), want) {
			t.Errorf("%s: %v, want %s", text, p, want)
		}
	}
	for file, text := range map[string]string{
		"machines/" + mac1 + ".json": `{"rules": []}`,
		"machines/group.json":        `{"rules": [], "machines": {"1": "` + mac1 + `"}}`,
		"machines/member.json":       `{"machines": {"1": {"mac": "` + mac1 + `", "rules": []}}}`,
	} {
		s := open(t, folder(t, map[string]string{file: text}))
		if p := s.Problems(); len(p) == 0 || !strings.Contains(p.Err().Error(), `only a profile has "rules"`) {
			t.Errorf("%s: %v", file, p)
		}
	}
}

// TestLearnedReadsTheSite: who watches the site is told when a machine's hardware becomes
// known.
func TestLearnedReadsTheSite(t *testing.T) {
	found := make(chan map[string]string, 1)
	found <- nil
	facts := func(provision.MAC) map[string]string {
		now := <-found
		found <- now
		return now
	}
	s := open(t, folder(t, map[string]string{
		"machines/" + mac1 + ".json": `{"extends": "web"}`,
		"profiles/web.json":          rulesOfWeb,
	}))
	s.JudgeBy(facts)
	changes := s.Changes(t.Context())
	done := make(chan error, 1)
	ctx, stop := context.WithCancel(t.Context())
	go func() { done <- s.Watch(ctx) }()
	<-found
	now := map[string]string{"disks": "2"}
	found <- now
	s.Learned(mac2, now) // it has no rules
	s.Learned(mac1, now)
	select {
	case <-changes:
	case <-time.After(30 * time.Second):
		t.Fatal("the site is not read again")
	}
	if got := spec(t, s, mac1).Cmdline; got != "two" {
		t.Errorf("it has %q", got)
	}
	stop()
	if err := <-done; err != nil {
		t.Error(err)
	}
}
