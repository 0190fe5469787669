package target

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"strings"

	"cloudlets/images"
	"cloudlets/images/boot"
)

// CheckDrivers returns an error if a kernel lacks some of the drivers that it
// needs to find its disk and network on a platform. A driver may be a module or
// built in. Where names the platform for a person, e.g. "Amazon EC2".
func CheckDrivers(t images.Tree, k boot.Kernel, where string, drivers ...string) error {
	have, err := driversOf(t, k.Version)
	if err != nil {
		return fmt.Errorf("look for the drivers of Linux %s: %w", k.Version, err)
	}
	var missing []string
	for _, d := range drivers {
		if !have[driverName(d)] {
			missing = append(missing, d)
		}
	}
	if len(missing) > 0 {
		return fmt.Errorf("on %s Linux %s would not start: it lacks the drivers %s: install a kernel that has them, such as Debian's linux-image-amd64",
			where, k.Version, strings.Join(missing, ", "))
	}
	return nil
}

// driversOf returns a kernel's drivers, modular and built in, from the files in
// its modules folder.
func driversOf(t images.Tree, version string) (map[string]bool, error) {
	have := map[string]bool{}
	var lists int
	for _, dir := range []string{"/lib/modules", "/usr/lib/modules"} {
		for _, list := range []string{"modules.dep", "modules.builtin"} {
			err := addDrivers(t, path.Join(dir, version, list), have)
			switch {
			case err == nil:
				lists++
			case !errors.Is(err, fs.ErrNotExist):
				return nil, err
			}
		}
	}
	if lists == 0 {
		return nil, fmt.Errorf("/lib/modules/%s/modules.dep is not in the image: run depmod there", version)
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
		have[driverName(path.Base(name))] = true
	}
	return lines.Err()
}

// driverName returns a driver's name without its file's ending. It replaces
// "-" by "_", because both mean the same in such a name.
func driverName(file string) string {
	name, _, _ := strings.Cut(file, ".ko")
	return strings.ReplaceAll(name, "-", "_")
}
