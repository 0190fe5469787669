package httpboot

import (
	"net/http"
	"path/filepath"
	"testing"

	"cloudlets/provision"
	"cloudlets/provision/wire"
)

// mirrorKernel gives an image's kernel what it takes to have its system on two disks.
func mirrorKernel(t *testing.T) func(image string) {
	return func(image string) {
		write(t, filepath.Join(image, "lib/modules", kernelVersion, "modules.builtin"),
			[]byte("kernel/fs/ext4/ext4.ko\nkernel/drivers/md/md-mod.ko\nkernel/drivers/md/raid1.ko\n"))
	}
}

// mirrors makes a machine one whose system is on two disks.
func (b *bed) mirrors(mac provision.MAC) {
	b.t.Helper()
	b.change(mac, func(s *provision.Spec) { s.Slots, s.Mirror = 2, true })
}

// TestMirrorIsPlanned: the plan of a machine with two disks has the RAM disk that assembles
// them. One disk is not enough.
func TestMirrorIsPlanned(t *testing.T) {
	b := newBed(t, mirrorKernel(t))
	b.mirrors(node1)
	request := b.request(node1)
	other := request.Inventory.Disks[0]
	other.Name, other.Serial = "vdb", "S2"
	request.Inventory.Disks = append(request.Inventory.Disks, other)
	plan, kit := b.claimAs(request), b.kit(node1)
	if !plan.Target.Mirror || !plan.Target.Slots || plan.RAMDisk.Digest != kit.RAMDisk.Digest || plan.RAMDisk.Size != kit.RAMDisk.Size {
		t.Errorf("the plan is %+v", plan)
	}
	if a := b.get(plan.RAMDisk.Path).want(t, http.StatusOK); int64(len(a.body)) != plan.RAMDisk.Size {
		t.Errorf("the RAM disk has %d bytes, the plan says %d", len(a.body), plan.RAMDisk.Size)
	}
}

// TestOneDiskIsNoMirror: a machine that shows one disk of two gets no plan.
func TestOneDiskIsNoMirror(t *testing.T) {
	b := newBed(t, mirrorKernel(t))
	b.mirrors(node1)
	b.do(http.MethodPost, wire.ClaimPath, "", b.request(node1)).want(t, http.StatusConflict, "a mirror takes two disks", "and 1 do")
}

// TestNotMirror: a kernel that cannot do it is refused before a plan is made.
func TestNotMirror(t *testing.T) {
	b := newBed(t, nil)
	b.mirrors(node1)
	b.do(http.MethodPost, wire.ClaimPath, "", b.request(node1)).want(t, http.StatusConflict, `"mirror": true`, "has no md_mod, no raid1")
}
