package site_test

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/provision"
	"cloudlets/provision/site"
)

// longAgo gives the files of a folder a time at which they do not change any
// more. The time of their last change stays that of the test.
func longAgo(t *testing.T, dir string) {
	t.Helper()
	then := time.Now().Add(-time.Hour)
	err := filepath.Walk(dir, func(name string, _ os.FileInfo, err error) error {
		if err != nil {
			return err
		}
		return os.Chtimes(name, then, then)
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestAChangeIsSeen: whatever a file's times and size say, what it says now
// stands, also if it is changed several times within a moment.
func TestAChangeIsSeen(t *testing.T) {
	dir := folder(t, map[string]string{
		"machines/" + mac1 + ".json": `{"hostname": "node-00"}`,
		"machines/" + mac2 + ".json": `{"extends": "p"}`,
		"profiles/p.json":            `{"cmdline": "n=00"}`,
	})
	s := open(t, dir)
	for i := range 20 {
		write(t, dir, "machines/"+mac1+".json", fmt.Sprintf(`{"hostname": "node-%02d"}`, i))
		write(t, dir, "profiles/p.json", fmt.Sprintf(`{"cmdline": "n=%02d"}`, i))
		if i%2 == 1 {
			longAgo(t, dir)
		}
		s.Reload()
		if got := spec(t, s, mac1).Hostname; got != fmt.Sprintf("node-%02d", i) {
			t.Errorf("change %d: the machine is called %s", i, got)
		}
		if got := spec(t, s, mac2).Cmdline; got != fmt.Sprintf("n=%02d", i) {
			t.Errorf("change %d of the profile: the machine has %s", i, got)
		}
	}
	if err := os.Remove(filepath.Join(dir, "machines", mac1+".json")); err != nil {
		t.Fatal(err)
	}
	s.Reload()
	if _, ok := s.Spec(mac1); ok {
		t.Error("a machine stays whose file is gone")
	}
}

// TestProblemsStayWhileNothingChanges: what is wrong with a file is told at
// every reading.
func TestProblemsStayWhileNothingChanges(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"machines/" + mac1 + ".json": `{"hostname": "a b"}`,
		"machines/" + mac2 + ".json": `{"extends": "absent"}`,
	}))
	before := problems(s)
	if s.Reload() || problems(s) != before || len(s.Problems()) != 2 {
		t.Errorf("at first\n%s\nthen\n%s", before, problems(s))
	}
}

func TestLookUps(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"machines/" + mac1 + ".json": `{"hostname": "Web.example.org", "address": "10.0.0.1", "image": "web", "quirks": {"bootFile": "Special.efi"}}`,
		"machines/" + mac2 + ".json": `{"hostname": "web.example.net", "image": "web", "entrypoint": "serial"}`,
	}))
	if mac, ok := s.ByAddress(spec(t, s, mac1).Address); !ok || mac != mac1 {
		t.Errorf("10.0.0.1 is that of %q", mac)
	}
	if got := fmt.Sprint(s.ByName("WEB.example.org"), s.ByName("web"), s.ByName("example"), s.ByName("")); got != fmt.Sprintf("[%s] [%s %s] [] []", mac1, mac1, mac2) {
		t.Errorf("by name: %s", got)
	}
	if got := fmt.Sprint(s.ByImage("web"), s.ByImage("other")); got != fmt.Sprintf("[%s %s] []", mac1, mac2) {
		t.Errorf("by image: %s", got)
	}
	if uses := s.ImageUses(); len(uses) != 2 || uses[site.ImageUse{Image: "web", EntryPoint: "serial"}] != 1 {
		t.Errorf("uses %v", uses)
	}
	if !s.IsBootFile("special.EFI") || s.IsBootFile("other.efi") {
		t.Error("the boot file of a machine's own is not found, or any is")
	}
}

// TestAWholeHostnameComesFirst: "web" is a machine's whole name, and the first
// label of another's.
func TestAWholeHostnameComesFirst(t *testing.T) {
	s := open(t, folder(t, map[string]string{
		"machines/" + mac1 + ".json": `{"hostname": "web.example.org"}`,
		"machines/" + mac2 + ".json": `{"hostname": "web"}`,
	}))
	if got := s.ByName("web"); len(got) != 1 || got[0] != mac2 {
		t.Errorf("web is %v", got)
	}
}

