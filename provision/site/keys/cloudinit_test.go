package keys_test

import (
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"cloudlets/provision"
	foreign "cloudlets/testdata/cloudinit"
)

const sshKey = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ann@desk"

// cloudProfile is a profile with a part of what cloud-init is told.
const cloudProfile = `{"cloudInit": {"userData": {"packages": ["nginx"], "timezone": "UTC"}, "sshKeys": ["` + sshKey + `"]}}`

// TestCloudConfig: an object becomes a #cloud-config that cloud-init reads as the same
// values, also where YAML differs from JSON. That of a profile and that of a machine are
// one.
func TestCloudConfig(t *testing.T) {
	spec := goodMachine(t, `{"cloudInit": {"userData": {"timezone": "Europe/Berlin", "odd": ["1e3", 1e3, 1.5E-3, "\u007f\u0085\u009f\u2028", "🐧", "no", "a: b # c", "{{x}}", null, true, "\t"]}}}`, cloudProfile)
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
		if _, problems := machine(`{"cloudInit": `+text+`}`, cloudProfile); len(problems) != 1 || !strings.Contains(problems[0].Error(), want) {
			t.Errorf("%s: %v, want one problem with %q", text, problems, want)
		}
	}
	spec := goodMachine(t, `{"cloudInit": {"userData": "", "userDataFile": "cloud-init/web.yaml", "datasource": "image"}}`, cloudProfile)
	if spec.CloudInit.UserDataFile != "cloud-init/web.yaml" || spec.CloudInit.From() != provision.DatasourceImage {
		t.Errorf("%+v", spec.CloudInit)
	}
}

// TestCloudInitShown: texts may have passwords, and are not shown.
func TestCloudInitShown(t *testing.T) {
	c := &provision.CloudInit{UserData: "hunter2", VendorData: "hunter2", UserDataFile: "a"}
	if shown := c.Shown(); shown.UserData != "…" || shown.VendorData != "…" || shown.UserDataFile != "a" || c.UserData != "hunter2" {
		t.Errorf("%+v", shown)
	}
}
