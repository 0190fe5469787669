package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"

	"golang.org/x/sys/unix"
)

// maxRounds bounds how often the devices are looked at again: a bus driver
// makes devices appear that want drivers of their own.
const maxRounds = 8

// alwaysLoaded are modules that no device asks for by its alias.
var alwaysLoaded = []string{"af_packet", "sd_mod"}

// modules loads kernel modules from one folder of the RAM disk.
type modules struct {
	dir     string // /lib/modules/VERSION
	deps    map[string][]string
	byName  map[string]string
	soft    map[string][]string
	aliases []alias
	done    map[string]bool
	log     *slog.Logger
}

// alias is a line of modules.alias: which module drives what.
type alias struct{ pattern, module string }

func newModules(root string, log *slog.Logger) *modules {
	m := &modules{deps: map[string][]string{}, byName: map[string]string{}, soft: map[string][]string{}, done: map[string]bool{}, log: log}
	var name unix.Utsname
	if err := unix.Uname(&name); err == nil {
		m.dir = filepath.Join(root, unix.ByteSliceToString(name.Release[:]))
	}
	return m
}

// loadAll loads what the devices that are there ask for, again and again
// until nothing new appears, and what nobody asks for but the install needs.
func (m *modules) loadAll(ctx context.Context) error {
	if err := m.readIndexes(); err != nil {
		return err
	}
	for _, name := range alwaysLoaded {
		m.loadNamed(name)
	}
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return err
		}
		loaded, err := m.loadForDevices("/sys/devices")
		if err != nil {
			return err
		}
		if loaded == 0 {
			return nil
		}
	}
	return nil
}

// loadNamed loads a module by its name. One that is not there is built in, or
// what needs it will say so.
func (m *modules) loadNamed(name string) {
	if module, ok := m.byName[moduleName(name)]; ok {
		m.load(module)
	}
}

func (m *modules) readIndexes() error {
	if err := eachLine(filepath.Join(m.dir, "modules.dep"), m.addDep); err != nil {
		return fmt.Errorf("%w (is the RAM disk of this very kernel?)", err)
	}
	if err := eachLine(filepath.Join(m.dir, "modules.alias"), m.addAlias); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := eachLine(filepath.Join(m.dir, "modules.softdep"), m.addSoft); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (m *modules) addDep(line string) {
	if module, deps, ok := strings.Cut(line, ":"); ok {
		m.deps[module] = strings.Fields(deps)
		m.byName[moduleName(module)] = module
	}
}

func (m *modules) addAlias(line string) {
	if words := strings.Fields(line); len(words) == 3 && words[0] == "alias" {
		m.aliases = append(m.aliases, alias{pattern: words[1], module: moduleName(words[2])})
	}
}

// addSoft keeps what is wanted before a module: "softdep NAME pre: A B".
func (m *modules) addSoft(line string) {
	words := strings.Fields(line)
	if len(words) < 4 || words[0] != "softdep" {
		return
	}
	pre := false
	for _, word := range words[2:] {
		if strings.HasSuffix(word, ":") {
			pre = word == "pre:"
		} else if pre {
			m.soft[moduleName(words[1])] = append(m.soft[moduleName(words[1])], moduleName(word))
		}
	}
}

// moduleName is a module's name as the kernel says it: dashes are underscores.
func moduleName(module string) string {
	return strings.ReplaceAll(strings.TrimSuffix(path.Base(module), ".ko"), "-", "_")
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
	return scan.Err()
}

// loadForDevices loads a module for each device that has an alias and tells
// how many were new.
func (m *modules) loadForDevices(root string) (int, error) {
	wanted := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || d.Name() != "modalias" {
			return nil // devices come and go while they are walked
		}
		if text, err := os.ReadFile(name); err == nil {
			wanted[strings.TrimSpace(string(text))] = true
		}
		return nil
	})
	if err != nil {
		return 0, fmt.Errorf("look for devices: %w", err)
	}
	loaded := 0
	for _, module := range m.match(wanted) {
		if m.load(module) {
			loaded++
		}
	}
	return loaded, nil
}

// match names the modules that drive the devices of the given aliases, in a
// fixed order.
func (m *modules) match(wanted map[string]bool) []string {
	found := map[string]bool{}
	for device := range wanted {
		for _, a := range m.aliases {
			module, ok := m.byName[a.module]
			if !ok || found[module] || !samePrefix(a.pattern, device) {
				continue
			}
			if hit, err := path.Match(a.pattern, device); err == nil && hit {
				found[module] = true
			}
		}
	}
	list := make([]string, 0, len(found))
	for module := range found {
		list = append(list, module)
	}
	slices.Sort(list)
	return list
}

// samePrefix compares the bus ("pci", "virtio") before the costly match.
func samePrefix(pattern, device string) bool {
	bus, _, _ := strings.Cut(pattern, ":")
	return strings.HasPrefix(device, bus+":")
}

// load puts a module and what it depends on into the kernel and tells whether
// it was new. A module that fails is logged: another may drive the machine.
func (m *modules) load(module string) bool {
	if m.done[module] {
		return false
	}
	m.done[module] = true
	for _, name := range m.soft[moduleName(module)] {
		if dep, ok := m.byName[name]; ok {
			m.load(dep)
		}
	}
	// modules.dep lists the deepest dependency last.
	for _, dep := range slices.Backward(m.deps[module]) {
		m.load(dep)
	}
	if err := insert(filepath.Join(m.dir, module)); err != nil && !errors.Is(err, unix.EEXIST) {
		m.log.Warn("a driver did not load", "module", moduleName(module), "error", err)
		return false
	}
	return true
}

func insert(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}
