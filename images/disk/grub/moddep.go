package grub

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// dependencies maps a module's name to the names of the modules that must be loaded
// before it.
type dependencies map[string][]string

// maxDependencies is the largest size in bytes of a moddep.lst. Real ones are smaller.
const maxDependencies = 1 << 20

// parseDependencies reads moddep.lst: a line for each module, "a: b c".
func parseDependencies(list []byte) (dependencies, error) {
	if len(list) > maxDependencies {
		return nil, fmt.Errorf("read moddep.lst: it has %d bytes, which is too many: use the file from GRUB", len(list))
	}
	deps := dependencies{}
	lines := bufio.NewScanner(bytes.NewReader(list))
	for n := 1; lines.Scan(); n++ {
		if strings.TrimSpace(lines.Text()) == "" {
			continue
		}
		name, rest, ok := strings.Cut(lines.Text(), ":")
		if !ok {
			return nil, fmt.Errorf("read moddep.lst: line %d has no colon", n)
		}
		needs := strings.Fields(rest)
		for _, m := range append(needs, name) {
			if !moduleName(m) {
				return nil, fmt.Errorf("read moddep.lst: line %d: %q is not a module's name", n, m)
			}
		}
		deps[name] = needs
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read moddep.lst: %w", err)
	}
	return deps, nil
}

// moduleName reports whether a name is safe as a file name.
func moduleName(name string) bool {
	return name != "" && name[0] != '.' && !strings.ContainsAny(name, "/\\\x00 ")
}

// closure returns the modules and all their dependencies. Each module comes once,
// after its own dependencies. A cycle is cut at the module where it was entered.
func (d dependencies) closure(names []string) []string {
	var list []string
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		// GRUB's own tool adds them from the last to the first.
		for _, need := range slices.Backward(d[name]) {
			add(need)
		}
		list = append(list, name)
	}
	for _, name := range names {
		add(name)
	}
	return list
}
