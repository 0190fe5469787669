// Package kmod loads kernel modules in a RAM disk, each after those that it depends
// on. A [Loader] loads modules by name, and those that drive the machine's
// devices, which it finds by their aliases. It runs no other program.
package kmod

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"

	"cloudlets/images/boot"
)

// maxRounds bounds how often the devices are searched again. The driver of a bus
// makes devices appear that need drivers of their own.
const maxRounds = 8

// Loader loads kernel modules from one folder of the RAM disk.
type Loader struct {
	*index
	dir     string // /lib/modules/VERSION
	devices devices
	insert  func(file string) error
	done    map[string]bool
	// Log gets a warning for each module that does not load.
	Log *slog.Logger
}

// New makes a loader of the running kernel's modules, and reads their indexes. The
// kernel's folder of modules is in root, such as "/lib/modules". The log gets a
// warning for each module that does not load.
func New(root string, log *slog.Logger) (*Loader, error) {
	var name unix.Utsname
	if err := unix.Uname(&name); err != nil {
		return nil, fmt.Errorf("ask the kernel for its version: %w", err)
	}
	m := &Loader{
		index: newIndex(), dir: filepath.Join(root, unix.ByteSliceToString(name.Release[:])),
		devices: devices{"/sys", map[string]uint64{}}, insert: insertModule, done: map[string]bool{}, Log: log,
	}
	return m, m.read(m.dir)
}

// Begin makes a loader of the RAM disk's modules, and loads the named ones and those that
// drive the devices which are there now. The log is that of [New].
func Begin(ctx context.Context, log *slog.Logger, names ...string) (*Loader, error) {
	m, err := New("/lib/modules", log)
	if err == nil {
		err = m.LoadAll(ctx, names...)
	}
	if err != nil {
		return nil, fmt.Errorf("load drivers: %w", err)
	}
	return m, nil
}

// LoadAll loads the named modules, and then those that drive the devices which are
// there now.
func (m *Loader) LoadAll(ctx context.Context, names ...string) error {
	for _, name := range names {
		m.LoadNamed(name)
	}
	_, err := m.LoadNew(ctx)
	return err
}

// LoadNew loads the modules that drive the devices, again and again until no new
// device appears. It returns how many modules it loaded. USB devices and those
// behind slow controllers appear only later, so call it again while you wait for
// one.
func (m *Loader) LoadNew(ctx context.Context) (int, error) {
	total := 0
	for range maxRounds {
		if err := ctx.Err(); err != nil {
			return total, err
		}
		fresh, err := m.devices.fresh()
		if err != nil {
			return total, err
		}
		loaded := 0
		for _, module := range m.match(fresh) {
			loaded += m.load(module)
		}
		if total += loaded; loaded == 0 {
			break
		}
	}
	return total, nil
}

// LoadNamed loads a module by its name. It is no error if there is no such module:
// it may be built into the kernel, and if not, whatever needs it will fail.
func (m *Loader) LoadNamed(name string) {
	if module, ok := m.byName[boot.ModuleName(name)]; ok {
		m.load(module)
	}
}

// load loads a module and those that it depends on, and returns how many were new.
// It only logs a failure, since another module may drive the machine. It does not
// log that a module's hardware is missing (ENODEV), e.g. if the processor lacks an
// instruction.
func (m *Loader) load(module string) int {
	loaded := 0
	for _, file := range m.order(module, m.done) {
		err := m.insert(filepath.Join(m.dir, file))
		if errors.Is(err, unix.ENODEV) {
			continue
		}
		if err != nil && !errors.Is(err, unix.EEXIST) {
			m.Log.Warn("a driver did not load", "module", boot.ModuleName(file), "error", err)
			continue
		}
		loaded++
	}
	return loaded
}

func insertModule(file string) error {
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	return unix.FinitModule(int(f.Fd()), "", 0)
}
