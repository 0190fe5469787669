package site_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/site"
)

const rack = `{
  // the third rack
  "extends": "web",
  "hostname": "r3-{n:02}",
  "address": "10.0.3.{n+10}",
  "power": {"redfish": "https://10.9.3.{n}", "user": "admin"},
  "config": {"args": {"text": "{n} stays"}},
  "machines": {
    "1": "52:54:00:00:03:01",
    "2": {"mac": "52:54:00:00:03:02", "hostname": "gateway", "disk": {"serial": "S2"}},
    "7": "52-54-00-00-03-07",
  },
}`

func TestGroup(t *testing.T) {
	dir := folder(t, map[string]string{
		"machines/rack3.json": rack,
		"profiles/web.json":   `{"image": "web", "power": {"passwordFile": "secrets/bmc"}}`,
		"images/web/x":        "",
	})
	s := open(t, dir)
	if got := problems(s); got != "" {
		t.Fatal(got)
	}
	for mac, want := range map[provision.MAC]string{
		"52:54:00:00:03:01": "r3-01 10.0.3.11 https://10.9.3.1 web ",
		"52:54:00:00:03:02": "gateway 10.0.3.12 https://10.9.3.2 web S2",
		"52:54:00:00:03:07": "r3-07 10.0.3.17 https://10.9.3.7 web ",
	} {
		got := spec(t, s, mac)
		text := fmt.Sprintf("%s %s %s %s %s", got.Hostname, got.Address, got.Power.Redfish, got.Image, got.Disk.Serial)
		if text != want || got.Config.Args["text"] != "{n} stays" || got.File() != "machines/rack3.json" {
			t.Errorf("%s is %q in %s, %v; want %q", mac, text, got.File(), got.Config.Args, want)
		}
	}
	for key, want := range map[string]string{"hostname": "machines/rack3.json:9:5: x", "extends": "machines/rack3.json:3:14: x", "image": "profiles/web.json:1:11: x"} {
		if got := s.Locate("52:54:00:00:03:01")(key).Problem("x").Error(); got != want {
			t.Errorf("%s is at %s, want %s", key, got, want)
		}
	}

	// A machine keeps its number when another one is taken out.
	write(t, dir, "machines/rack3.json", strings.Replace(rack, `"1": "52:54:00:00:03:01",`, "", 1))
	s.Reload()
	if got := spec(t, s, "52:54:00:00:03:07"); got.Hostname != "r3-07" || len(s.Specs()) != 2 {
		t.Errorf("the machine is %s of %d", got.Hostname, len(s.Specs()))
	}

	// A profile that changes is that of the group, too.
	write(t, dir, "profiles/web.json", `{"image": "web", "cmdline": "quiet", "power": {"passwordFile": "secrets/bmc"}}`)
	s.Reload()
	if got := spec(t, s, "52:54:00:00:03:07"); got.Cmdline != "quiet" {
		t.Errorf("the machine has the words %q", got.Cmdline)
	}
}

func TestMistakesInGroups(t *testing.T) {
	for name, test := range map[string]struct{ text, want string }{
		"a list":          {`{"machines": ["52:54:00:00:00:01"]}`, `g.json:1:14: want an object {…} of machines by number`},
		"no MAC":          {"{\"machines\": {\n\"1\": \"x\"}}", `g.json:2:1: parse "x" as a MAC address`},
		"another kind":    {"{\"machines\": {\n\"1\": 5}}", `g.json:2:1: want the machine's MAC address, or an object`},
		"no MAC in it":    {`{"machines": {"1": {"hostname": "x"}}}`, `g.json:1:15: want the machine's MAC address, or an object`},
		"zeros":           {`{"machines": {"01": "52:54:00:00:00:01"}}`, `g.json:1:15: want as its name the machine's number`},
		"a word":          {`{"machines": {"one": "52:54:00:00:00:01"}}`, `g.json:1:15: want as its name the machine's number`},
		"a number twice":  {"{\"machines\": {\"1\": \"52:54:00:00:00:01\",\n\"1\": \"52:54:00:00:00:02\"}}", `g.json:2:1: /machines/1: is written twice`},
		"a MAC twice":     {"{\"machines\": {\"1\": \"52:54:00:00:00:01\",\n\"2\": \"52:54:00:00:00:01\"}}", `g.json:2:1: describes the machine 52:54:00:00:00:01, as line 1 does`},
		"own extends":     {`{"machines": {"1": {"mac": "52:54:00:00:00:01", "extends": "x"}}}`, `g.json:1:15: a machine of a group has the group's profiles`},
		"no pattern":      {`{"hostname": "r{n", "machines": {"1": "52:54:00:00:00:01"}}`, `g.json:1:14: "r{n" has a brace without the other one`},
		"unknown name":    {`{"hostname": "r{m}", "machines": {"1": "52:54:00:00:00:01"}}`, `g.json:1:14: there is no {m} here; there are {n}`},
		"no address":      {"{\"address\": \"10.0.0.{n}\", \"machines\": {\n\"300\": \"52:54:00:00:00:01\"}}", `g.json:2:1: "10.0.0.300" is not an IPv4 address`},
		"the same name":   {"{\"hostname\": \"r\", \"machines\": {\"1\": \"52:54:00:00:00:01\",\n\"2\": \"52:54:00:00:00:02\"}}", `g.json:2:1: hostname r is that of 52:54:00:00:00:01 already, see machines/g.json`},
		"unknown key":     {`{"hostnam": "r", "machines": {"1": "52:54:00:00:00:01"}}`, `g.json:1:2: unknown key "hostnam"; did you mean "hostname"?`},
		"unknown key own": {"{\"machines\": {\"1\": {\"mac\": \"52:54:00:00:00:01\",\n\"imgae\": \"x\"}}}", `g.json:2:1: unknown key "imgae"`},
		"unknown profile": {`{"extends": "x", "machines": {"1": "52:54:00:00:00:01"}}`, `g.json:1:13: extends x, but there is no profiles/x.json`},
		"unknown image":   {`{"image": "x", "machines": {"1": "52:54:00:00:00:01"}}`, `g.json: image "x" is not in images/`},
	} {
		t.Run(name, func(t *testing.T) {
			if got := problems(open(t, folder(t, map[string]string{"machines/g.json": test.text}))); !strings.Contains(got, "machines/"+test.want) {
				t.Errorf("got\n%swant\nmachines/%s", got, test.want)
			}
		})
	}
}

