package site_test

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/site"
)

func approvalSite(t *testing.T) (dir string, s *site.Site) {
	t.Helper()
	dir = t.TempDir()
	for name, text := range map[string]string{
		"profiles/web.json":               `{"image": "debian"}`,
		"images/debian/etc/hostname":      "x",
		"machines/52:54:00:00:00:01.json": `{"image": "debian", "hostname": "node1", "address": "10.0.0.21"}`,
		"machines/52-54-00-00-00-02.json": "{\n  // rack 3\n  \"hostname\": \"old\" // to be changed\n}\n",
	} {
		full := filepath.Join(dir, name)
		if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o600)); err != nil {
			t.Fatal(err)
		}
	}
	s, err := site.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return dir, s
}

func TestApprovalWritesTheFile(t *testing.T) {
	dir, s := approvalSite(t)
	const mac, old = provision.MAC("52:54:00:00:00:41"), provision.MAC("52:54:00:00:00:02")
	want := "{\n  \"extends\": \"web\",\n  \"hostname\": \"node41\",\n  \"address\": \"10.0.0.41\"\n}\n"
	a := provision.Approval{MAC: mac, Profile: "web", Hostname: "node41", Address: "10.0.0.41"}
	if drafts, err := s.Approve([]provision.Approval{a}, true); err != nil || len(drafts) != 1 || drafts[0].Text != want || drafts[0].File != mac.File() {
		t.Fatalf("the dry run shows %+v, %v", drafts, err)
	}
	if s.Has(mac) {
		t.Fatal("the dry run has an effect")
	}
	if _, err := s.Approve([]provision.Approval{a, {MAC: old, Hostname: "node2"}}, false); err != nil {
		t.Fatal(err)
	}
	if spec, _ := s.Spec(mac); spec.Image != "debian" || spec.Hostname != "node41" || spec.Address.String() != "10.0.0.41" {
		t.Errorf("the machine is %+v", spec)
	}
	text, _ := os.ReadFile(filepath.Join(dir, "machines/52-54-00-00-00-02.json"))
	if string(text) != "{\n  // rack 3\n  \"hostname\": \"node2\" // to be changed\n}\n" {
		t.Errorf("the file that was there became\n%s", text)
	}
	if info, err := os.Stat(filepath.Join(dir, "machines/52-54-00-00-00-02.json")); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it now: %v, %v", info.Mode(), err)
	}
	if p := s.Problems(); len(p) > 0 {
		t.Errorf("the site has problems: %v", p)
	}
}

// TestApprovalThatIsAMistake: then no file is written, not even those that are right.
func TestApprovalThatIsAMistake(t *testing.T) {
	const mac = provision.MAC("52:54:00:00:00:41")
	for why, a := range map[string]provision.Approval{
		"there is no profiles/wbe.json": {MAC: mac, Profile: "wbe"},
		"hostname node1 is that of":     {MAC: mac, Profile: "web", Hostname: "node1"},
		"address 10.0.0.21 is that of":  {MAC: mac, Profile: "web", Address: "10.0.0.21"},
		"is not a hostname":             {MAC: mac, Profile: "web", Hostname: "no host"},
		"is not in images/":             {MAC: mac, Image: "debain"},
		"comes twice":                   {MAC: "52:54:00:00:00:42", Profile: "web"},
	} {
		dir, s := approvalSite(t)
		_, err := s.Approve([]provision.Approval{{MAC: "52:54:00:00:00:42", Profile: "web", Hostname: "right"}, a}, false)
		if !errors.Is(err, site.ErrApproval) || !strings.Contains(err.Error(), why) {
			t.Errorf("%+v: %v, want %s", a, err, why)
		}
		if files, _ := os.ReadDir(filepath.Join(dir, "machines")); len(files) != 2 || s.Has("52:54:00:00:00:42") {
			t.Errorf("%+v: files were written: %v", a, files)
		}
	}
}

// TestApprovalStaysInTheSite: no link leads out of it.
func TestApprovalStaysInTheSite(t *testing.T) {
	for name, link := range map[string]string{"a file": "machines/52:54:00:00:00:41.json", "the folder": "machines"} {
		dir, s := approvalSite(t)
		outside := t.TempDir()
		secret := filepath.Join(outside, "secret.json")
		if err := errors.Join(os.WriteFile(secret, []byte("{}"), 0o600), os.RemoveAll(filepath.Join(dir, link))); err != nil {
			t.Fatal(err)
		}
		target := secret
		if link == "machines" {
			target = outside
		}
		if err := os.Symlink(target, filepath.Join(dir, link)); err != nil {
			t.Fatal(err)
		}
		_, err := s.Approve([]provision.Approval{{MAC: "52:54:00:00:00:41", Profile: "web"}}, false)
		text, _ := os.ReadFile(secret)
		files, _ := os.ReadDir(outside)
		if err == nil || string(text) != "{}" || len(files) != 1 {
			t.Errorf("%s is a link: %v; outside are %v and %s", name, err, files, text)
		}
	}
}

func TestRulesForStrangersAreChecked(t *testing.T) {
	for why, text := range map[string]string{
		"":                            `{"strangers": {"image": "debian", "rules": [{"when": {"product": "R*"}, "profile": "web", "name": "r3-{port}"}]}}`,
		`it has rules and no "image"`: `{"strangers": {"rules": [{"when": {"mac": "*"}, "profile": "web"}]}}`,
		`"when" is missing`:           `{"strangers": {"image": "debian", "rules": [{"profile": "web"}]}}`,
		"neither":                     `{"strangers": {"image": "debian", "rules": [{"when": {"mac": "*"}}]}}`,
		"nothing that is found":       `{"strangers": {"image": "debian", "rules": [{"when": {"prodct": "*"}, "profile": "web"}]}}`,
		"there is no {rack} here":     `{"strangers": {"image": "debian", "rules": [{"when": {"mac": "*"}, "profile": "web", "name": "{rack}"}]}}`,
		"names the profile":           `{"strangers": {"image": "debian", "rules": [{"when": {"mac": "*"}, "profile": "wbe"}]}}`,
		`names the image "smal"`:      `{"strangers": {"image": "smal"}}`,
	} {
		dir, s := approvalSite(t)
		if err := os.WriteFile(filepath.Join(dir, "cloudlets.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s.Reload()
		problems := s.Problems()
		if why == "" && (len(problems) > 0 || len(s.Settings().Strangers.Rules) != 1) || why != "" && (len(problems) != 1 || !strings.Contains(problems[0].Error(), why)) {
			t.Errorf("%s: %v, want %q", text, problems, why)
		}
	}
}
