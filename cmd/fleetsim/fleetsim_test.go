//go:build linux

package main

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"cloudlets/testdata/etcd"
	"cloudlets/testdata/needs"
)

func TestParseMix(t *testing.T) {
	m, err := parseMix("bios=1,uefi=2,http=0")
	if err != nil {
		t.Fatal(err)
	}
	counts := map[firmware]int{}
	for n := range 300 {
		counts[m.of(n)]++
	}
	if counts[bios] != 100 || counts[uefi] != 200 {
		t.Errorf("of 300 machines %v", counts)
	}
	for _, bad := range []string{"", "bios", "bios=x", "bios=-1", "vax=1", "bios=0"} {
		if _, err := parseMix(bad); err == nil {
			t.Errorf("%q is a mix", bad)
		}
	}
}

func TestPercentile(t *testing.T) {
	var times []time.Duration
	for n := range 100 {
		times = append(times, time.Duration(n))
	}
	for p, want := range map[float64]time.Duration{0: 0, 50: 50, 99: 99, 100: 99} {
		if got := percentile(times, p); got != want {
			t.Errorf("percentile %v is %d, want %d", p, got, want)
		}
	}
	if percentile(nil, 50) != 0 {
		t.Error("a percentile of nothing")
	}
}

func TestParseScript(t *testing.T) {
	for text, want := range map[string]bootScript{
		"#!ipxe\necho installing\n:kernel\nkernel http://a/k initrd=ramdisk quiet cloudlets.token=1 && goto have_kernel ||\ninitrd --name ramdisk http://a/r && goto have_ramdisk ||\nboot ||\n": {
			kernel: "http://a/k", words: "initrd=ramdisk quiet cloudlets.token=1", ramdisk: "http://a/r", says: "installing"},
		"#!ipxe\necho wait\nsleep 3\nchain --replace http://a/s || exit 1\n": {again: "http://a/s", says: "wait"},
		"#!ipxe\necho local\nsanboot --no-describe --drive 0x80 || exit 1\n": {says: "local"},
	} {
		if got, err := parseScript(text); err != nil || got != want {
			t.Errorf("%q is %+v, %v", text, got, err)
		}
	}
	if _, err := parseScript("<html>"); err == nil {
		t.Error("HTML is a script")
	}
}

func TestCheckStrangers(t *testing.T) {
	one, two := stranger{"52:54:00:00:00:01", "node1", "10.65.0.1", 1}, stranger{"52:54:00:00:00:02", "node2", "10.65.0.2", 1}
	if err := checkStrangers([]stranger{one, two}, 2); err != nil {
		t.Error(err)
	}
	for what, change := range map[string]func(*stranger){
		"a name twice":     func(s *stranger) { s.Name = "node1" },
		"an address twice": func(s *stranger) { s.Address = one.Address },
		"no address":       func(s *stranger) { s.Address = "" },
		"another's name":   func(s *stranger) { s.Name = "node01" },
		"not installed":    func(s *stranger) { s.Installs = 0 },
		"installed twice":  func(s *stranger) { s.Installs = 2 },
	} {
		wrong := two
		change(&wrong)
		if checkStrangers([]stranger{one, wrong}, 2) == nil {
			t.Errorf("%s is all right", what)
		}
	}
	if checkStrangers([]stranger{one}, 2) == nil {
		t.Error("one too few is all right")
	}
}

// built is where the programs are, once one of the tests has had them made. daemon is the
// file of cloudlets: the one that CLOUDLETS_TEST_PROGRAM names, which make has just built,
// or one that is built, too. The former carries the smaller program for machines, which
// makes RAM disks a third as large.
var built, daemon string

func TestMain(m *testing.M) {
	os.Exit(func() int {
		var err error
		if built, err = os.MkdirTemp("", "fleetsim-test-"); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		defer os.RemoveAll(built)
		return m.Run()
	}())
}

// made builds the simulator and the daemon, once for all tests.
var made = sync.OnceValue(func() error {
	packages := []string{"./cmd/fleetsim"}
	if daemon = os.Getenv("CLOUDLETS_TEST_PROGRAM"); daemon == "" {
		daemon = filepath.Join(built, "cloudlets")
		packages = append(packages, "./cmd/cloudlets")
	}
	cmd := exec.Command("go", append([]string{"build", "-o", built + "/"}, packages...)...)
	cmd.Dir = "../.."
	cmd.Env = append(cmd.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("go build: %w\n%s", err, out)
	}
	return nil
})

// simulate runs the simulator, and reads its result. It returns what both said, for messages.
func simulate(t *testing.T, result any, args ...string) (said string, err error) {
	t.Helper()
	needs.Root(t)
	needs.Tool(t, "ip", "iproute2")
	needs.File(t, "/usr/lib/ipxe/snponly.efi", "ipxe")
	if err := made(); err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithTimeout(t.Context(), 5*time.Minute)
	defer stop()
	cmd := exec.CommandContext(ctx, filepath.Join(built, "fleetsim"), append(args, "--json", "--cloudlets", daemon)...)
	var words strings.Builder
	cmd.Stderr = &words
	out, err := cmd.Output()
	if err := json.Unmarshal(out, result); err != nil {
		t.Errorf("%v: %s", err, out)
	}
	return fmt.Sprintf("%s\n%s", &words, out), err
}

// TestFleets: machines of all firmwares are installed by one server that is killed,
// and by three of which two are killed, although packets are lost. Then they boot
// from their disks. With the one server, as many more are strangers, whom a rule approves.
func TestFleets(t *testing.T) {
	t.Parallel()
	member := etcd.Program(t)
	for name, fleet := range map[string]struct {
		strangers int
		more      []string
	}{
		"one server":    {24, []string{"--strangers", "24", "--kill", "1", "--loss", "0.5"}},
		"three servers": {0, []string{"--servers", "3", "--etcd", member, "--kill", "2", "--kill-etcd"}},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			var result struct {
				Installed int
				Failed    int
				Strangers []stranger
				Counts    map[string]int
			}
			said, err := simulate(t, &result, append([]string{"--machines", "24", "--over", "4s", "--again"}, fleet.more...)...)
			if err != nil || result.Installed != 24+fleet.strangers || result.Failed != 0 || result.Counts["killed: a daemon"] == 0 {
				t.Errorf("%v\n%s", err, said)
			}
			if err := checkStrangers(result.Strangers, fleet.strangers); err != nil {
				t.Error(err)
			}
		})
	}
}
