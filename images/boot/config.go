package boot

import (
	"bufio"
	"io"
	"strings"

	"cloudlets/images"
)

// maxConfig is how many bytes of a kernel's configuration are read. Debian's has
// 280 kB.
const maxConfig = 4 << 20

// Lacks says whether a kernel was built without an option, such as "EROFS_FS_ZIP", as
// far as its configuration tells: /boot/config-VERSION, or "config" beside its
// modules. Without a configuration it lacks nothing.
func (k Kernel) Lacks(t images.Tree, option string) (bool, error) {
	file, err := k.config(t)
	if file == "" || err != nil {
		return false, err
	}
	value, known, err := valueOf(t, file, option)
	return known && value == "", err
}

// Has says whether a kernel's configuration tells that it was built with an option that
// cannot be a module. Without a configuration it has nothing.
func (k Kernel) Has(t images.Tree, option string) (bool, error) {
	file, err := k.config(t)
	if file == "" || err != nil {
		return false, err
	}
	value, _, err := valueOf(t, file, option)
	return value == "y", err
}

// IsConfigured says whether the image has a kernel's configuration.
func (k Kernel) IsConfigured(t images.Tree) (bool, error) {
	file, err := k.config(t)
	return file != "", err
}

// config is the file with a kernel's configuration, or "".
func (k Kernel) config(t images.Tree) (string, error) {
	for _, name := range []string{"/boot/config-" + k.Version, k.Modules + "/config"} {
		if k.Version == "" || name == "/config" {
			continue
		}
		if file, err := RegularFile(t, name); file != "" || err != nil {
			return file, err
		}
	}
	return "", nil
}

// valueOf is the value of an option in a configuration, or "". Known says that it is a
// configuration.
func valueOf(t images.Tree, file, option string) (value string, known bool, err error) {
	f, err := t.Open(file)
	if err != nil {
		return "", false, err
	}
	defer f.Close()
	lines := bufio.NewScanner(io.LimitReader(f, maxConfig))
	for lines.Scan() {
		line := lines.Text()
		if value, ok := strings.CutPrefix(line, "CONFIG_"+option+"="); ok {
			return value, true, nil
		}
		if strings.HasPrefix(line, "CONFIG_") || strings.HasPrefix(line, "# CONFIG_") {
			known = true
		}
	}
	return "", known, lines.Err()
}
