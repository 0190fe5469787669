package site_test

import (
	"strings"
	"testing"

	"cloudlets/provision"
)

// TestBootInFiles: a machine's file says over its profile what it boots, and mistakes are
// told with what to write.
func TestBootInFiles(t *testing.T) {
	const kernel = `{"boot": {"kernel": "memtest", "entrypoint": "uefi", "config": {"args": {"a": "b"}}}}`
	s := open(t, folder(t, map[string]string{
		"images/memtest/mt": "", "profiles/p.json": kernel,
		"machines/" + mac1 + ".json": kernel, "machines/" + mac2 + ".json": `{"extends": "p", "boot": "local"}`,
	}))
	got := spec(t, s, mac1).Boot
	want := provision.Boot{Kind: provision.BootKernel, Image: "memtest", EntryPoint: "uefi"}
	if got == nil || got.Boot != want || got.Config.Args["a"] == nil {
		t.Errorf("the file reads as %+v", got)
	}
	if got := spec(t, s, mac2).Boot; got == nil || got.Kind != provision.BootLocal {
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
		`{"boot": {"kernel": "memtes"}}`:                         `did you mean "memtest"`,
		`{"boot": {"kernel": "memtest"}, "secureBoot": "owner"}`: "only what the owner signed",
	} {
		s := open(t, folder(t, map[string]string{"images/memtest/mt": "", "machines/" + mac1 + ".json": text}))
		if got := problems(s); !strings.Contains(got, want) {
			t.Errorf("%s: %q does not say %q", text, got, want)
		}
	}
}

// TestRescueKeys: of cloudlets.json and of a machine's file.
func TestRescueKeys(t *testing.T) {
	const key = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8g ann@desk"
	s := open(t, folder(t, map[string]string{
		"cloudlets.json": `{"rescue": {"sshKeys": ["` + key + `"]}}`, "machines/" + mac1 + ".json": `{"rescue": {"sshKeys": ["` + key + ` 2"]}}`,
	}))
	if keys := s.Settings().Rescue.SSHKeys; len(keys) != 1 || keys[0] != key {
		t.Errorf("cloudlets.json has the keys %q", keys)
	}
	if rescue := spec(t, s, mac1).Rescue; rescue == nil || len(rescue.SSHKeys) != 1 || rescue.SSHKeys[0] != key+" 2" {
		t.Errorf("the file has %+v", rescue)
	}
}
