//go:build !linux

package main

import (
	"context"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/doctor"
	"cloudlets/images/disk/vdisk"
	"cloudlets/provision/site"
	"cloudlets/provision/store"
)

// This file refuses what only Linux can do, in one sentence that says what to do
// instead. The verbs and their flags are the same on every system.

// onLinux is the error for what needs Linux.
func onLinux(what, instead string) error {
	return fmt.Errorf("%s needs Linux, and this is %s: %s", what, runtime.GOOS, instead)
}

// processOne returns false: only Linux starts this program as process 1.
func processOne() bool { return false }

// lowPriority does nothing: only servers check machines in the background.
func lowPriority() {}

func (f serveFlags) serve(context.Context, string, string, *slog.Logger) error {
	return onLinux("serving machines", "run it there")
}

// toEtcd refuses to restore into etcd, which only servers use.
func (f restoreFlags) toEtcd(context.Context, site.Settings, string, func(store.Store) error) (string, error) {
	return "", onLinux("restoring into etcd", "run it where serve runs")
}

// examine checks the site's files. All other checks need Linux.
func examine(ctx context.Context, f serveFlags, _ string) ([]doctor.Finding, error) {
	site, err := site.Open(f.site, nil)
	if err != nil {
		return nil, err
	}
	rest := onLinux("looking at the network, the boot loaders and the images", "run doctor where serve will run")
	return append(doctor.Files(site), doctor.Found("what serve needs of its host", rest)), ctx.Err()
}

// chrootChildCommand keeps the hidden verb, which returns the same error.
func chrootChildCommand() *cobra.Command {
	return &cobra.Command{Use: chrootVerb, Hidden: true, RunE: func(*cobra.Command, []string) error { return errChroot() }}
}

func (f *chrootFlags) runE() func(*cobra.Command, []string) error {
	return func(*cobra.Command, []string) error { return errChroot() }
}

func errChroot() error { return onLinux("entering an image", "run it there") }

// deviceHost is empty, since devices are written only on Linux.
type deviceHost struct{}

// showList refuses to list devices.
func (f *deviceFlags) showList(*cobra.Command) error {
	return onLinux("listing devices", "run it there")
}

// isDevice says whether an output is a device. It need not be a block device,
// since not every system has those.
func isDevice(name string) bool {
	if runtime.GOOS == "windows" && (strings.HasPrefix(name, `\\.\`) || strings.HasPrefix(name, `//./`)) {
		return true
	}
	info, err := os.Stat(name)
	return err == nil && info.Mode()&fs.ModeDevice != 0
}

// lockDisk does nothing: only Linux has locks that QEMU has, too.
func lockDisk(*os.File) error { return nil }

// runUpdate refuses to update the running system.
func (f *updateFlags) runUpdate(*cobra.Command, []string) error {
	return onLinux("updating the running system", "run it there")
}

// toDevice refuses to write a device.
func (f *diskFlags) toDevice(*cobra.Command, []string, vdisk.Format) error {
	return onLinux("writing a device", "run it there, or make a file (--out disk.img) and write that to the device with a tool of this system")
}
