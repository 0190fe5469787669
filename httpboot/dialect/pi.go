package dialect

import (
	"errors"
	"io/fs"
	"strings"
	"time"

	"cloudlets/provision"
)

// Pi is the dialect of a Raspberry Pi's firmware, which has no scripts: what it is
// told is its command line, or nothing. It fetches all its files by TFTP from a folder
// that is named for the board. A file that is absent sends it to its next boot mode.
type Pi struct {
	Until time.Time // when its request must be answered
}

var _ Dialect = Pi{}

// PiPatience is how long the request of a Pi may wait for its answer. It is less than the half minute that a Pi gives each file.
const PiPatience = 20 * time.Second

// PiProcessor is the architecture of each Pi that boots by this configuration.
const PiProcessor = "arm64"

// Files of a Pi's folder that this server makes. All others are the image's.
const (
	PiFirmware = "start4.elf" // the one that it asks for first
	PiConfig   = "config.txt"
	PiCmdline  = "cmdline.txt"
	PiKernel   = "vmlinuz"
	PiRAMDisk  = "ramdisk"
)

// PiConfigText is config.txt. The device tree is the one that the firmware asks for by
// the board's name, as Linux itself calls it.
const PiConfigText = `arm_64bit=1
enable_uart=1
upstream_kernel=1
kernel=` + PiKernel + `
initramfs ` + PiRAMDisk + ` followkernel
cmdline=` + PiCmdline + `
`

// ErrPiAsIs says why a Pi boots no other image's kernel.
var ErrPiAsIs = errors.New("a Raspberry Pi starts its kernel by firmware files and a device tree, which it takes from the image that is installed on it: it boots no kernel as it is, and no rescue")

// Patience is what is left until its request must be answered.
func (p Pi) Patience() time.Duration { return time.Until(p.Until) }

// Boot is the command line, as the one line that the firmware reads. A Pi has its kernel from the image that is installed, so for
// anything else the error is [ErrPiAsIs].
func (Pi) Boot(p Program) (string, error) {
	if p.AsIs || p.Rescues || p.Lives {
		return "", ErrPiAsIs
	}
	return strings.Join(strings.Fields(p.Cmdline), " ") + "\n", nil
}

// Again is nothing, as [Pi.Leave]: a Pi that boots again asks again.
func (Pi) Again(provision.MAC, string) string { return "" }

// Leave is nothing, so that the file is absent.
func (Pi) Leave(string) string { return "" }

// PiName is the name of a Pi's file in the folder that is named for its MAC.
func PiName(mac provision.MAC, file string) string {
	return strings.ReplaceAll(string(mac), ":", "-") + "/" + file
}

// SplitPiName returns the folder and the file in a name that a Pi asks for. The folder
// is the board's serial number in eight digits, or its MAC with dashes (TFTP_PREFIX in
// the settings of its EEPROM).
func SplitPiName(name string) (folder, file string, ok bool) {
	folder, file, _ = strings.Cut(name, "/")
	if !fs.ValidPath(name) || file == "" {
		return folder, file, false
	}
	if len(folder) == 8 {
		return folder, file, strings.Trim(folder, "0123456789abcdef") == ""
	}
	_, err := provision.ParseMAC(folder)
	return folder, file, err == nil && strings.Contains(folder, "-")
}

// mayPiMiss says whether a Pi looks for a file only in case it is there. Without the
// others it does not boot, so a person shall hear of that.
func mayPiMiss(name string) bool {
	_, file, ok := SplitPiName(name)
	switch file {
	case PiFirmware, PiCmdline, PiKernel, PiRAMDisk:
		return false
	}
	return ok
}

// AfterPiFirmware says whether a file is for a Pi that runs its firmware already.
func AfterPiFirmware(name string) bool {
	_, file, ok := SplitPiName(name)
	return ok && file != PiFirmware
}
