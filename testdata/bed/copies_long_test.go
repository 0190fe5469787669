//go:build long

package bed_test

import (
	"context"
	"crypto/sha256"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"cloudlets/testdata/bed"
)

// TestLongCopies boots two copies of one Debian with each init. The image is of a machine
// that has run, and is made a cloudlet by one command. Each copy says what it has for
// itself: that it has all of it, and shares nothing of it with the other copy or with the
// machine that the image is of.
func TestLongCopies(t *testing.T) {
	t.Parallel()
	for _, init := range []string{"systemd", "sysvinit", "openrc", "runit"} {
		t.Run(init, func(t *testing.T) {
			cache, err := filepath.Abs(filepath.Join("..", "..", ".cache"))
			if err != nil {
				t.Fatal(err)
			}
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			used, err := bed.UsedRoot(ctx, cache, init, os.Stderr)
			if err != nil {
				t.Fatal(err)
			}
			root := filepath.Join(t.TempDir(), init)
			run(ctx, t, "mkdir", root)
			run(ctx, t, "tar", "-x", "-p", "--xattrs", "--numeric-owner", "-f", used, "-C", root)
			const id = "0123456789abcdef0123456789abcdef"
			if err := os.WriteFile(filepath.Join(root, "etc/machine-id"), []byte(id+"\n"), 0o444); err != nil {
				t.Fatal(err)
			}
			before := ownedBy(t, root)
			before["machine-id"] = id
			run(ctx, t, binary, "init", root, "--templates")
			wantNoSecrets(ctx, t, root)
			seen := map[string]string{} // whose each value is
			for what, value := range before {
				seen[value] = "the image's " + what
			}
			for _, name := range []string{"one", "two"} {
				disk := filepath.Join(t.TempDir(), name+".img")
				run(ctx, t, binary, "disk", root, "--env", "hostname="+name, "--out", disk)
				m := bootAlone(ctx, t, bed.Spec{MAC: "52:54:00:00:0a:01", Firmware: bed.BIOS, LocalOnly: true, Disks: []bed.Disk{{File: disk}}})
				text, err := m.Console.Expect(ctx, regexp.MustCompile(`(?s)fact: hostname.*facts end`), broken...)
				if err != nil {
					t.Fatal(err)
				}
				m.Stop()
				for what, value := range factsIn(t, text, name, init) {
					if other, shared := seen[value]; shared {
						t.Errorf("%s of %s is %s, as is %s", what, name, value, other)
					}
					seen[value] = what + " of " + name
				}
			}
		})
	}
}

func run(ctx context.Context, t *testing.T, name string, args ...string) {
	t.Helper()
	if out, err := exec.CommandContext(ctx, name, args...).CombinedOutput(); err != nil {
		t.Fatalf("%s %s: %v: %s", name, strings.Join(args, " "), err, out)
	}
}

// ownedBy is what the image has of the machine that it is of, by the words of its facts.
func ownedBy(t *testing.T, root string) map[string]string {
	t.Helper()
	all := map[string]string{"hostname": "used"}
	keys, err := filepath.Glob(filepath.Join(root, "etc/ssh/ssh_host_*_key.pub"))
	if err != nil || len(keys) == 0 {
		t.Fatalf("the image has the SSH host keys %q, %v", keys, err)
	}
	for _, key := range keys {
		text, err := os.ReadFile(key)
		if err != nil {
			t.Fatal(err)
		}
		words := strings.Fields(string(text))
		if words[0] == "ssh-ed25519" {
			all["answer"] = words[1]
		}
		all["/etc/ssh/"+filepath.Base(key)] = fmt.Sprintf("%x", sha256.Sum256([]byte(words[1]+"\n")))[:40]
	}
	return all
}

// wantNoSecrets lists what of the image travels. A seed would not be seen later, as each
// start makes a new one of it.
func wantNoSecrets(ctx context.Context, t *testing.T, root string) {
	t.Helper()
	out, err := exec.CommandContext(ctx, "sh", "-c", `"$1" tar "$2" | tar -t`, "sh", binary, root).Output()
	if err != nil {
		t.Fatal(err)
	}
	list := string(out)
	if !strings.Contains(list, "etc/ssh/sshd_config") {
		t.Errorf("the image has no settings of sshd: %.200s", list)
	}
	secrets := regexp.MustCompile(`(?m)^(etc/ssh/ssh_host_.*|var/.*/random-seed|etc/udev/rules\.d/70-.*|etc/machine-id)$`)
	if travel := secrets.FindAllString(list, -1); len(travel) > 0 {
		t.Errorf("%q travel", travel)
	}
}

// factsIn reads what a copy says, and checks that nothing is missing that it should have.
func factsIn(t *testing.T, console, name, init string) map[string]string {
	t.Helper()
	all := map[string]string{}
	for _, m := range regexp.MustCompile(`fact: (\S+) (.*?)\r?\n`).FindAllStringSubmatch(console, -1) {
		all[m[1]] = strings.TrimSpace(m[2])
	}
	t.Logf("%s with %s: %q", name, init, all)
	if all["hostname"] != name {
		t.Errorf("%s is called %q", name, all["hostname"])
	}
	if udev := all["udev"]; strings.Contains(udev, "persistent-net") {
		t.Errorf("%s has rules for network cards: %q", name, udev)
	}
	delete(all, "udev")
	wanted := []string{"answer", "/etc/ssh/ssh_host_ed25519_key.pub", "/etc/ssh/ssh_host_rsa_key.pub", "/etc/ssh/ssh_host_ecdsa_key.pub", "seed", "filesystem"}
	if init == "systemd" {
		wanted = append(wanted, "machine-id")
		if all["dbus"] != all["machine-id"] {
			t.Errorf("the id of %s is %q, and %q for D-Bus", name, all["machine-id"], all["dbus"])
		}
	}
	delete(all, "dbus")
	for _, what := range wanted {
		if all[what] == "" {
			t.Errorf("%s has no %s", name, what)
		}
	}
	if all["machine-id"] == "" {
		delete(all, "machine-id") // nothing but systemd and D-Bus makes one
	}
	return all
}
