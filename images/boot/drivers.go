package boot

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strings"

	"cloudlets/images"
)

// CheckDrivers returns an error if a kernel lacks some of the drivers that it
// needs to find its disk and network on a platform. A driver may be a module or
// built in. Where names the platform for a person, e.g. "Amazon EC2".
func CheckDrivers(t images.Tree, k Kernel, where string, drivers ...string) error {
	have, err := driversOf(t, k, "modules.dep", "modules.builtin")
	if err == nil && have == nil {
		err = fmt.Errorf("%s/%s/modules.dep is not in the image: run depmod there", modulesDir, k.Version)
	}
	if err != nil {
		return fmt.Errorf("look for the drivers of Linux %s: %w", k.Version, err)
	}
	var missing []string
	for _, d := range drivers {
		if !have[ModuleName(d)] {
			missing = append(missing, d)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("on %s Linux %s would not start: it lacks the drivers %s: install a kernel that has them, such as Debian's linux-image-amd64",
			where, k.Version, strings.Join(missing, ", "))
	}
	return nil
}

// diskDrivers are those of common disks. A kernel without an initrd finds its
// disk only if one of them is built in.
var diskDrivers = []string{"sd_mod", "nvme", "virtio_blk", "mmc_block", "xen_blkfront"}

// CheckInitrd says why a kernel cannot find its disk: it has no initrd, and none
// of the drivers of common disks is built in. It returns "" if the kernel can, or
// if the image does not tell.
func CheckInitrd(t images.Tree, k Kernel) (string, error) {
	if k.Initrd != "" {
		return "", nil
	}
	builtin, err := driversOf(t, k, "modules.builtin")
	if err != nil || builtin == nil || slices.ContainsFunc(diskDrivers, func(d string) bool { return builtin[d] }) {
		return "", err
	}
	return fmt.Sprintf("kernel %s has no initrd, and no driver for disks is built in, so it will not find its root filesystem: make an initrd in the image, with update-initramfs, dracut, mkinitcpio or mkinitfs", k.Path), nil
}

// driversOf returns the drivers that lists in a kernel's modules directory name.
// It returns nil if there is none of the lists.
func driversOf(t images.Tree, k Kernel, lists ...string) (map[string]bool, error) {
	var have map[string]bool
	for _, dir := range modulesDirs {
		for _, list := range lists {
			file, err := RegularFile(t, path.Join(dir, k.Version, list))
			if err != nil {
				return nil, err
			}
			if file == "" {
				continue
			}
			if have == nil {
				have = map[string]bool{}
			}
			if err := addDrivers(t, file, have); err != nil && !errors.Is(err, fs.ErrNotExist) {
				return nil, err
			}
		}
	}
	return have, nil
}

// addDrivers adds the drivers that a modules.dep(5) or modules.builtin lists.
// Such a file has a driver at the beginning of each line.
func addDrivers(t images.Tree, file string, have map[string]bool) error {
	r, err := t.Open(file)
	if err != nil {
		return err
	}
	defer r.Close()
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		name, _, _ := strings.Cut(lines.Text(), ":")
		have[ModuleName(name)] = true
	}
	return lines.Err()
}

// ModuleName returns a module's name in /proc/modules, e.g. "virtio_net" for
// "virtio-net" or "kernel/drivers/net/virtio_net.ko.xz". In the names of modules "-" and
// "_" mean the same.
func ModuleName(file string) string {
	name, _, _ := strings.Cut(path.Base(file), ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
