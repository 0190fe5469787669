package site_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/site"
)

const (
	mac1 = "52:54:00:00:00:01"
	mac2 = "52:54:00:00:00:02"
)

// site is a folder with files, by their path in it.
func folder(t *testing.T, files map[string]string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range files {
		write(t, dir, name, text)
	}
	return dir
}

// write replaces a file in one step, as editors do.
func write(t *testing.T, dir, name, text string) {
	t.Helper()
	full := filepath.Join(dir, name)
	if err := os.MkdirAll(filepath.Dir(full), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(full+".new", []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(full+".new", full); err != nil {
		t.Fatal(err)
	}
}

func open(t *testing.T, dir string) *site.Site {
	t.Helper()
	s, err := site.Open(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func spec(t *testing.T, s *site.Site, mac provision.MAC) provision.Spec {
	t.Helper()
	got, ok := s.Spec(mac)
	if !ok {
		t.Fatalf("the site has no machine %s; problems: %v", mac, s.Problems())
	}
	return got
}

// problems are one to a line.
func problems(s *site.Site) string {
	var b strings.Builder
	for _, p := range s.Problems() {
		fmt.Fprintln(&b, p)
	}
	return b.String()
}

func TestExtends(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"images/debian/x":      "",
		"profiles/base.json":   `{"image": "debian", "filesystem": "xfs", "cmdline": "quiet", "disk": {"transport": "nvme", "minSize": "1GB"}, "config": {"args": {"a": 1, "list": [1, 2]}}}`,
		"profiles/rack.json":   `{"extends": "base", "filesystem": "btrfs", "config": {"args": {"b": 2, "list": [3]}}}`,
		"profiles/enters.json": `{"bootEntry": true, "filesystem": "ext4"}`,
		"machines/" + mac1 + ".json": `{"extends": ["rack", "enters"], "hostname": "one",
			"disk": {"minSize": "2GB"}, "cmdline": null, "config": {"args": {"a": null, "c": {"d": 4}}}}`,
	}))
	if p := problems(s); p != "" {
		t.Fatal(p)
	}
	got := spec(t, s, mac1)
	config, _ := json.Marshal(got.Config)
	if want := `{"args":{"b":2,"c":{"d":4},"list":[3]}}`; string(config) != want {
		t.Errorf("config %s, want %s", config, want)
	}
	if want := []string{"base", "rack", "enters"}; !slices.Equal(got.Profiles, want) {
		t.Errorf("it extends %q, want %q", got.Profiles, want)
	}
	if got.Image != "debian" || got.Filesystem != "ext4" || !got.BootEntry || got.Cmdline != "" ||
		got.Disk.Transport != "nvme" || got.Disk.MinSize != 2e9 {
		t.Errorf("got %+v", got)
	}
}

func TestMistakesInMachineFiles(t *testing.T) {
	file := "machines/" + mac1 + ".json"
	for name, c := range map[string]struct{ text, want string }{
		"unknown key":         {"{\n  \"imgae\": \"debian\"\n}", `:2:3: unknown key "imgae"; did you mean "image"?`},
		"syntax":              {"{\n\"image\": \n}", ":3:1: is not JSON: "},
		"nothing in the file": {"", ":1:1: is not JSON: "},
		"two values":          {"{} {}", ":1:4: is not JSON: "},
		"not an object":       {`["image"]`, ":1:1: want an object {…}, have an array"},
		"written twice":       {"{\"bootEntry\": true,\n\"bootEntry\": false}", ":2:1: /bootEntry: is written twice, first in line 1"},
		"not UTF-8":           {"{\"hostname\": \"\xff\"}", ": is not UTF-8 text"},
		"too deep":            {strings.Repeat("[", 100000), ":1:65: is nested deeper than"},
		"unknown profile":     {"{\n\"extends\": \"bass\"}", `:2:12: extends bass, but there is no profiles/bass.json; did you mean "base"?`},
		"profile outside":     {`{"extends": "../machines/x"}`, "there is no profiles/../machines/x.json"},
		"extends a number":    {`{"extends": [1]}`, ":1:14: want the name of a profile in quotes, have 1"},
	} {
		t.Run(name, func(t *testing.T) {
			s := open(t, folder(t, map[string]string{file: c.text, "profiles/base.json": "{}", "machines/" + mac2 + ".json": "{}"}))
			if got := problems(s); !strings.HasPrefix(got, file+":") || !strings.Contains(got, c.want) {
				t.Errorf("got  %swant %s%s", got, file, c.want)
			}
			if _, ok := s.Spec(mac1); ok {
				t.Error("the machine is there all the same")
			}
			spec(t, s, mac2)
		})
	}
}

func TestMistakesInProfiles(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  string
	}{
		"a cycle": {map[string]string{"a": `{"extends": "b"}`, "b": `{"extends": ["c"]}`, "c": `{"extends": "a"}`},
			"profiles/c.json:1:13: extends itself: a → b → c → a; take one of them out"},
		"itself":                         {map[string]string{"a": `{"extends": "a"}`}, "profiles/a.json:1:13: extends itself: a → a"},
		"a chain to nowhere":             {map[string]string{"a": `{"extends": "b"}`, "b": `{"extends": "nowhere"}`}, "profiles/b.json:1:13: extends a → b → nowhere, but there is no profiles/nowhere.json"},
		"its configuration":              {map[string]string{"a": "{\"config\":\n {\"ip\": {\"interfaces\": 5}}}"}, "profiles/a.json:2:24: /config/ip/interfaces: is a number where an array is needed"},
		"an unknown key":                 {map[string]string{"a": "{\n\"htps\": true}"}, `profiles/a.json:2:1: unknown key "htps"; did you mean "https"?`},
		"broken syntax, and who it hits": {map[string]string{"a": "{"}, `machines/` + mac1 + `.json:1:13: extends "a", which has a mistake: profiles/a.json:1:2: is not JSON`},
		"also when nobody extends it":    {map[string]string{"a": "{}", "unused": `{"x": 1}`}, `profiles/unused.json:1:2: unknown key "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			files := map[string]string{"machines/" + mac1 + ".json": `{"extends": "a"}`, "machines/" + mac2 + ".json": `{"extends": "a"}`}
			for profile, text := range c.files {
				files["profiles/"+profile+".json"] = text
			}
			got := problems(open(t, folder(t, files)))
			if strings.Count(got, c.want) != 1 {
				t.Errorf("got\n%swant once %s", got, c.want)
			}
		})
	}
}

func TestProfilesByManyWaysAreReadOnce(t *testing.T) {
	files := map[string]string{"profiles/p40.json": `{"bootEntry": true}`, "machines/" + mac1 + ".json": `{"extends": "p0"}`}
	for i := range 40 { // 2⁴⁰ ways
		files[fmt.Sprintf("profiles/p%d.json", i)] = fmt.Sprintf(`{"extends": ["p%d", "p%d"]}`, i+1, i+1)
	}
	if got := spec(t, open(t, folder(t, files)), mac1); !got.BootEntry {
		t.Errorf("got %+v", got)
	}
}

func TestFileNames(t *testing.T) {
	dir := folder(t, map[string]string{
		"machines/server.json": "{}", "machines/.hidden.json": "{", "machines/notes.txt": "x",
		"machines/525400000001.json": "{}", "machines/52:54:00:00:00:01.json": "{}",
	})
	if err := os.Mkdir(filepath.Join(dir, "machines", mac2+".json"), 0o755); err != nil {
		t.Fatal(err)
	}
	s := open(t, dir)
	want := "machines/52:54:00:00:00:01.json: describes the machine 52:54:00:00:00:01, as machines/525400000001.json does; remove one of the files\n" +
		"machines/52:54:00:00:00:02.json: cannot be read: it is not a regular file\n" +
		"machines/server.json: the file's name is not a MAC address; want one such as 52:54:00:12:34:56.json, or in the file \"machines\", which makes it a group\n"
	if got := problems(s); got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	if len(s.Specs()) != 1 {
		t.Errorf("got %v", s.Specs())
	}
}

func TestTwoMachinesWantTheSame(t *testing.T) {
	dir := folder(t, map[string]string{
		"machines/" + mac1 + ".json": "{\"address\": \"10.0.0.5\",\n\"hostname\": \"One\"}",
		"machines/" + mac2 + ".json": "{\"address\": \"10.0.0.5\",\n\"hostname\": \"one\"}",
	})
	s := open(t, dir)
	got := problems(s)
	for _, want := range []string{
		"machines/" + mac2 + ".json:1:13: address 10.0.0.5 is that of " + mac1 + " already",
		"machines/" + mac2 + ".json:2:13: hostname one is that of " + mac1 + " already",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("got\n%swant %s", got, want)
		}
	}
	if _, ok := s.Spec(mac2); ok {
		t.Error("both machines are there")
	}

	// The one that has it keeps it, whatever the order of the files.
	write(t, dir, "machines/"+mac2+".json", `{"address": "10.0.0.6"}`)
	s.Reload()
	write(t, dir, "machines/"+mac1+".json", `{"address": "10.0.0.6"}`)
	s.Reload()
	if a := spec(t, s, mac1).Address.String(); a != "10.0.0.5" {
		t.Errorf("the last good address does not stand: %s", a)
	}
	if got := problems(s); !strings.HasPrefix(got, "machines/"+mac1) {
		t.Errorf("got %s", got)
	}

	// Swapping is allowed.
	write(t, dir, "machines/"+mac2+".json", `{"address": "10.0.0.5"}`)
	s.Reload()
	if a, b := spec(t, s, mac1).Address, spec(t, s, mac2).Address; a.String() != "10.0.0.6" || b.String() != "10.0.0.5" || problems(s) != "" {
		t.Errorf("got %s and %s; %s", a, b, problems(s))
	}
}

func TestABrokenFileTakesNothingAway(t *testing.T) {
	dir := folder(t, map[string]string{
		"images/debian/x":            "",
		"cloudlets.json":             `{"interface": "eth1"}`,
		"profiles/base.json":         `{"image": "debian"}`,
		"machines/" + mac1 + ".json": `{"extends": "base", "hostname": "one"}`,
	})
	var log bytes.Buffer
	s, err := site.Open(dir, slog.New(slog.NewTextHandler(&log, nil)))
	if err != nil {
		t.Fatal(err)
	}
	good := spec(t, s, mac1)
	for _, broken := range []struct{ file, text, mended string }{
		{"machines/" + mac1 + ".json", "{", `{"extends": "base", "hostname": "one"}`},
		{"profiles/base.json", `{"image": 5}`, `{"image": "debian"}`},
		{"cloudlets.json", `{"interfaces": "eth2"}`, `{"interface": "eth1"}`},
	} {
		log.Reset()
		write(t, dir, broken.file, broken.text)
		for range 3 {
			s.Reload()
		}
		if got := spec(t, s, mac1); got.Image != good.Image || got.Hostname != good.Hostname || s.Settings().Interface != "eth1" {
			t.Errorf("%s: the last good does not stand: %+v, %+v", broken.file, got, s.Settings())
		}
		if got := problems(s); strings.Count(got, broken.file+":1:") != 1 {
			t.Errorf("%s: problems are\n%s", broken.file, got)
		}
		if n := strings.Count(log.String(), "level=WARN"); n != 1 || !strings.Contains(log.String(), "file="+broken.file+" line=1") {
			t.Errorf("%s: logged %d times:\n%s", broken.file, n, &log)
		}
		write(t, dir, broken.file, broken.mended)
		s.Reload()
		if got := problems(s); got != "" {
			t.Errorf("%s: mended, and yet %s", broken.file, got)
		}
	}
	if err := os.Remove(filepath.Join(dir, "machines", mac1+".json")); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if _, ok := s.Spec(mac1); ok {
		t.Error("the file was deleted, the machine was not")
	}
}

// TestKernelOfNoImage: an image whose kernel a machine boots has to be there.
func TestKernelOfNoImage(t *testing.T) {
	s := open(t, folder(t, map[string]string{"images/memtest/mt": "", "machines/" + mac1 + ".json": `{"boot": {"kernel": "memtes"}}`}))
	if got := problems(s); !strings.Contains(got, `did you mean "memtest"`) {
		t.Errorf("the problems are %q", got)
	}
}

func TestImages(t *testing.T) {
	dir := folder(t, map[string]string{
		"images/debian/etc/x": "", "images/tools.tar.zst": "", "images/old.tgz": "", "images/both/x": "",
		"images/both.tar": "", "images/.partial.tar": "", "images/README": "",
		"machines/" + mac1 + ".json": `{"image": "debain"}`, "machines/" + mac2 + ".json": `{"image": "tools"}`,
	})
	s := open(t, dir)
	if got, want := strings.Join(s.Images(), " "), "both debian old tools"; got != want {
		t.Errorf("got %q, want %q", got, want)
	}
	if p, ok := s.ImagePath("tools"); !ok || p != filepath.Join(dir, "images/tools.tar.zst") {
		t.Errorf("got %q, %t", p, ok)
	}
	if p, ok := s.ImagePath("debian@feature/web"); !ok || p != filepath.Join(dir, "images/debian@feature/web") {
		t.Errorf("a revision is at %q, %t", p, ok)
	}
	if _, ok := s.ImagePath("fedora@v1"); ok {
		t.Error("a revision of what is not there was given")
	}
	if _, ok := s.ImagePath("../machines"); ok {
		t.Error("a path out of images/ was given")
	}
	for _, want := range []string{`images/both.tar: has the name "both", as images/both has`,
		"machines/" + mac1 + `.json: image "debain" is not in images/: put a directory or tarball of that name there; did you mean "debian"?`} {
		if got := problems(s); !strings.Contains(got, want) {
			t.Errorf("got\n%swant %s", got, want)
		}
	}
	spec(t, s, mac1) // the image may come later
}

func TestEmptyAbsentAndWrongSites(t *testing.T) {
	for _, dir := range []string{t.TempDir(), filepath.Join(t.TempDir(), "not", "there")} {
		s := open(t, dir)
		if len(s.Specs()) != 0 || problems(s) != "" || len(s.Images()) != 0 {
			t.Errorf("%s: %v %s", dir, s.Specs(), problems(s))
		}
	}
	file := filepath.Join(folder(t, map[string]string{"f": ""}), "f")
	if _, err := site.Open(file, nil); err == nil {
		t.Error("a file was opened as a site")
	}
}

// watch runs a site's watcher and waits until it tells of a change that holds.
func watch(t *testing.T, s *site.Site) (until func(what string, holds func() bool)) {
	// Less than the minute after which a site is read anyway.
	ctx, cancel := context.WithTimeout(t.Context(), 50*time.Second)
	changes := s.Changes(ctx)
	ended := make(chan error, 1)
	go func() { ended <- s.Watch(ctx) }()
	t.Cleanup(func() {
		cancel()
		if err := <-ended; err != nil {
			t.Error(err)
		}
	})
	return func(what string, holds func() bool) {
		t.Helper()
		for !holds() {
			if _, open := <-changes; !open {
				t.Fatalf("%s was not seen", what)
			}
		}
	}
}

func TestWatch(t *testing.T) {
	// The folder itself appears only after the watcher has begun.
	dir := filepath.Join(t.TempDir(), "later", "site")
	s := open(t, dir)
	until := watch(t, s)
	has := func(image string) func() bool {
		return func() bool { got, ok := s.Spec(mac1); return ok && got.Image == image }
	}
	file := "machines/" + mac1 + ".json"

	write(t, dir, file, `{"image": "a"}`)
	until("a machine in a new folder", has("a"))
	write(t, dir, file, `{"image": "b"}`)
	until("a changed machine", has("b"))
	write(t, dir, file, `{"image": `)
	until("a broken file", func() bool { return strings.Contains(problems(s), file+":1:") })
	if !has("b")() {
		t.Error("the last good does not stand")
	}
	write(t, dir, "profiles/p.json", `{"image": "c"}`)
	write(t, dir, file, `{"extends": "p"}`)
	until("a new profile", has("c"))
	write(t, dir, "profiles/p.json", `{"image": "d"}`)
	until("a changed profile", has("d"))
	write(t, dir, "images/d/etc/x", "")
	until("a new image", func() bool { _, ok := s.ImagePath("d"); return ok && problems(s) == "" })
	write(t, dir, "cloudlets.json", `{"http": ":8080"}`)
	until("settings", func() bool { return s.Settings().HTTP == ":8080" })
	if err := os.RemoveAll(filepath.Join(dir, "machines")); err != nil {
		t.Fatal(err)
	}
	until("deleted machines", func() bool { return len(s.Specs()) == 0 })
	write(t, dir, file, `{"image": "d"}`)
	until("the folder again", has("d"))
}

func TestChangesEndWithTheirContext(t *testing.T) {
	s := open(t, t.TempDir())
	ctx, cancel := context.WithCancel(t.Context())
	c := s.Changes(ctx)
	cancel()
	if _, open := <-c; open {
		t.Error("told of a change that was none")
	}
}
