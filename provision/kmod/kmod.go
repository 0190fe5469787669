// Package kmod loads kernel modules in a RAM disk: those that the devices ask
// for by their aliases, and those that are asked for by name, each after what
// it depends on. It runs no program.
package kmod

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

// Loader loads kernel modules from one folder of the RAM disk.
type Loader struct {
	*index
	dir     string // /lib/modules/VERSION
	devices string // /sys/devices
	insert  func(file string) error
	done    map[string]bool
	// Log is told of modules that do not load.
	Log *slog.Logger
}

// New reads the indexes of the running kernel's modules, whose folder is in
// root: "/lib/modules". A module that does not load is told to log.
func New(root string, log *slog.Logger) (*Loader, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("ask the kernel for its version: %w", err)
	}
	m := &Loader{
		index: newIndex(), dir: filepath.Join(root, unix.ByteSliceToString(name.Release[:])),
		devices: "/sys/devices", insert: insertModule, done: map[string]bool{}, Log: log,
	}
	return m, m.read(m.dir)
}

// LoadAll loads what no device asks for, by name, and then what the devices
// that are there ask for.
func (m *Loader) LoadAll(ctx context.Context, names ...string) error {
	for _, name := range names {
		m.LoadNamed(name)
	}
	_, err := m.LoadNew(ctx)
	return err
}

// LoadNew loads what the devices ask for, again and again until nothing new
// appears, and tells how many modules that were. USB devices and those behind
// slow controllers appear only later, so whoever waits for one asks again.
func (m *Loader) LoadNew(ctx context.Context) (int, error) {
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

// LoadNamed loads a module by its name. One that is not there is built in, or
// what needs it will say so.
func (m *Loader) LoadNamed(name string) {
	if module, ok := m.byName[moduleName(name)]; ok {
		m.load(module)
	}
}

// load puts a module and what it depends on into the kernel and tells how many
// were new. One that fails is logged: another may drive the machine. One whose
// hardware is not there, an instruction of another processor, did not fail.
func (m *Loader) load(module string) int {
	loaded := 0
	for _, file := range m.order(module, m.done) {
		err := m.insert(filepath.Join(m.dir, file))
		if errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			m.Log.Warn("a driver did not load", "module", moduleName(file), "error", err)
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
