package keys_test

import (
	"strings"
	"testing"

	"cloudlets/provision"
)

// TestBootInFiles: a machine's file says over its profile what it boots, and mistakes are
// told with what to write.
func TestBootInFiles(t *testing.T) {
	const kernel = `{"boot": {"kernel": "memtest", "entrypoint": "uefi", "config": {"args": {"a": "b"}}}}`
	got := goodMachine(t, kernel).Boot
	want := provision.Boot{Kind: provision.BootKernel, Image: "memtest", EntryPoint: "uefi"}
	if got == nil || got.Boot != want || got.Config.Args["a"] == nil {
		t.Errorf("the file reads as %+v", got)
	}
	if got := goodMachine(t, `{"extends": "p", "boot": "local"}`, kernel).Boot; got == nil || got.Kind != provision.BootLocal {
		t.Errorf("over its profile the file reads as %+v", got)
	}
	for text, want := range map[string]string{
		`{"boot": "disk"}`:                                       "local",
		`{"boot": "kernel"}`:                                     `want {"kernel": "NAME"}`,
		`{"boot": "rescue"}`:                                     "cloudlets boot NAME --once rescue",
		`{"rescue": {"sshKeys": ["ann"]}}`:                       "not a public key",
		`{"rescue": {"sshKey": []}}`:                             `did you mean "sshKeys"`,
		`{"boot": 3}`:                                            `{"kernel": "memtest"}`,
		`{"boot": {"entrypoint": "x"}}`:                          "no image is named",
		`{"boot": {"kernal": "memtest"}}`:                        `did you mean "kernel"`,
		`{"boot": {"kernel": "../x"}}`:                           "not an image name",
		`{"boot": {"kernel": "memtest"}, "secureBoot": "owner"}`: "only what the owner signed",
	} {
		_, problems := machine(text)
		if got := lines(problems); !strings.Contains(got, want) {
			t.Errorf("%s: %q does not say %q", text, got, want)
		}
	}
}

// TestRescueKeys: of cloudlets.json and of a machine's file.
func TestRescueKeys(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ann@desk"
	if list := goodSettings(t, `{"rescue": {"sshKeys": ["`+key+`"]}}`).Rescue.SSHKeys; len(list) != 1 || list[0] != key {
		t.Errorf("cloudlets.json has the keys %q", list)
	}
	if rescue := goodMachine(t, `{"rescue": {"sshKeys": ["`+key+` 2"]}}`).Rescue; rescue == nil || len(rescue.SSHKeys) != 1 || rescue.SSHKeys[0] != key+" 2" {
		t.Errorf("the file has %+v", rescue)
	}
}
