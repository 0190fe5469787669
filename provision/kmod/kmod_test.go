package kmod

import (
	"errors"
	"io/fs"
	"log/slog"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"cloudlets/images/boot"
)

func indexOf(deps, aliases, soft string) *index {
	x := newIndex()
	for line := range strings.Lines(deps) {
		x.addDep(line)
	}
	for line := range strings.Lines(aliases) {
		x.addAlias(line)
	}
	for line := range strings.Lines(soft) {
		x.addSoft(line)
	}
	return x
}

const (
	someDeps = `kernel/drivers/virtio/virtio.ko:
kernel/drivers/virtio/virtio_ring.ko: kernel/drivers/virtio/virtio.ko
kernel/drivers/net/virtio_net.ko: kernel/net/core/failover.ko kernel/drivers/virtio/virtio_ring.ko kernel/drivers/virtio/virtio.ko
kernel/net/core/failover.ko:
kernel/fs/btrfs/btrfs.ko: kernel/lib/raid6.ko
kernel/lib/raid6.ko:
kernel/crypto/xxhash-generic.ko:
kernel/drivers/net/e1000e.ko:
kernel/drivers/mmc/host/sdhci-acpi.ko:
kernel/drivers/block/a.ko: kernel/drivers/block/b.ko
kernel/drivers/block/b.ko: kernel/drivers/block/a.ko
`
	someAliases = `# Aliases extracted from modules themselves.
alias virtio:d00000001v* virtio_net
alias pci:v00008086d000010D3sv*sd*bc*sc*i* e1000e
alias acpi*:80860F14:* sdhci_acpi
alias platform:sdhci-acpi sdhci_acpi
alias dmi*:svnMaker*:pn* e1000e
alias usb:v0[0-9]p*d* a
alias fs-btrfs btrfs
alias virtio:d00000002v* virtio_blk
malformed
`
	someSoft = "softdep btrfs pre: crc32c xxhash_generic post: e1000e\n"
)

func TestModulesAreMatchedToDevices(t *testing.T) {
	x := indexOf(someDeps, someAliases, someSoft)
	for device, want := range map[string]string{
		"virtio:d00000001v00001AF4":                             "virtio_net",
		"virtio:d00000002v00001AF4":                             "", // its driver is built in
		"pci:v00008086d000010D3sv00008086sd0000A01Fbc02sc00i00": "e1000e",
		"pci:v00008086d000010D4sv00008086sd0000A01Fbc02sc00i00": "",
		"acpi:80860F14:INT33BB:":                                "sdhci-acpi",
		"platform:sdhci_acpi":                                   "sdhci-acpi",
		"dmi:bvnX:svnMaker/Co:pnBox/2:":                         "e1000e",
		"usb:v07p1d2":                                           "a",
		"":                                                      "",
		"pci":                                                   "",
		"of:NserialT(null)Cfoo[":                                "",
		strings.Repeat("x", 5000) + ":" + strings.Repeat("[", 100000): "",
	} {
		got := ""
		for _, module := range x.match(map[string]bool{device: true}) {
			got += strings.TrimSuffix(filepath.Base(module), ".ko")
		}
		if got != want {
			t.Errorf("%.60q is driven by %q, want %q", device, got, want)
		}
	}
}

func TestModulesAreLoadedAfterWhatTheyNeed(t *testing.T) {
	x := indexOf(someDeps, someAliases, someSoft)
	for module, want := range map[string]string{
		"kernel/drivers/net/virtio_net.ko": "virtio virtio_ring failover virtio_net",
		"kernel/fs/btrfs/btrfs.ko":         "xxhash_generic raid6 btrfs", // crc32c is built in, e1000e is wanted after
		"kernel/drivers/block/a.ko":        "b a",                        // a circle ends
	} {
		var names []string
		for _, file := range x.order(module, map[string]bool{}) {
			names = append(names, boot.ModuleName(file))
		}
		if got := strings.Join(names, " "); got != want {
			t.Errorf("%s: the order is %s, want %s", module, got, want)
		}
	}
	// What is wanted before may be an alias, of several modules.
	crc := indexOf("lib/libcrc32c.ko:\nx/crc32c-intel.ko:\ncrypto/crc32c_generic.ko:\n",
		"alias crc32c crc32c_intel\nalias crc32c crc32c_generic\nalias crc32c absent\n", "softdep libcrc32c pre: crc32c\n")
	if got := crc.order("lib/libcrc32c.ko", map[string]bool{}); !slices.Equal(got, []string{"x/crc32c-intel.ko", "crypto/crc32c_generic.ko", "lib/libcrc32c.ko"}) {
		t.Errorf("the order of an alias is %s", got)
	}
	done := map[string]bool{}
	x.order("kernel/drivers/net/virtio_net.ko", done)
	if again := x.order("kernel/drivers/virtio/virtio_ring.ko", done); again != nil {
		t.Errorf("loaded again: %s", again)
	}
}

