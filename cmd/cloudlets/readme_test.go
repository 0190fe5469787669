package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/provision/site"
)

// TestREADMEMachineFile reads the README's example as a site would.
func TestREADMEMachineFile(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```jsonc\n")
	example, _, found := strings.Cut(rest, "```")
	if !found {
		t.Fatal("the README has no example of a machine file")
	}
	_, rest, _ = strings.Cut(string(readme), "```json\n")
	networks, _, found := strings.Cut(rest, "```")
	if !found || !strings.Contains(networks, `"networks"`) {
		t.Fatal("the README has no example of networks")
	}
	dir := t.TempDir()
	for name, text := range map[string]string{
		"cloudlets.json":                  networks,
		"machines/52-54-00-12-34-56.json": example, "profiles/web.json": "{}", "images/debian-12/.cloudlet/manifest": "{}",
	} {
		file := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(file), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	site, err := site.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range site.Problems() {
		t.Errorf("the README's example: %v", p)
	}
	if got := len(site.Settings().Networks); got != 4 {
		t.Errorf("the README's networks are %d", got)
	}
	spec, ok := site.Spec("52:54:00:12:34:56")
	if !ok || spec.Hostname != "node1" || !spec.InstallOnce || spec.Disk.Serial == "" {
		t.Errorf("the README's example reads as %+v", spec)
	}
}

// TestREADMECommands runs the README's four commands as they stand.
func TestREADMECommands(t *testing.T) {
	readme, err := os.ReadFile(filepath.Join("..", "..", "README.md"))
	if err != nil {
		t.Fatal(err)
	}
	_, rest, _ := strings.Cut(string(readme), "```sh\n")
	commands, _, found := strings.Cut(rest, "```")
	if lines := strings.Count(commands, "\n"); !found || lines != 4 {
		t.Fatalf("the README has %d commands where four are tested", lines)
	}
	script := `needs tar tar
needs gzip gzip
needs zstd zstd
needs qemu-img qemu-utils
kernel root/boot/vmlinuz-6.1.0-9-amd64
exec tar -C root -czf root.tar.gz .
exec sh -ex commands.sh
exec tar -xOf web1.tar.zst etc/hostname
stdout '^web1$'
exec qemu-img check web1.qcow2
-- root/etc/hostname --
localhost
-- commands.sh --
` + commands
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "readme.txtar"), []byte(script), 0o600); err != nil {
		t.Fatal(err)
	}
	runScripts(t, dir)
}
