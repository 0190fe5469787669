package manifest

import (
	"encoding/json"
	"errors"
	"flag"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"cloudlets/images/jsontext"
)

var update = flag.Bool("update", false, "write the goldens anew")

func loadManifest(t *testing.T, name string) *Manifest {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("testdata/manifests", name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	m, err := Parse(name, text)
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parseManifest(t *testing.T, text string) *Manifest {
	t.Helper()
	m, err := Parse("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return m
}

func parseConfig(t *testing.T, text string) Config {
	t.Helper()
	c, err := ParseConfig("test", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func toJSON(t *testing.T, value any) string {
	t.Helper()
	text, err := json.Marshal(value)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

func TestManifestOf2010(t *testing.T) {
	m := loadManifest(t, "debian-5.0")
	if m.Name != "debian-5.0" || m.Arch != "i386" || m.Author != "A. N. Author <author@example.org>" {
		t.Errorf("name %q, arch %q, author %q", m.Name, m.Arch, m.Author)
	}
	if diff := cmp.Diff([]string{"/etc/hostname"}, m.Templates); diff != "" {
		t.Error(diff)
	}
	var kept map[string]any
	if err := json.Unmarshal(m.JSON(), &kept); err != nil || kept["license"] == nil {
		t.Errorf("unknown names are lost: %v, %v", kept, err)
	}
	c, err := m.Complete(Config{})
	if err != nil {
		t.Fatal(err)
	}
	want := `{"args":{"hostname":"debian-host"},"dns":{"nameservers":[]},"ip":{"interfaces":[]}}`
	if got := toJSON(t, c); got != want {
		t.Errorf("config %s, want %s", got, want)
	}
}

func TestSmallestManifest(t *testing.T) {
	m := parseManifest(t, `{}`)
	if c, err := m.Complete(parseConfig(t, `{"args": {"free": [1, 2.50, 12345678901234567890]}, "more": {"x": "<&>"}}`)); err != nil {
		t.Error(err)
	} else if got, want := toJSON(t, c.Args), `{"free":[1,2.50,12345678901234567890]}`; got != want {
		t.Errorf("args %s, want %s: no number may be rounded", got, want)
	}
	if m.IsVolatile("/tmp/x") || m.IsPersistent("/var") {
		t.Error("an empty manifest has volatile or persistent files")
	}
}

func TestVolatile(t *testing.T) {
	m := loadManifest(t, "debian-5.0")
	for path, want := range map[string]bool{
		"/tmp": false, "/tmp/x": true, "/tmp/x/y/z": true, "/tmp/\xff": true, "/srv/tmp/x": false,
		"/etc/mtab": true, "/etc/mtab.conf": false, "/etc/mtab/x": false,
		"/var/log/syslog": true, "/var/log/apt": false, "/var/log/apt/term.log": true, "/var/log/apticron": false, "/var/log": false,
		"/usr/lib/python2.6/os.pyc": true, "/usr/lib/python2.6/os.py": false,
	} {
		if got := m.IsVolatile(path); got != want {
			t.Errorf("volatile %q = %v, want %v", path, got, want)
		}
	}
}

func TestVolatilePatternsBeginAtTheStart(t *testing.T) {
	m := parseManifest(t, `{"volatile": ["/a|/b", "x"]}`)
	for path, want := range map[string]bool{"/a": true, "/b": true, "/c/b": false, "/x": false} {
		if got := m.IsVolatile(path); got != want {
			t.Errorf("volatile %q = %v, want %v", path, got, want)
		}
	}
}

func TestPersistent(t *testing.T) {
	m := parseManifest(t, `{"persistent": ["/var/log/", "srv"]}`)
	for path, want := range map[string]bool{
		"/var/log": true, "/var/log/x/y": true, "/var/logs": false, "/var": false, "/srv/x": true, "srv": true,
	} {
		if got := m.IsPersistent(path); got != want {
			t.Errorf("persistent %q = %v, want %v", path, got, want)
		}
	}
	if !parseManifest(t, `{"persistent": ["/"]}`).IsPersistent("/etc/x") {
		t.Error("/ does not hold /etc/x")
	}
}

func TestEntryPoints(t *testing.T) {
	m := loadManifest(t, "entrypoints")
	e, err := m.EntryPoint(KernelEntry, "")
	want := EntryPoint{Name: "linux", Type: KernelEntry, Kernel: "/boot/vmlinuz-*", Initrd: "/boot/initrd.img-*", Cmdline: "console=ttyS0 quiet", Default: true}
	if err != nil {
		t.Error(err)
	}
	if diff := cmp.Diff(want, e); diff != "" {
		t.Error(diff)
	}
	e, err = m.EntryPoint(InitEntry, "")
	if err != nil || e.Path != "/sbin/init" || len(e.Args) != 1 {
		t.Errorf("init entry point %+v, %v", e, err)
	}
	if e, err = m.EntryPoint(ChrootEntry, "shell"); err != nil || e.Path != "/bin/sh" {
		t.Errorf("chroot entry point %+v, %v", e, err)
	}
	if _, err = m.EntryPoint(KernelEntry, "linus"); err == nil || !strings.Contains(err.Error(), "linux, rescue") {
		t.Errorf("unknown entry point: %v, want the names there are", err)
	}
	if e := m.EntryPoints["rescue"]; e.Requires.Arch != "arm64" || e.Requires.Other["memory"] != json.Number("512") {
		t.Errorf("requirements %+v", e.Requires)
	}
}

func TestSeveralEntryPointsNeedADefault(t *testing.T) {
	m := parseManifest(t, `{"entrypoints": {"b": {"type": "kernel", "kernel": "/b"}, "a": {"type": "kernel", "kernel": "/a"}}}`)
	if _, err := m.EntryPoint(KernelEntry, ""); err == nil || !strings.Contains(err.Error(), "name one of a, b") {
		t.Errorf("error %v", err)
	}
}

// TestHostileManifests compares the whole error of each broken manifest with
// its golden, in which a person would look for what to mend.
func TestHostileManifests(t *testing.T) {
	files, err := filepath.Glob("testdata/hostile/*.json")
	if err != nil || len(files) == 0 {
		t.Fatal(files, err)
	}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".json")
		t.Run(name, func(t *testing.T) {
			text, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			m, err := Parse(name, text)
			if err == nil {
				t.Fatalf("is taken: %+v", m)
			}
			golden(t, strings.TrimSuffix(file, ".json")+".txt", err.Error()+"\n")
		})
	}
}

func golden(t *testing.T, file, got string) {
	t.Helper()
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Error(diff)
	}
}

func TestOversizedManifest(t *testing.T) {
	_, err := Parse("big", []byte(`{"x": "`+strings.Repeat("x", jsontext.MaxSize)+`"}`))
	if err == nil || !strings.Contains(err.Error(), "more than the 1048576 allowed") {
		t.Errorf("error %v", err)
	}
}

func TestProblemsAreBounded(t *testing.T) {
	_, err := Parse("many", []byte(`{"templates": [`+strings.Repeat("5,", 1000)+`5]}`))
	if n := strings.Count(err.Error(), "\n"); n != jsontext.MaxProblems {
		t.Errorf("%d lines of problems", n)
	}
}

func TestProblemsAreTyped(t *testing.T) {
	_, err := Parse("x", []byte("{\n \"arch\": 5}"))
	var p jsontext.Problem
	if !errors.As(err, &p) || p.Line != 2 || p.Column != 10 || p.Path != "/arch" {
		t.Errorf("problem %+v", p)
	}
}

func FuzzManifest(f *testing.F) {
	for _, text := range manifestTexts(f) {
		f.Add([]byte(text))
	}
	schema := compileSchema(f, Schema(), false)
	f.Fuzz(func(t *testing.T, text []byte) {
		if what := disagreement(schema, string(text)); what != "" {
			t.Fatalf("%q: %s", text, what)
		}
		m, err := Parse("fuzz", text)
		if err != nil {
			return
		}
		again, err := Parse("fuzz", m.JSON())
		if err != nil || toJSON(t, again.EntryPoints) != toJSON(t, m.EntryPoints) {
			t.Fatalf("parsed again: %v", err)
		}
		if c, err := m.Complete(Config{}); err == nil {
			if twice, err := m.Complete(c); err != nil || toJSON(t, twice) != toJSON(t, c) {
				t.Fatalf("a complete configuration changes when it is completed: %v\n%s\n%s", err, toJSON(t, c), toJSON(t, twice))
			}
		}
	})
}
