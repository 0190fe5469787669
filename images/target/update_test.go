package target_test

import (
	"bytes"
	"errors"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/google/uuid"

	"cloudlets/images/disk"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/disk/slots"
	"cloudlets/images/disk/sparse"
	"cloudlets/images/manifest"
	"cloudlets/images/target"
)

// errPower is what a device says once its power is gone.
var errPower = errors.New("the power is gone")

// failing is a disk that takes so many more writes.
type failing struct {
	*os.File
	left int
}

func (f *failing) WriteAt(p []byte, off int64) (int, error) {
	if f.left--; f.left < 0 {
		return 0, errPower
	}
	return f.File.WriteAt(p, off)
}

// slotSystem is a system that a disk with two slots can have.
func slotSystem(t *testing.T, content string) target.System {
	t.Helper()
	return systemOf(t, with(linux(`"entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "initrd": "/boot/initrd.img-*"}}`), "sbin/init", "#!/bin/sh\n", "srv/data", content))
}

func slotOptions() target.Options {
	return target.Options{Slots: true, Free: 8 << 20, Program: func(string) (io.ReadCloser, int64, error) { return io.NopCloser(strings.NewReader("x")), 1, nil }}
}

// slotDisk is a raw disk with two slots, whose loaders are the ones of two slots.
func slotDisk(t *testing.T) *os.File {
	t.Helper()
	d, err := target.NewDisk(t.Context(), slotSystem(t, "one"), slotOptions())
	check(t, err)
	loaders, err := bootloader.Assets{}.LoadNamed(t.Context(), d.LoaderNames()...)
	check(t, err)
	f, err := os.Create(filepath.Join(t.TempDir(), "disk.raw"))
	check(t, err)
	t.Cleanup(func() { f.Close() })
	out := sparse.File(f)
	check(t, d.Write(t.Context(), out, loaders), out.Finish())
	return f
}

// TestUpdateBrokenOff: wherever the power is lost, the boot loader starts the good system,
// which is as it was, until the last write of all; and the next update succeeds.
func TestUpdateBrokenOff(t *testing.T) {
	f := slotDisk(t)
	info, err := f.Stat()
	check(t, err)
	read := func() target.SlotDisk {
		t.Helper()
		on, err := target.ReadSlots(f, info.Size(), 512)
		check(t, err)
		return on
	}
	on := read()
	if on.State != slots.Accepted(slots.A) || on.Beside || on.Good == nil {
		t.Fatalf("a new disk is %+v", on)
	}
	good := make([]byte, on.Layout.Other.Size)
	_, err = f.ReadAt(good, on.Layout.Other.Offset)
	check(t, err)
	system := slotSystem(t, strings.Repeat("two", 1<<20))
	for writes := 0; ; writes++ {
		u, err := target.NewUpdate(t.Context(), system, slotOptions(), read())
		check(t, err)
		_, err = u.Write(t.Context(), &failing{f, writes}, disk.UpdateOptions{})
		now := read()
		still := make([]byte, len(good))
		if _, err := f.ReadAt(still, now.Layout.Other.Offset); err != nil || !bytes.Equal(still, good) {
			t.Fatalf("after %d writes slot A is not as it was (%v)", writes, err)
		}
		if err == nil {
			if now.State != slots.Accepted(slots.A).OnTrial() || !now.Beside {
				t.Errorf("after the update the disk is %+v", now.State)
			}
			break
		}
		if !errors.Is(err, errPower) || now.State != slots.Accepted(slots.A) {
			t.Errorf("after %d writes the state is %+v, and the error %v", writes, now.State, err)
		}
		if writes > 1000 {
			t.Fatal("the update has no end")
		}
	}
	for _, part := range []disk.Partition{on.Layout.Root, on.Layout.Other} {
		wantRootNamed(t, io.NewSectionReader(f, part.Offset, part.Size))
	}
	// The same disk is updated again: what is on trial is written anew.
	u, err := target.NewUpdate(t.Context(), slotSystem(t, "three"), slotOptions(), read())
	check(t, err)
	if _, err := u.Write(t.Context(), f, disk.UpdateOptions{}); err != nil || u.Slot != slots.B {
		t.Errorf("again: %s, %v", u.Slot, err)
	}
	// A plan that was made before the state changed is not carried out.
	check(t, slots.Write(f, on.Layout.ESP.Offset, 512, slots.Accepted(slots.B)))
	if _, err := u.Write(t.Context(), f, disk.UpdateOptions{}); err == nil || !strings.Contains(err.Error(), "it has the good system now") {
		t.Errorf("an old plan: %v", err)
	}
}

