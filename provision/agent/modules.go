package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
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
	*moduleIndex
	dir     string // /lib/modules/VERSION
	devices string // /sys/devices
	insert  func(file string) error
	done    map[string]bool
	log     *slog.Logger
}

// newModules reads the indexes of the running kernel's modules.
func newModules(root string, log *slog.Logger) (*modules, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("ask the kernel for its version: %w", err)
	}
	m := &modules{
		moduleIndex: newModuleIndex(), dir: filepath.Join(root, unix.ByteSliceToString(name.Release[:])),
		devices: "/sys/devices", insert: insertModule, done: map[string]bool{}, log: log,
	}
	return m, m.read(m.dir)
}

// loadAll loads what nobody asks for but the install needs, and what the
// devices that are there ask for.
func (m *modules) loadAll(ctx context.Context) error {
	for _, name := range alwaysLoaded {
		m.loadNamed(name)
	}
	_, err := m.loadNew(ctx)
	return err
}

// loadNew loads what the devices ask for, again and again until nothing new
// appears, and tells how many modules that were. USB devices and those behind
// slow controllers appear only later, so whoever waits for one asks again.
func (m *modules) loadNew(ctx context.Context) (int, error) {
	total := 0
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		wanted, err := deviceAliases(m.devices)
		if err != nil {
			return total, err
		}
		loaded := 0
		for _, module := range m.match(wanted) {
			loaded += m.load(module)
		}
		if total += loaded; loaded == 0 {
			break
		}
	}
	return total, nil
}

// loadNamed loads a module by its name. One that is not there is built in, or
// what needs it will say so.
func (m *modules) loadNamed(name string) {
	if module, ok := m.byName[moduleName(name)]; ok {
		m.load(module)
	}
}

// load puts a module and what it depends on into the kernel and tells how many
// were new. One that fails is logged: another may drive the machine.
func (m *modules) load(module string) int {
	loaded := 0
	for _, file := range m.order(module, m.done) {
		err := m.insert(filepath.Join(m.dir, file))
		if err != nil && !errors.Is(err, unix.EEXIST) {
			m.log.Warn("a driver did not load", "module", moduleName(file), "error", err)
			continue
		}
		loaded++
	}
	return loaded
}

// deviceAliases collects what the devices below a folder of /sys call
// themselves.
func deviceAliases(root string) (map[string]bool, error) {
	wanted := map[string]bool{}
	err := filepath.WalkDir(root, func(name string, d fs.DirEntry, err error) error {
		if err != nil && name == root {
			return err
		}
		if err != nil || d.IsDir() || d.Name() != "modalias" {
			return nil // devices come and go while they are walked
		}
		if text, err := os.ReadFile(name); err == nil {
			wanted[strings.TrimSpace(string(text))] = true
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("look for devices: %w", err)
	}
	return wanted, nil
}

func insertModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}