func FuzzModuleIndex(f *testing.F) {
	f.Add(someDeps, someAliases, someSoft, "virtio:d00000001v00001AF4")
	f.Fuzz(func(t *testing.T, deps, aliases, soft, device string) {
		x, done := indexOf(deps, aliases, soft), map[string]bool{}
		count := 0
		for _, module := range x.match(map[string]bool{device: true}) {
			count += len(x.order(module, done))
		}
		if count != len(done) {
			t.Errorf("%d modules in the order, and %d are done", count, len(done))
		}
	})
}

// fakeModules is a loader whose kernel is a list of what was loaded.
func fakeModules(t *testing.T) (m *Loader, loaded *[]string) {
	t.Helper()
	loaded = new([]string)
	m = &Loader{
		index: indexOf(someDeps, someAliases, someSoft), dir: "/m", devices: devices{t.TempDir(), map[string]uint64{}},
		done: map[string]bool{}, Log: slog.New(slog.DiscardHandler),
	}
	m.insert = func(file string) error {
		*loaded = append(*loaded, boot.ModuleName(file))
		return nil
	}
	return m, loaded
}

func TestDriversOfDevicesThatAppearLaterAreLoaded(t *testing.T) {
	m, loaded := fakeModules(t)
	write(t, m.devices.sys, "bus/pci/devices/0000:00:04.0/modalias", []byte("pci:v00008086d000010D3sv0sd0bc0sc0i0\n"), 0o444)
	insert := m.insert
	m.insert = func(file string) error { // the driver finds a bus with a device on it
		if boot.ModuleName(file) == "e1000e" {
			write(t, m.devices.sys, "bus/virtio/devices/virtio0/modalias", []byte("virtio:d00000001v00001AF4\n"), 0o444)
		}
		return insert(file)
	}
	if err := m.LoadAll(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(*loaded, " "); got != "e1000e virtio virtio_ring failover virtio_net" {
		t.Errorf("loaded %s", got)
	}
	if n, err := m.LoadNew(t.Context()); n != 0 || err != nil {
		t.Errorf("nothing is new, and %d were loaded (%v)", n, err)
	}
}

func TestADriverThatFailsDoesNotStopTheOthers(t *testing.T) {
	m, loaded := fakeModules(t)
	insert := m.insert
	m.insert = func(file string) error {
		switch boot.ModuleName(file) {
		case "failover":
			return unix.ENOEXEC
		case "virtio":
			return unix.EEXIST // the kernel has it already
		}
		return insert(file)
	}
	m.LoadNamed("virtio-net")
	if !slices.Contains(*loaded, "virtio_net") {
		t.Errorf("loaded %s", *loaded)
	}
}

func TestIndexesOfAnotherKernelAreNamed(t *testing.T) {
	_, err := New(t.TempDir(), slog.New(slog.DiscardHandler))
	if err == nil || !strings.Contains(err.Error(), "modules.dep") || !strings.Contains(err.Error(), "another kernel") {
		t.Errorf("got %v", err)
	}
	if !errors.Is(err, os.ErrNotExist) {
		t.Errorf("got %v", err)
	}
}

// write puts a file of these rights below root.
func write(t testing.TB, root, name string, content []byte, mode uint32) string {
	t.Helper()
	file := filepath.Join(root, name)
	err := errors.Join(os.MkdirAll(filepath.Dir(file), 0o755), os.WriteFile(file, content, 0o600), unix.Chmod(file, mode))
	if err != nil {
		t.Fatal(err)
	}
	return file
}

// TestAllDevicesAreFound compares what is found on this computer with a walk over all files
// of its devices.
func TestAllDevicesAreFound(t *testing.T) {
	want := map[string]bool{}
	err := filepath.WalkDir("/sys/devices", func(name string, d fs.DirEntry, err error) error {
		if err == nil && d.Name() == "modalias" {
			text, _ := os.ReadFile(name)
			want[strings.TrimSpace(string(text))] = true
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	all := devices{"/sys", map[string]uint64{}}
	if got, err := all.fresh(); err != nil || !maps.Equal(got, want) {
		t.Errorf("found %v (%v), want %v", slices.Sorted(maps.Keys(got)), err, slices.Sorted(maps.Keys(want)))
	}
	if again, err := all.fresh(); err != nil || len(again) > 0 {
		t.Errorf("once more it finds %v (%v)", again, err)
	}
}

// TestDeviceComesBack: another device in the place of one that was pulled out has its
// driver loaded too.
func TestDeviceComesBack(t *testing.T) {
	d := devices{t.TempDir(), map[string]uint64{}}
	for _, alias := range []string{"usb:v1", "usb:v2"} {
		write(t, d.sys, "new/modalias", []byte(alias+"\n"), 0o444)
		place := filepath.Join(d.sys, "bus/usb/devices/1-1")
		if err := errors.Join(os.MkdirAll(filepath.Dir(place), 0o755), os.RemoveAll(place+"-old")); err != nil {
			t.Fatal(err)
		}
		_ = os.Rename(place, place+"-old") // so that its inode is not used again
		if err := os.Rename(filepath.Join(d.sys, "new"), place); err != nil {
			t.Fatal(err)
		}
		if found, err := d.fresh(); err != nil || !found[alias] {
			t.Errorf("found %v (%v), want %s", found, err, alias)
		}
	}
	d.sys = filepath.Join(d.sys, "none")
	if _, err := d.fresh(); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("without /sys: %v", err)
	}
}
