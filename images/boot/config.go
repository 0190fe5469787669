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
	for _, name := range []string{"/boot/config-" + k.Version, k.Modules + "/config"} {
		if k.Version == "" || name == "/config" {
			continue
		}
		file, err := RegularFile(t, name)
		if err != nil {
			return false, err
		}
		if file != "" {
			return lacks(t, file, option)
		}
	}
	return false, nil
}

func lacks(t images.Tree, file, option string) (bool, error) {
	f, err := t.Open(file)
	if err != nil {
		return false, err
	}
	defer f.Close()
	known := false
	lines := bufio.NewScanner(io.LimitReader(f, maxConfig))
	for lines.Scan() {
		line := lines.Text()
		switch {
		case strings.HasPrefix(line, "CONFIG_"+option+"="):
			return false, nil
		case strings.HasPrefix(line, "CONFIG_"), strings.HasPrefix(line, "# CONFIG_"):
			known = true
		}
	}
	return known, lines.Err()
}
