//go:build linux && long

package ext4_test

import (
	"context"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloudlets/images"
	"cloudlets/images/disk/ext4"
	"cloudlets/images/imagetest"
	"cloudlets/images/tarball"
	"cloudlets/testdata/needs"
)

// grow is the first process of a virtual machine whose root filesystem is one
// of ours, on a disk that has become larger since.
const grow = `#!/bin/sh
mount -t proc proc /proc; mount -t devtmpfs dev /dev; mount -t sysfs sys /sys
mount -o remount,rw / && resize2fs /dev/vda && dd if=/dev/zero of=/new bs=1M count=100 &&
	sync && echo "grown to $(stat -f -c %b /) blocks"
mount -o remount,ro /; echo o >/proc/sysrq-trigger; sleep 60
`

// TestLongGrowWhileMounted lets a Debian kernel have the filesystem as its root
// and grow it there: in a virtual machine, as that takes a capability
// (CAP_SYS_RESOURCE) which root in a container has not. The test bed grows a disk that
// has our own program for it with every run of the tests.
func TestLongGrowWhileMounted(t *testing.T) {
	t.Parallel()
	root := tarball.New(debianRoot(t))
	img := build(t, withInit{root}, ext4.Options{})
	if err := os.Truncate(img, 3<<30); err != nil {
		t.Fatal(err)
	}
	out := boot(t, img, unpackBoot(t, root))
	if !strings.Contains(out, "grown to 7") { // of 786,432, the journal and tables taken off
		t.Fatalf("the filesystem did not grow; the machine said:\n%s", out)
	}
	fsck(t, img)
	if out := tool(t, "debugfs", "-R", "stat /new", img); !strings.Contains(out, "Size: 104857600") {
		t.Errorf("the file that was written is not whole:\n%s", out)
	}
}

// withInit adds the first process to an image.
type withInit struct{ images.Source }

func (w withInit) Walk(ctx context.Context, visit images.VisitFunc) error {
	if err := w.Source.Walk(ctx, visit); err != nil {
		return err
	}
	return visit(images.Entry{Path: "/grow", Type: images.Regular, Mode: 0o755, Size: int64(len(grow)), ModTime: imagetest.Time}, strings.NewReader(grow))
}

// unpackBoot copies the kernel and its RAM disk out of an image.
func unpackBoot(t *testing.T, src images.Source) (dir string) {
	t.Helper()
	dir = t.TempDir()
	err := src.Walk(t.Context(), func(e images.Entry, content io.Reader) error {
		for _, name := range []string{"vmlinuz", "initrd.img"} {
			if e.Type != images.Regular || !strings.HasPrefix(e.Path, "/boot/"+name+"-") {
				continue
			}
			b, err := io.ReadAll(content)
			if err != nil {
				return err
			}
			return os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return dir
}

// boot runs a virtual machine until it switches itself off.
func boot(t *testing.T, img, kernel string) string {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Minute)
	defer cancel()
	path := needs.Tool(t, "qemu-system-x86_64", "qemu-system-x86")
	out, err := exec.CommandContext(ctx, path,
		"-accel", "tcg,thread=multi", "-m", "512", "-nodefaults", "-display", "none", "-serial", "stdio", "-no-reboot",
		"-drive", "file="+img+",format=raw,if=virtio,cache=unsafe",
		"-kernel", filepath.Join(kernel, "vmlinuz"), "-initrd", filepath.Join(kernel, "initrd.img"),
		"-append", "console=ttyS0 quiet panic=-1 fsck.mode=skip root=/dev/vda rootfstype=ext4 ro init=/grow").CombinedOutput()
	if err != nil {
		t.Fatalf("the virtual machine: %v\n%s", err, out)
	}
	return string(out)
}