// TestPersistentChanges: a person is told of each path that comes or goes, and of none
// that stays persistent because of one above it.
func TestPersistentChanges(t *testing.T) {
	l := disk.Layout{Persistent: disk.Partition{Size: 1}}
	for name, c := range map[string]struct {
		good, update []string
		layout       disk.Layout
		want         string
	}{
		"the same":        {[]string{"/srv", "/root"}, []string{"root", "/srv/"}, l, ""},
		"comes":           {nil, []string{"/srv", "/home"}, l, "/home, /srv will be persistent"},
		"goes":            {[]string{"/srv"}, nil, l, "/srv will not be persistent any more"},
		"below another":   {[]string{"/srv"}, []string{"/srv", "/srv/www"}, l, ""},
		"above another":   {[]string{"/srv/www"}, []string{"/srv"}, l, "/srv will be persistent"},
		"another":         {[]string{"/a"}, []string{"/b"}, l, "/b will be persistent|/a will not be persistent any more"},
		"no place for it": {nil, []string{"/srv"}, disk.Layout{}, "the image calls /srv persistent, and the disk has no persistent partition"},
		"never had one":   {[]string{"/srv"}, nil, disk.Layout{}, ""},
	} {
		var got []string
		for _, text := range target.PersistentChanges(&manifest.Manifest{Persistent: c.good}, &manifest.Manifest{Persistent: c.update}, c.layout) {
			text, _, _ = strings.Cut(text, ":")
			got = append(got, text)
		}
		if strings.Join(got, "|") != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// TestRoomForNewPaths: what becomes persistent must fit on the partition that is there. What
// was persistent before is not copied.
func TestRoomForNewPaths(t *testing.T) {
	f := slotDisk(t)
	info, err := f.Stat()
	check(t, err)
	on, err := target.ReadSlots(f, info.Size(), 512)
	check(t, err)
	on.Layout.Persistent = disk.Partition{Number: 4, Size: 2 << 20}
	files := linux(`"persistent": ["/srv", "/var"], "entrypoints": {"linux": {"type": "kernel", "kernel": "/boot/vmlinuz-*", "initrd": "/boot/initrd.img-*"}}`)
	s := systemOf(t, with(files, "sbin/init", "#!/bin/sh\n", "srv/data", strings.Repeat("large", 1<<20), "var/data", "small"))
	warned := func() bool {
		t.Helper()
		u, err := target.NewUpdate(t.Context(), s, slotOptions(), on)
		check(t, err)
		return slices.ContainsFunc(u.Notices, func(n string) bool { return strings.Contains(n, "the whole persistent partition has 2.1 MB") })
	}
	if !warned() {
		t.Error("there is no warning of too little room")
	}
	on.Good.Persistent = []string{"/srv"}
	if warned() {
		t.Error("what is kept already is taken for new")
	}
}

// TestGrowWithoutPersistent: on a disk with two slots only the persistent partition grows.
func TestGrowWithoutPersistent(t *testing.T) {
	f := slotDisk(t)
	info, err := f.Stat()
	check(t, err)
	on, err := target.ReadSlots(f, info.Size(), 512)
	check(t, err)
	o := slotOptions()
	o.Grow = true
	if _, err := target.NewUpdate(t.Context(), slotSystem(t, "two"), o, on); err == nil || !strings.Contains(err.Error(), "leave out --grow") {
		t.Errorf("got %v", err)
	}
}

// TestEndedTrialIsTold: an update that fails has ended the trial of the one before.
func TestEndedTrialIsTold(t *testing.T) {
	f := slotDisk(t)
	info, err := f.Stat()
	check(t, err)
	on, err := target.ReadSlots(f, info.Size(), 512)
	check(t, err)
	check(t, slots.Write(f, on.Layout.ESP.Offset, 512, slots.Accepted(slots.A).OnTrial()))
	u, err := target.NewUpdate(t.Context(), slotSystem(t, "two"), slotOptions(), on)
	check(t, err)
	_, err = u.Write(t.Context(), &failing{f, 1}, disk.UpdateOptions{})
	if !errors.Is(err, errPower) || !strings.Contains(err.Error(), "the trial of what was in slot B has ended") {
		t.Errorf("got %v", err)
	}
	if now, err := slots.Read(f, on.Layout.ESP.Offset); err != nil || now != slots.Accepted(slots.A) {
		t.Errorf("the state is %+v (%v)", now, err)
	}
}

// wantRootNamed wants the boot menu of a slot to name the slot's own filesystem.
func wantRootNamed(t *testing.T, slot io.ReaderAt) {
	t.Helper()
	menu, err := ext4.ReadFile(slot, bootloader.SlotMenuPath, 1<<20)
	check(t, err)
	id := make([]byte, 16)
	_, err = slot.ReadAt(id, 1024+0x68) // s_uuid
	check(t, err)
	if name, err := uuid.FromBytes(id); err != nil || !strings.Contains(string(menu), "root=UUID="+name.String()) {
		t.Errorf("the filesystem is %s (%v), and the menu has\n%s", name, err, menu)
	}
}
