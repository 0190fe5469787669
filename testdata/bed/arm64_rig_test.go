package bed_test

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"cloudlets/testdata/bed"
)

// Where `make bin/arm64` unpacks Debian's boot loaders for arm64.
const (
	ipxeARM64 = "../../bin/arm64/usr/lib/ipxe/ipxe-arm64.efi"
	grubARM64 = "../../bin/arm64/usr/lib/grub/arm64-efi/monolithic/grubnetaa64.efi"
)

// newARM64Rig starts a daemon of this computer's architecture whose assets are the
// agent for arm64, and boot loaders. If packed is set, the image's kernel is packed with
// gzip.
func newARM64Rig(t testing.TB, packed bool, loaders ...string) *rig {
	t.Helper()
	ctx, stop := context.WithTimeout(t.Context(), patience)
	t.Cleanup(stop)
	image, err := smallCloudlet(ctx, bed.CloudKernel, bed.ARM64)
	if err != nil {
		t.Fatal(err)
	}
	if packed {
		image = packKernel(ctx, t, image)
	}
	assets := t.TempDir()
	if err := bed.BuildAgent(ctx, bed.ARM64, filepath.Join("..", ".."), filepath.Join(assets, "cloudlets-arm64"), os.Stderr); err != nil {
		t.Fatal(err)
	}
	for _, loader := range loaders {
		if err := copyFile(loader, filepath.Join(assets, filepath.Base(loader))); err != nil {
			t.Fatalf("%v (make bin/arm64 unpacks it)", err)
		}
	}
	return newRig(t, map[string]string{"small": image}, append([]string{"--assets", assets}, asServer...))
}

// packKernel makes a copy of an image whose kernel is packed with gzip.
func packKernel(ctx context.Context, t testing.TB, image string) string {
	t.Helper()
	made := filepath.Join(t.TempDir(), "small.tar")
	const script = `cp "$1" "$2" && cd "$(dirname "$2")" && kernel=$(tar -tf "$1" | grep '^./boot/vmlinuz-') &&
		tar -xf "$1" "$kernel" && gzip -n "$kernel" && mv "$kernel.gz" "$kernel" && tar --delete -f "$2" "$kernel" && tar -rf "$2" "$kernel"`
	if out, err := exec.CommandContext(ctx, "sh", "-ec", script, "sh", image, made).CombinedOutput(); err != nil {
		t.Fatalf("pack the kernel of %s: %v: %s", image, err, out)
	}
	return made
}
