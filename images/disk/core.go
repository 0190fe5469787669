package disk

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
)

// grubPrefix is where GRUB looks for its configuration: on the second
// partition of the drive that it was started from, whichever that is.
const grubPrefix = "(,gpt2)/grub"

// grubModuleNames are what the menu needs: everything is in the core image,
// nothing is loaded from the disk.
func grubModuleNames() []string {
	return []string{
		"biosdisk", "part_gpt", "fat", // find the menu
		"normal", "echo", "test", "sleep", "ls", "cat", "configfile", // show it, and help who is stuck
		"serial", "terminal", "terminfo", "keystatus", // on every console
		"linux", "boot", "halt", "reboot", // and go
	}
}

// MakeCore makes GRUB's core image for BIOS with grub-mkimage, in a second or
// less. The same GRUB gives the same bytes. The image is not yet patched for
// a place on a disk: see [Layout.PatchCore].
func MakeCore(ctx context.Context, a Assets) ([]byte, error) {
	modules, err := a.grubModules()
	if err != nil {
		return nil, err
	}
	tool, err := exec.LookPath("grub-mkimage")
	if err != nil {
		return nil, fmt.Errorf("make GRUB's core image: %w: install the Debian package grub-common", err)
	}
	dir, err := os.MkdirTemp("", "cloudlets-grub-")
	if err != nil {
		return nil, fmt.Errorf("make GRUB's core image: %w", err)
	}
	core, err := mkimage(ctx, tool, modules, filepath.Join(dir, CoreImage))
	return core, errors.Join(err, os.RemoveAll(dir))
}

func mkimage(ctx context.Context, tool, modules, out string) ([]byte, error) {
	args := append([]string{
		"--format=i386-pc", "--directory=" + modules, "--prefix=" + grubPrefix, "--output=" + out,
	}, grubModuleNames()...)
	cmd := exec.CommandContext(ctx, tool, args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	var said bytes.Buffer
	cmd.Stdout, cmd.Stderr = &said, &said
	if err := cmd.Run(); err != nil {
		return nil, fmt.Errorf("make GRUB's core image with %s from %s: %w: %s", tool, modules, err, strings.TrimSpace(said.String()))
	}
	core, err := os.ReadFile(out)
	if err != nil {
		return nil, fmt.Errorf("make GRUB's core image: %w", err)
	}
	return core, nil
}
