package live

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/uuid"

	"cloudlets/images/disk/iso"
	"cloudlets/images/disk/sparse"
)

var someID = uuid.MustParse("0f8fad5b-d9cb-469f-a165-70867728950e")

func TestParams(t *testing.T) {
	for line, want := range map[string]Params{
		"quiet cloudlets.live=" + someID.String():                                                    {someID, "/sbin/init"},
		"cloudlets.live=" + someID.String() + " init=/lib/systemd/systemd console=ttyS0\n":           {someID, "/lib/systemd/systemd"},
		"init=/bin/sh cloudlets.live=nonsense init=/sbin/init cloudlets.live=" + someID.String():     {someID, "/sbin/init"},
		"cloudlets.live=" + someID.String() + " init= notcloudlets.live=x":                           {someID, "/sbin/init"},
		"BOOT_IMAGE=/vmlinuz cloudlets.live=" + strings.ToUpper(someID.String()) + " init=/bin/bash": {someID, "/bin/bash"},
	} {
		got, err := ParseParams(line)
		if err != nil || got != want || !Asked(line) {
			t.Errorf("%s: got %+v, %v", line, got, err)
		}
	}
	for line, says := range map[string]string{
		"":                          "identifier of the medium",
		"cloudlets.live=":           "identifier of the medium",
		"cloudlets.live=12 init=/x": `cloudlets.live="12"`,
		"init=sh cloudlets.live=" + someID.String(): `init="sh"`,
	} {
		if _, err := ParseParams(line); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%s: got %v, want %q", line, err, says)
		}
	}
	for _, line := range []string{"", "cloudlets.token=1", "quiet -- cloudlets.live=1", "xcloudlets.live=1", "root=/dev/sda cloudlets.livex"} {
		if Asked(line) {
			t.Errorf("%q asks for a live system", line)
		}
	}
}

func FuzzParseParams(f *testing.F) {
	f.Add("cloudlets.live=" + someID.String() + " init=/sbin/init")
	f.Fuzz(func(t *testing.T, line string) {
		p, err := ParseParams(line)
		if err == nil && (!Asked(line) || !strings.HasPrefix(p.Init, "/")) {
			t.Errorf("%q: %+v", line, p)
		}
	})
}

// machine is one with disks as the kernel lists them.
type machine struct{ search }

func newMachine(t *testing.T) machine {
	dir := t.TempDir()
	m := machine{search{dir: filepath.Join(dir, "class"), dev: filepath.Join(dir, "dev"), id: someID}}
	if err := errors.Join(os.Mkdir(m.dir, 0o755), os.Mkdir(m.dev, 0o755)); err != nil {
		t.Fatal(err)
	}
	return m
}

// plug adds a disk, with the medium of an identifier or something else on it.
func (m machine) plug(t *testing.T, name string, id uuid.UUID) {
	t.Helper()
	f, err := os.Create(filepath.Join(m.dev, name))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if id != uuid.Nil {
		esp := iso.File{Name: "EFI.IMG", Write: func(context.Context, sparse.Writer) error { return nil }}
		image, err := iso.New([]iso.File{esp}, iso.Options{ID: id, Label: "X", ESP: esp.Name})
		if err != nil {
			t.Fatal(err)
		}
		out := sparse.File(f)
		if err := errors.Join(image.Write(t.Context(), out), out.Finish()); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(m.dir, name), 0o755); err != nil {
		t.Fatal(err)
	}
}

// TestSearch: the medium is found by its identifier alone, also when it
// appears late, with a driver that was loaded meanwhile.
func TestSearch(t *testing.T) {
	m := newMachine(t)
	m.plug(t, "sda", uuid.New())
	m.plug(t, "loop0", someID) // made of a file, by whomever
	m.plug(t, "sdb", uuid.Nil)
	looks := 0
	found, err := m.wait(t.Context(), func(context.Context) error {
		if looks++; looks == 3 {
			m.plug(t, "sr0", someID)
		}
		return nil
	})
	if err != nil || found != filepath.Join(m.dev, "sr0") || looks != 3 {
		t.Errorf("found %s after %d looks (%v)", found, looks, err)
	}
}

// TestNotFound: what is there instead is told.
func TestNotFound(t *testing.T) {
	m, other := newMachine(t), uuid.New()
	says := func(want ...string) {
		t.Helper()
		ctx, stop := context.WithCancel(t.Context())
		_, err := m.wait(ctx, func(context.Context) error { stop(); return nil })
		for _, w := range want {
			if err == nil || !strings.Contains(err.Error(), w) {
				t.Errorf("got %v, want %q", err, w)
			}
		}
	}
	says("the kernel shows no disk and no CD drive")
	m.plug(t, "sda", uuid.Nil)
	m.plug(t, "sr0", other)
	says(someID.String(), "sda (something else), sr0 (another medium, "+other.String()+")")
	_, err := m.wait(t.Context(), func(context.Context) error { return errors.New("no memory") })
	if err == nil || !strings.Contains(err.Error(), "load drivers: no memory") {
		t.Errorf("got %v", err)
	}
}
