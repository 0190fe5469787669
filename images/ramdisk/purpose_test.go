package ramdisk

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"cloudlets/images/dirtree"
)

// live builds a RAM disk for a live system that needs some modules.
func (f fakeImage) live(t *testing.T, needs ...string) ([]byte, Report, error) {
	t.Helper()
	tree, err := dirtree.Open(string(f))
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	report, err := Build(t.Context(), &out, tree, Options{Version: version, Init: strings.NewReader("init"), InitSize: 4, Purpose: Live, Needs: needs})
	return out.Bytes(), report, err
}

func TestALiveRAMDiskMountsItsMedium(t *testing.T) {
	f := newImage(t)
	packed, report, err := f.live(t, "loop", "ext4", "virtio_blk")
	if err != nil || report.Network != 0 || report.Storage != 2 {
		t.Fatalf("the report is %+v (%v)", report, err)
	}
	root := unpacked(t, pipe(t, packed, "", "zstd", "zstd", "-dc"))
	for name, want := range map[string]bool{
		"drivers/block/loop.ko": true, "drivers/block/virtio_blk.ko": true,
		"drivers/net/virtio_net.ko": false, "net/core/failover.ko": false, "fs/btrfs/btrfs.ko": false,
	} {
		_, err := os.Stat(filepath.Join(root, "lib/modules", version, "kernel", name))
		if want != (err == nil) || !want && !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s: %v, wanted: %t", name, err, want)
		}
	}
	if _, err := os.Stat(filepath.Join(root, "newroot")); err != nil {
		t.Error(err)
	}
}

func TestAKernelThatCannotRunLiveIsNamed(t *testing.T) {
	out, _, err := newImage(t).live(t, "loop", "isofs", "overlay")
	if err == nil || !strings.Contains(err.Error(), "kernel "+version+": the kernel has no isofs, no overlay") || len(out) != 0 {
		t.Errorf("%d bytes were written, and the error is %v", len(out), err)
	}
}
