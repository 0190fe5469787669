package kmod

import (
	"bufio"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"cloudlets/images/boot"
)

// index is the content of the modules.* files of one kernel version: its modules,
// what they depend on, and which devices they drive.
type index struct {
	deps    map[string][]string // path to paths, the deepest dependency last
	byName  map[string]string   // name to path
	soft    map[string][]string // name to the names or aliases that should be loaded before it
	aliases map[string][]alias  // by their bus, see [bus]; those of devices have wildcards
	plain   map[string][]string // aliases without wildcards, such as "crypto_crc32c", to names
}

// alias is a line of modules.alias. It says which module drives which devices.
type alias struct{ pattern, module string }

func newIndex() *index {
	return &index{deps: map[string][]string{}, byName: map[string]string{}, soft: map[string][]string{}, aliases: map[string][]alias{}, plain: map[string][]string{}}
}

// read reads the indexes of a folder such as /lib/modules/6.1.0-31-amd64.
func (x *index) read(dir string) error {
	if err := eachLine(filepath.Join(dir, "modules.dep"), x.addDep); err != nil {
		return fmt.Errorf("%w (was the RAM disk made for another kernel?)", err)
	}
	for name, add := range map[string]func(string){"modules.alias": x.addAlias, "modules.softdep": x.addSoft} {
		if err := eachLine(filepath.Join(dir, name), add); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return err
		}
	}
	return nil
}

func (x *index) addDep(line string) {
	if module, deps, ok := strings.Cut(line, ":"); ok {
		x.deps[module] = strings.Fields(deps)
		x.byName[boot.ModuleName(module)] = module
	}
}

func (x *index) addAlias(line string) {
	words := strings.Fields(line)
	if len(words) != 3 || words[0] != "alias" {
		return
	}
	pattern, module := plainAlias(words[1]), boot.ModuleName(words[2])
	b := bus(pattern)
	x.aliases[b] = append(x.aliases[b], alias{pattern, module})
	if !strings.ContainsAny(pattern, "*?[") {
		x.plain[pattern] = append(x.plain[pattern], module)
	}
}

// named returns the module with a name, or else all modules that have the name as
// an alias, since any of them may be the one for this machine.
func (x *index) named(name string) (files []string) {
	if file, ok := x.byName[name]; ok {
		return []string{file}
	}
	for _, module := range x.plain[name] {
		if file, ok := x.byName[module]; ok {
			files = append(files, file)
		}
	}
	return files
}

// addSoft reads what should be loaded before a module: "softdep NAME pre: A B".
func (x *index) addSoft(line string) {
	words := strings.Fields(line)
	if len(words) < 4 || words[0] != "softdep" {
		return
	}
	pre, name := false, boot.ModuleName(words[1])
	for _, word := range words[2:] {
		if strings.HasSuffix(word, ":") {
			pre = word == "pre:"
		} else if pre {
			x.soft[name] = append(x.soft[name], boot.ModuleName(word))
		}
	}
}

// bus is the beginning of an alias that names its kind of devices, "pci", or "" of a pattern
// that may be for several. A kernel has some 20,000 aliases, and a machine hundreds of devices.
func bus(text string) string {
	if i := strings.IndexAny(text, ":*?[\\"); i >= 0 && text[i] == ':' {
		return text[:i]
	}
	return ""
}

// match returns the modules that drive the devices with the given aliases, sorted.
func (x *index) match(devices map[string]bool) []string {
	found := map[string]bool{}
	for device := range devices {
		device = plainAlias(device)
		x.matchAny(x.aliases[""], device, found)
		if b := bus(device); b != "" {
			x.matchAny(x.aliases[b], device, found)
		}
	}
	return slices.Sorted(maps.Keys(found))
}

// matchAny adds to found the modules of those aliases that a device has.
func (x *index) matchAny(aliases []alias, device string, found map[string]bool) {
	for _, a := range aliases {
		module, ok := x.byName[a.module]
		if !ok || found[module] || !samePrefix(a.pattern, device) {
			continue
		}
		if hit, err := path.Match(a.pattern, device); err == nil && hit {
			found[module] = true
		}
	}
}

// samePrefix compares only what comes before the first wildcard ("pci:v", "acpi").
// It is a quick test before the costly match.
func samePrefix(pattern, device string) bool {
	if i := strings.IndexAny(pattern, "*?[\\"); i >= 0 {
		pattern = pattern[:i]
	}
	return strings.HasPrefix(device, pattern)
}

// plainAlias returns an alias in the form in which aliases are compared. Dashes
// become underscores, except within brackets. Slashes become another character,
// since path.Match would take them for separators.
func plainAlias(text string) string {
	inside := false
	return strings.Map(func(r rune) rune {
		switch {
		case r == '[' || r == ']':
			inside = r == '['
		case r == '-' && !inside:
			return '_'
		case r == '/':
			return '\x01'
		}
		return r
	}, text)
}

// order lists a module and what has to be loaded before it, in the order of
// loading. It leaves out what is in done, and adds to done what it lists.
func (x *index) order(module string, done map[string]bool) []string {
	if done[module] {
		return nil
	}
	done[module] = true
	var list []string
	for _, name := range x.soft[boot.ModuleName(module)] {
		for _, dep := range x.named(name) {
			list = append(list, x.order(dep, done)...)
		}
	}
	// modules.dep lists the deepest dependency last.
	for _, dep := range slices.Backward(x.deps[module]) {
		list = append(list, x.order(dep, done)...)
	}
	return append(list, module)
}

func eachLine(file string, line func(string)) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	scan := bufio.NewScanner(f)
	scan.Buffer(nil, 1<<20)
	for scan.Scan() {
		line(scan.Text())
	}
	if err := scan.Err(); err != nil {
		return fmt.Errorf("read %s: %w", file, err)
	}
	return nil
}