// TestABrokenGroupTakesNothingAway: while a group has a mistake, its machines are what
// they were.
func TestABrokenGroupTakesNothingAway(t *testing.T) {
	good := "{\"hostname\": \"r{n}\", \"machines\": {\n\"1\": \"" + mac1 + "\",\n\"2\": \"" + mac2 + "\"}}"
	for name, broken := range map[string]string{
		"no JSON":       "{",
		"a MAC":         strings.Replace(good, mac2, "52:54:00", 1),
		"a pattern":     strings.Replace(good, "{n}", "{x}", 1),
		"no list":       `{"hostname": "r{n}"}`,
		"of one":        strings.Replace(good, `"`+mac2+`"`, `{"mac": "`+mac2+`", "disk": 5}`, 1),
		"every machine": strings.Replace(good, `"hostname"`, `"hostnam"`, 1),
	} {
		t.Run(name, func(t *testing.T) {
			dir := folder(t, map[string]string{"machines/g.json": good})
			s := open(t, dir)
			write(t, dir, "machines/g.json", broken)
			s.Reload()
			if problems(s) == "" {
				t.Error("no problem is told")
			}
			for n, mac := range []provision.MAC{mac1, mac2} {
				if len(s.ProblemsOf(mac)) == 0 && (n == 1 || !strings.HasPrefix(name, "of one") && name != "a MAC") {
					t.Errorf("no problem is told of %s", mac)
				}
				if got, there := s.Spec(mac); !there || got.Hostname != fmt.Sprintf("r%d", n+1) {
					t.Errorf("%s is %q, %v", mac, got.Hostname, there)
				}
			}
			write(t, dir, "machines/g.json", good)
			if s.Reload(); problems(s) != "" {
				t.Error(problems(s))
			}
		})
	}
}

func TestAMachineInTwoPlaces(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"machines/a.json":            "{\"hostname\": \"a{n}\", \"machines\": {\n\"1\": \"" + mac1 + "\", \"2\": \"" + mac2 + "\"}}",
		"machines/b.json":            "{\"hostname\": \"b{n}\", \"machines\": {\n\"1\": \"" + mac2 + "\"}}",
		"machines/" + mac1 + ".json": `{"hostname": "own"}`,
	}))
	want := "machines/a.json:2:1: describes the machine " + mac1 + ", as machines/" + mac1 + ".json does; remove it from one of them\n" +
		"machines/b.json:2:1: describes the machine " + mac2 + ", as machines/a.json does; remove it from one of them\n"
	if got := problems(s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if one, two := spec(t, s, mac1).Hostname, spec(t, s, mac2).Hostname; one != "own" || two != "a2" {
		t.Errorf("they are %s and %s", one, two)
	}
}

func TestApprovalOfAMachineInAGroup(t *testing.T) {
	s := open(t, folder(t, map[string]string{"machines/g.json": `{"machines": {"1": "` + mac1 + `"}}`}))
	_, err := s.Approve([]provision.Approval{{MAC: mac1, Hostname: "x"}}, false)
	if !errors.Is(err, site.ErrApproval) || !strings.Contains(err.Error(), "one of those in machines/g.json") {
		t.Errorf("got %v", err)
	}
	if problems(s) != "" {
		t.Error(problems(s))
	}
}

// TestProfilesHaveNoPatterns: a text with braces comes from a profile as it is, whether a
// machine is of a group or not. What a group's own secret has wrong is not quoted.
func TestProfilesHaveNoPatterns(t *testing.T) {
	dir := folder(t, map[string]string{
		"machines/rack3.json": `{"extends": "web", "vars": {"n": "{n}"}, "machines": {"4": "52:54:00:00:03:04"}}`,
		"profiles/web.json":   `{"vars": {"password": "a}}b{n}"}}`,
	})
	s := open(t, dir)
	if got := problems(s); got != "" {
		t.Fatal(got)
	}
	if got := spec(t, s, "52:54:00:00:03:04").Vars; got["password"] != "a}}b{n}" || got["n"] != "4" {
		t.Errorf("the variables are %v", got)
	}
	write(t, dir, "machines/rack3.json", `{"vars": {"password": "s3cr{t"}, "machines": {"4": "52:54:00:00:03:04"}}`)
	s.Reload()
	if got := problems(s); !strings.Contains(got, "is no pattern") || strings.Contains(got, "s3cr") {
		t.Errorf("the problems are %s", got)
	}
}
