package site_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/site"
	foreign "cloudlets/testdata/cloudinit"
)

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ann@desk"

// cloudSite is a site with one machine, which extends a profile.
func cloudSite(t *testing.T, cloudInit string) *site.Site {
	t.Helper()
	return open(t, folder(t, map[string]string{
		"profiles/base.json":         `{"cloudInit": {"userData": {"packages": ["nginx"], "timezone": "UTC"}, "sshKeys": ["` + sshKey + `"]}}`,
		"machines/" + mac1 + ".json": `{"extends": "base", "cloudInit": ` + cloudInit + `}`,
	}))
}

// TestCloudConfig: an object becomes a #cloud-config that cloud-init reads as the same
// values, also where YAML differs from JSON. That of a profile and that of a machine are
// one.
func TestCloudConfig(t *testing.T) {
	s := cloudSite(t, `{"userData": {"timezone": "Europe/Berlin", "odd": ["1e3", 1e3, 1.5E-3, "\u007f\u0085\u009f\u2028", "🐧", "no", "a: b # c", "{{x}}", null, true, "\t"]}}`)
	spec, ok := s.Spec(mac1)
	if !ok || len(s.Problems()) > 0 {
		t.Fatalf("%v", s.Problems())
	}
	c := spec.CloudInit
	if !strings.HasPrefix(c.UserData, "#cloud-config\n{") || len(c.SSHKeys) != 1 || c.From() != provision.DatasourceSeed {
		t.Errorf("%+v", c)
	}
	root := t.TempDir()
	for name, text := range map[string]string{
		"etc/cloud/cloud.cfg.d/99-cloudlets.cfg": "datasource_list: [NoCloud, None]", "var/lib/cloud/seed/nocloud/user-data": c.UserData, "var/lib/cloud/seed/nocloud/meta-data": "{}",
	} {
		file := filepath.Join(root, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	told, err := foreign.Read(t.Context(), t, root, foreign.Local, "")
	if err != nil {
		t.Fatal(err)
	}
	want := map[string]any{"packages": []any{"nginx"}, "timezone": "Europe/Berlin", "odd": []any{
		"1e3", 1000.0, 0.0015, "\u007f\u0085\u009f\u2028", "🐧", "no", "a: b # c", "{{x}}", nil, true, "\t"}}
	if !reflect.DeepEqual(told.Config, want) {
		t.Errorf("cloud-init reads %#v, want %#v", told.Config, want)
	}
}

func TestCloudInitThatIsWrong(t *testing.T) {
	for text, want := range map[string]string{
		`{"userData": 7}`:                                      "want a text that cloud-init reads",
		`{"userDataFile": "a.yaml"}`:                           "both",
		`{"userDataFile": "/etc/shadow"}`:                      "not in the site",
		`{"vendorDataFile": "../shadow"}`:                      "out of the site",
		`{"sshKeys": ["ssh-ed25519"]}`:                         "not a public key",
		`{"sshKeys": ["-----BEGIN OPENSSH PRIVATE KEY-----"]}`: "private key",
		`{"datasource": "sed"}`:                                `did you mean "seed"?`,
		`{"userdata": ""}`:                                     "unknown key",
	} {
		if problems := cloudSite(t, text).Problems(); len(problems) != 1 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%s: %v, want one problem with %q", text, problems, want)
		}
	}
	s := cloudSite(t, `{"userData": "", "userDataFile": "cloud-init/web.yaml", "datasource": "image"}`)
	if spec, _ := s.Spec(mac1); len(s.Problems()) > 0 || spec.CloudInit.UserDataFile != "cloud-init/web.yaml" || spec.CloudInit.From() != provision.DatasourceImage {
		t.Errorf("%v, %+v", s.Problems(), spec.CloudInit)
	}
}

// TestReadFile: what machines are given is in the site, also if links lead elsewhere.
func TestReadFile(t *testing.T) {
	s := open(t, folder(t, map[string]string{"cloud-init/web.yaml": "#cloud-config\n", "big": strings.Repeat("x", site.MaxText+1)}))
	if text, err := s.ReadFile("cloud-init/web.yaml"); err != nil || string(text) != "#cloud-config\n" {
		t.Errorf("%q, %v", text, err)
	}
	if err := os.Symlink("/etc/passwd", filepath.Join(s.Dir(), "link")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"link", "cloud-init", "none", "big", "../x", "/etc/passwd"} {
		if text, err := s.ReadFile(name); err == nil {
			t.Errorf("%s: %.20q", name, text)
		}
	}
}

// TestCloudInitShown: texts may have passwords, and are not shown.
func TestCloudInitShown(t *testing.T) {
	c := &provision.CloudInit{UserData: "hunter2", VendorData: "hunter2", UserDataFile: "a"}
	if shown := c.Shown(); shown.UserData != "…" || shown.VendorData != "…" || shown.UserDataFile != "a" || c.UserData != "hunter2" {
		t.Errorf("%+v", shown)
	}
}
