package target

import (
	"encoding/json"
	"errors"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	"cloudlets/images"
	"cloudlets/images/boot"
	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/uki"
	"cloudlets/images/disk/uki/signing"
	"cloudlets/images/imagetest"
)

// someImage has two kernels of one version, of which one is for rescue, and
// one whose version is not known.
func someImage() Image {
	return Image{
		Title: "web", Init: "/usr/lib/systemd/systemd", BootSize: 100 << 20, RootSize: 1 << 30,
		Kernels: []boot.Kernel{
			{Version: "6.5.6", Path: "/boot/vmlinuz-6.5.6", Initrd: "/boot/initramfs-6.5.6.img", Cmdline: "quiet -- single", Arch: "amd64"},
			{Version: "6.5.6", Path: "/boot/vmlinuz-0-rescue", Initrd: "/boot/initramfs-0-rescue.img", Arch: "amd64"},
			{Path: "/vmlinuz", Arch: "amd64"},
		},
		Places: []Place{{Path: "/srv/new", At: "/srv/new", Type: images.Directory, Missing: []string{"/srv", "/srv/new"}}},
	}
}

// TestMenu: each kernel has an entry of its own, and the manifest's first
// program is started where the kernel would take another one.
func TestMenu(t *testing.T) {
	for _, c := range []struct {
		options Options
		want    string // the words of the first entry
	}{
		{Options{}, "quiet init=/usr/lib/systemd/systemd -- single"},
		{Options{Cmdline: "init=/bin/sh a"}, "quiet init=/bin/sh a -- single"},
		{Options{Grow: true}, "quiet init=/.cloudlet/preinit cloudlets.init=/usr/lib/systemd/systemd cloudlets.grow -- single"},
		{Options{Persistent: 1, Cmdline: "init=/sbin/init"}, "quiet init=/.cloudlet/preinit cloudlets.persistent -- single"},
		{Options{KeepFound: true, Console: "ttyS0,115200n8"}, "quiet console=ttyS0,115200n8 init=/.cloudlet/preinit cloudlets.init=/usr/lib/systemd/systemd cloudlets.persistent -- single"},
		{Options{Console: "ttyS0", Cmdline: "console=ttyS0,9600"}, "quiet console=ttyS0,9600 init=/usr/lib/systemd/systemd -- single"},
		{Options{Console: "ttyS0", Cmdline: `note="no console=ttyS0 here"`}, `quiet note="no console=ttyS0 here" console=ttyS0 init=/usr/lib/systemd/systemd -- single`},
		{Options{Console: "ttyS0", Cmdline: "-- console=ttyS0"}, "quiet console=ttyS0 init=/usr/lib/systemd/systemd -- single console=ttyS0"},
	} {
		if got := someImage().Menu(c.options)[0].Cmdline; got != c.want {
			t.Errorf("%+v: %q, want %q", c.options, got, c.want)
		}
	}
	var got []string
	for _, e := range someImage().Menu(Options{}) {
		got = append(got, e.ID+" | "+e.Title+" | "+e.Version)
	}
	want := []string{
		"cloudlet-0-6.5.6 | web, Linux 6.5.6 | 6.5.6", "cloudlet-1-vmlinuz-0-rescue | web, vmlinuz-0-rescue | vmlinuz-0-rescue", "cloudlet-2-vmlinuz | web, vmlinuz | vmlinuz",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestPlanTravels: a plan that was sent makes the very same disk, in layout
// and boot menu.
func TestPlanTravels(t *testing.T) {
	plan, err := NewPlan(someImage(), Options{ID: uuid.New(), Grow: true, Persistent: 1 << 30, Reserve: true, SecureBoot: bootloader.SecureBoot{Shim: true}, Timeout: 1e9})
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(plan)
	var sent Plan
	if err := errors.Join(err, json.Unmarshal(text, &sent)); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(plan, sent); diff != "" {
		t.Error(diff)
	}
	one, err := plan.Layout(20<<30, 512, nil)
	two, err2 := sent.Layout(20<<30, 512, nil)
	if diff := cmp.Diff(one, two); diff != "" || err != nil || err2 != nil {
		t.Error(diff, err, err2)
	}
	if one.ESP.Size != 512<<20 || one.Persistent.Size != 1<<30 || one.Root.Size < plan.RootSize {
		t.Errorf("the layout is %+v", one)
	}
	nothing := func(string) (bootloader.Payload, error) {
		return bootloader.Payload{Open: func() (io.ReadCloser, error) { return io.NopCloser(strings.NewReader("")), nil }}, nil
	}
	menu, err := sent.Menu(two, nothing)
	if err != nil || !strings.HasPrefix(menu.Entries[0].Cmdline, "root=UUID="+plan.RootUUID(disk.Layout{}).String()+" rw quiet ") || !strings.HasPrefix(menu.Entries[2].Cmdline, "root=PARTUUID="+one.Root.GUID+" rw ") {
		t.Errorf("the menu is %+v, %v", menu.Entries, err)
	}
}

// TestReserve: the EFI system partition has room for all kernels, also on a
// disk that has nothing to spare.
func TestReserve(t *testing.T) {
	for _, c := range []struct{ boot, disk, esp int64 }{
		{100 << 20, 20 << 30, 512 << 20}, {100 << 20, 3 << 30, 208 << 20}, {400 << 20, 20 << 30, 808 << 20},
	} {
		im := someImage()
		im.BootSize = c.boot
		plan, err := NewPlan(im, Options{ID: uuid.New(), Reserve: true})
		if err != nil {
			t.Fatal(err)
		}
		if l, err := plan.Layout(c.disk, 512, nil); err != nil || l.ESP.Size != c.esp {
			t.Errorf("%d bytes of kernels on a disk of %d: an ESP of %d, %v; want %d", c.boot, c.disk, l.ESP.Size, err, c.esp)
		}
	}
}

// TestPreinitFiles: parents come before what is in them, and a disk that needs
// nothing has nothing.
func TestPreinitFiles(t *testing.T) {
	plan, err := NewPlan(someImage(), Options{ID: uuid.New(), Persistent: 1 << 30})
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, e := range plan.PreinitFiles(7, time.Unix(0, 0)) {
		got = append(got, e.Path)
	}
	if want := "/.cloudlet/preinit /dev /proc /sys /run /.cloudlet/persistent /srv /srv/new"; strings.Join(got, " ") != want {
		t.Errorf("%q, want %q", got, want)
	}
	if files := (Plan{}).PreinitFiles(7, time.Unix(0, 0)); files != nil {
		t.Errorf("%+v", files)
	}
}

// TestSignedForAnyDisk: a plan is signed before the disk's size is known, and the
// signatures are for what the disk gets, with its root partition's own identifier.
func TestSignedForAnyDisk(t *testing.T) {
	loaders, err := bootloader.Assets{}.LoadNamed(t.Context(), bootloader.SecureBoot{Signer: uki.Signatures{}}.LoaderNames(bootloader.AMD64)...)
	if err != nil {
		t.Fatal(err)
	}
	var lines []string
	for _, k := range someImage().Kernels {
		lines = append(lines, k.Path+" = "+string(loaders[bootloader.SystemdAMD64])) // any UEFI program will do
		if k.Initrd != "" {
			lines = append(lines, k.Initrd+" = the RAM disk")
		}
	}
	tree := imagetest.NewTree(lines...)
	private, certificate := imagetest.SigningPair(t, time.Now().Add(time.Hour))
	key, err := signing.NewKey(private, certificate, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	plan, err := NewPlan(someImage(), Options{ID: uuid.New(), Reserve: true, SecureBoot: bootloader.SecureBoot{Signer: key}})
	if err != nil {
		t.Fatal(err)
	}
	if err := plan.Sign(t.Context(), tree, loaders, key); err != nil {
		t.Fatal(err)
	}
	for _, size := range []int64{4 << 30, 4 << 40} {
		l, err := plan.Layout(size, 4096, nil)
		if err != nil {
			t.Fatal(err)
		}
		menu, err := plan.Menu(l, func(file string) (bootloader.Payload, error) { return payload(tree, file) })
		if err != nil {
			t.Fatal(err)
		}
		for _, e := range menu.Entries {
			image, err := uki.New(loaders[bootloader.StubAMD64], uki.Kernel{Linux: uki.File(e.Kernel), Initrd: uki.File(e.Initrd), Cmdline: e.Cmdline, Title: e.Title, Version: e.Version})
			if err != nil {
				t.Fatal(err)
			}
			if _, err := plan.SecureBoot().Signer.Sign(t.Context(), image); err != nil {
				t.Errorf("a disk of %d bytes, %s: %v", size, e.ID, err)
			}
		}
	}
}