// BenchmarkReload measures how long a reading of the site takes: the first one,
// and one after a single file or the profile of all has changed. Each machine has a file.
func BenchmarkReload(b *testing.B) {
	for _, n := range []int{10, 1_000, 10_000} {
		f := newReloads(b)
		f.put("machines/02-00-00-ff-ff-ff.json", `{"hostname": "dashes"}`)
		machine := func(i, version int) {
			mac := provision.MAC(fmt.Sprintf("02:00:00:%02x:%02x:%02x", i>>16, i>>8&255, i&255))
			f.put(mac.File(), fmt.Sprintf(`{
	// rack %d
	"extends": "web", "hostname": "node-%d", "address": "10.%d.%d.%d",
	"config": {"args": {"role": "web", "weight": %d, "version": %d}},
}`, i/40, i, i>>16, i>>8&255, i&255, i, version))
		}
		for i := range n {
			machine(i, 0)
		}
		s := f.measure(n, n+1, func(version int) { machine(n/2, version) })
		b.Run(fmt.Sprintf("place/machines=%d", n), func(b *testing.B) {
			for b.Loop() {
				place := s.Locate("02:00:00:ff:ff:ff")("hostname").Problem("here").Error()
				if !strings.Contains(place, "02-00-00-ff-ff-ff.json:1:") {
					b.Fatalf("found %s", place)
				}
			}
		})
	}
}

// BenchmarkReloadGroups measures the same machines in groups of 40.
func BenchmarkReloadGroups(b *testing.B) {
	for _, n := range []int{1_000, 10_000} {
		f := newReloads(b)
		rack := func(r, version int) {
			var list strings.Builder
			for i := r * 40; i < r*40+40; i++ {
				fmt.Fprintf(&list, "\t\t\"%d\": \"02:00:00:%02x:%02x:%02x\",\n", i%40+1, i>>16, i>>8&255, i&255)
			}
			f.put(fmt.Sprintf("machines/rack%d.json", r), fmt.Sprintf(`{
	// rack %d
	"extends": "web", "hostname": "node-%d-{n:02}", "address": "10.%d.%d.{n+10}",
	"config": {"args": {"role": "web", "weight": %d, "version": %d}},
	"machines": {
%s	},
}`, r, r, r>>8, r&255, r, version, list.String()))
		}
		for r := range n / 40 {
			rack(r, 0)
		}
		f.measure(n, n, func(version int) { rack(n/80, version) })
	}
}

// reloads measures readings of a site in a folder.
type reloads struct {
	*testing.B
	dir string
}

func newReloads(b *testing.B) reloads {
	f := reloads{b, b.TempDir()}
	f.put("images/web/.cloudlet/manifest", "{}")
	f.put("profiles/web.json", `{"image": "web", "disk": {"minSize": "8GB"}, "handover": "switch"}`)
	return f
}

func (f reloads) put(name, text string) {
	full := filepath.Join(f.dir, name)
	if err := errors.Join(os.MkdirAll(filepath.Dir(full), 0o755), os.WriteFile(full, []byte(text), 0o644)); err != nil {
		f.Fatal(err)
	}
}

// measure measures the readings of a site that has so many machines. change changes a
// file of some.
func (f reloads) measure(n, machines int, change func(version int)) *site.Site {
	settled := time.Now().Add(3 * time.Second)
	f.Run(fmt.Sprintf("first/machines=%d", n), func(b *testing.B) {
		for b.Loop() {
			if got := len(openSite(b, f.dir).Specs()); got != machines {
				b.Fatalf("%d machines", got)
			}
		}
	})
	s := openSite(f.B, f.dir)
	for time.Now().Before(settled) { // so that the files' times are trusted
		time.Sleep(time.Until(settled))
	}
	s.Reload()
	reload := func(what string, change func(version int)) {
		f.Run(fmt.Sprintf("%s/machines=%d", what, n), func(b *testing.B) {
			for i := 1; b.Loop(); i++ {
				change(i)
				if !s.Reload() {
					b.Fatal("the change is not seen")
				}
			}
		})
	}
	reload("one", change)
	reload("profile", func(version int) {
		f.put("profiles/web.json", fmt.Sprintf(`{"image": "web", "cmdline": "version=%d"}`, version))
	})
	return s
}

func openSite(b *testing.B, dir string) *site.Site {
	b.Helper()
	s, err := site.Open(dir, nil)
	if err != nil {
		b.Fatal(err)
	}
	if len(s.Problems()) > 0 {
		b.Fatal(s.Problems())
	}
	return s
}
