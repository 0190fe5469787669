package grub

import (
	"bufio"
	"bytes"
	"fmt"
	"slices"
	"strings"
)

// dependencies are what moddep.lst says: a module's name to those that have
// to be loaded before it.
type dependencies map[string][]string

// maxDependencies is the length of a moddep.lst that is no such list any more.
const maxDependencies = 1 << 20

// parseDependencies reads moddep.lst: a line for each module, "a: b c".
func parseDependencies(list []byte) (dependencies, error) {
	if len(list) > maxDependencies {
		return nil, fmt.Errorf("read moddep.lst: it has %d bytes: take GRUB's", len(list))
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
				return nil, fmt.Errorf("read moddep.lst: line %d: %q is no module's name", n, m)
			}
		}
		deps[name] = needs
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("read moddep.lst: %w", err)
	}
	return deps, nil
}

// moduleName says whether a name is safe as that of a file.
func moduleName(name string) bool {
	return name != "" && name[0] != '.' && !strings.ContainsAny(name, "/\\\x00 ")
}

// closure are modules and all that they depend on, each once, after whatever
// it depends on itself. A circle is cut where it was entered.
func (d dependencies) closure(names []string) []string {
	var list []string
	seen := map[string]bool{}
	var add func(name string)
	add = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		// GRUB's own tool takes them from the last to the first.
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
