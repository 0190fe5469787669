package bed

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// SmallKernel is which of Debian's kernels the small cloudlet has.
type SmallKernel string

// The kernels. Debian packs the standard one with xz, which takes an emulated
// processor as long to unpack as all the rest of the boot.
const (
	StandardKernel SmallKernel = "linux-image-"       // with drivers for all hardware
	CloudKernel    SmallKernel = "linux-image-cloud-" // for virtual hardware: no USB, and no AHCI
)

// SmallCloudlet returns a tarball with a cloudlet that boots quickly: one of
// Debian's kernels for an architecture, busybox, and no systemd. Its login
// prompt and the line above look like the Debian cloudlet's; root needs no
// password. The folder recipe (testdata/small) says how it is made, of
// packages that apt fetches; it is made once and kept in cache under the
// recipe's digest. Words about it go to progress.
func SmallCloudlet(ctx context.Context, cache, recipe string, kernel SmallKernel, arch Arch, progress io.Writer) (string, error) {
	// Debian's packages do not matter here, but the names in people's caches have them.
	digest, err := recipeDigest(recipe, debianPackages, debianExcludes, debianHooks)
	if err != nil {
		return "", err
	}
	file := filepath.Join(cache, "small-"+string(kernel)+string(arch)+"-"+digest+".tar")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "making a small cloudlet with %s%s (half a minute, once)\n", kernel, arch)
	temp, err := os.MkdirTemp(cache, ".small-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	part := filepath.Join(temp, "root.tar")
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=custom", "--format=null", "--skip=check/qemu",
		"--architectures="+string(arch), "--customize-hook="+filepath.Join(recipe, "make"), "bookworm", "-")
	cmd.Env = append(os.Environ(), "SMALL_ARCH="+string(arch), "SMALL_KERNEL="+string(kernel)+string(arch), "SMALL_OUT="+part, "SMALL_RECIPE="+recipe)
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("make a small cloudlet: mmdebstrap: %w (Debian packages mmdebstrap, kmod and cpio; it fetches packages from the sources that apt has)", err)
	}
	return file, os.Rename(part, file)
}
