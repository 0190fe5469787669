package bed

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
)

// SmallCloudlet returns a tarball with a cloudlet that boots quickly: Debian's
// standard kernel for an architecture, busybox, and no systemd. Its login
// prompt and the line above look like the Debian cloudlet's; root needs no
// password. The folder recipe (testdata/small) says how it is made, of
// packages that apt fetches; it is made once and kept in cache under the
// recipe's digest. Words about it go to progress.
func SmallCloudlet(ctx context.Context, cache, recipe string, arch Arch, progress io.Writer) (string, error) {
	digest, err := recipeDigest(recipe)
	if err != nil {
		return "", err
	}
	file := filepath.Join(cache, "small-"+string(arch)+"-"+digest+".tar")
	if _, err := os.Stat(file); err == nil {
		return file, nil
	}
	if err := os.MkdirAll(cache, 0o755); err != nil {
		return "", err
	}
	fmt.Fprintf(progress, "making a small cloudlet for %s (half a minute, once)\n", arch)
	temp, err := os.MkdirTemp(cache, ".small-*")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(temp)
	part := filepath.Join(temp, "root.tar")
	cmd := exec.CommandContext(ctx, "mmdebstrap", "--quiet", "--variant=custom", "--format=null", "--skip=check/qemu",
		"--architectures="+string(arch), "--customize-hook="+filepath.Join(recipe, "make"), "bookworm", "-")
	cmd.Env = append(os.Environ(), "SMALL_ARCH="+string(arch), "SMALL_OUT="+part, "SMALL_RECIPE="+recipe)
	cmd.Stdout, cmd.Stderr = progress, progress
	if err := cmd.Run(); err != nil {
		return "", fmt.Errorf("make a small cloudlet: mmdebstrap: %w (Debian packages mmdebstrap, kmod and cpio; it fetches packages from the sources that apt has)", err)
	}
	return file, os.Rename(part, file)
}
