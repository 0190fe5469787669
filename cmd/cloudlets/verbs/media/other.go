//go:build !linux

package media

import (
	"io/fs"
	"os"
	"runtime"
	"strings"

	"github.com/spf13/cobra"

	"cloudlets/cmd/cloudlets/exit"
	"cloudlets/images/disk/vdisk"
)

// This file refuses what only Linux can do, in one sentence that says what to do
// instead. The verbs and their flags are the same on every system.

// deviceHost is empty, since devices are written only on Linux.
type deviceHost struct{}

// showList refuses to list devices.
func (f *deviceFlags) showList(*cobra.Command) error {
	return exit.NeedsLinux("listing devices", "run it there")
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
	return exit.NeedsLinux("updating the running system", "run it there")
}

// updateFrom refuses that, too.
func (f *updateFlags) updateFrom(*cobra.Command, string) error {
	return exit.NeedsLinux("updating the running system", "run it there")
}

// toDevice refuses to write a device.
func (f *diskFlags) toDevice(*cobra.Command, []string, vdisk.Format) error {
	return exit.NeedsLinux("writing a device", "run it there, or make a file (--out disk.img) and write that to the device with a tool of this system")
}
