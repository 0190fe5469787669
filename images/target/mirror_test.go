package target_test

import (
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"cloudlets/images/boot"
	"cloudlets/images/disk/bootloader"
	"cloudlets/images/disk/slots"
	"cloudlets/images/target"
)

// TestMenuOfAMirror: the kernel that the RAM disk is for starts with that, and is told which
// mirrors to assemble, of either slot.
func TestMenuOfAMirror(t *testing.T) {
	image := target.Image{Title: "tiny", Init: "/sbin/init", RootSize: 128 << 20, Kernels: []boot.Kernel{
		{Version: "6.2", Path: "/boot/vmlinuz-6.2", Initrd: "/boot/initrd.img-6.2"}, {Version: "6.1", Path: "/boot/vmlinuz-6.1"},
	}}
	o := target.Options{ID: uuid.New(), Arch: bootloader.AMD64, Slots: true, Persistent: 96 << 20}
	alone, err := target.NewPlan(image, o)
	check(t, err)
	o.Mirror, o.MirrorRAMDisk = true, 30<<20
	p, err := target.NewPlan(image, o)
	check(t, err)
	if p.RootSize != alone.RootSize+30<<20 {
		t.Errorf("the root needs %d bytes, and %d on one disk", p.RootSize, alone.RootSize)
	}
	l, err := p.Layout(2<<30, 512, nil)
	check(t, err)
	for _, slot := range []slots.Name{slots.A, slots.B} {
		l := l.In(slot)
		menu, files, cmdline, err := p.SlotMenu(l)
		check(t, err)
		if n := strings.Count(string(menu), "menuentry"); n != 1 || len(files) != 1 || files[0].Path != "/boot/vmlinuz-6.2" {
			t.Errorf("the menu names %v:\n%s", files, menu)
		}
		for _, want := range []string{target.MirrorRAMDisk, target.MirrorRootWord + l.Root.Array, target.MirrorDataWord + l.Persistent.Array, "init=" + target.PreinitPath} {
			if !strings.Contains(string(menu), want) {
				t.Errorf("the menu of slot %s does not name %s:\n%s", slot, want, menu)
			}
		}
		if !strings.Contains(cmdline, "root=UUID="+p.RootUUID(l).String()+" "+target.MirrorRootWord+l.Root.Array) {
			t.Errorf("the command line is %q", cmdline)
		}
	}
	fs, err := p.PersistentFilesystem(t.Context(), l, time.Unix(1000, 0), true)
	check(t, err)
	if fs.Size() != l.Persistent.Room() {
		t.Errorf("the persistent filesystem has %d bytes, and its mirror has %d", fs.Size(), l.Persistent.Room())
	}
}
