package httpboot

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/netip"
	"path"
	"strings"
	"sync"
	"time"

	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/depot"
)

// pi is the dialect of a Raspberry Pi's firmware, which has no scripts: what it is
// told is its command line, or nothing. It fetches all its files by TFTP from a folder
// that is named for the board. A file that is absent sends it to its next boot mode.
type pi struct{ until time.Time } // when its request must be answered

var _ dialect = pi{}

// piPatience is less than the half minute that a Pi gives each file.
const piPatience = 20 * time.Second

// piProcessor is the architecture of each Pi that boots by this configuration.
const piProcessor = "arm64"

// Files of a Pi's folder that this server makes. All others are the image's.
const (
	piFirmware = "start4.elf" // the one that it asks for first
	piConfig   = "config.txt"
	piCmdline  = "cmdline.txt"
	piKernel   = "vmlinuz"
	piRAMDisk  = "ramdisk"
)

// piConfigText is config.txt. The device tree is the one that the firmware asks for by
// the board's name, as Linux itself calls it.
const piConfigText = `arm_64bit=1
enable_uart=1
upstream_kernel=1
kernel=` + piKernel + `
initramfs ` + piRAMDisk + ` followkernel
cmdline=` + piCmdline + `
`

// errPiAsIs says why a Pi boots no other image's kernel.
var errPiAsIs = errors.New("a Raspberry Pi starts its kernel by firmware files and a device tree, which it takes from the image that is installed on it: it boots no kernel as it is, and no rescue")

func (p pi) patience() time.Duration { return time.Until(p.until) }

func (pi) boot(p Program) (string, error) {
	if p.AsIs || p.Rescues || p.Lives {
		return "", errPiAsIs
	}
	return strings.Join(strings.Fields(p.Cmdline), " ") + "\n", nil
}

func (pi) again(provision.MAC, string) string { return "" }

func (pi) leave(string) string { return "" }

// piName is the name of a Pi's file in the folder that is named for its MAC.
func piName(mac provision.MAC, file string) string {
	return strings.ReplaceAll(string(mac), ":", "-") + "/" + file
}

// splitPiName returns the folder and the file in a name that a Pi asks for. The folder
// is the board's serial number in eight digits, or its MAC with dashes (TFTP_PREFIX in
// the settings of its EEPROM).
func splitPiName(name string) (folder, file string, ok bool) {
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
	_, file, ok := splitPiName(name)
	switch file {
	case piFirmware, piCmdline, piKernel, piRAMDisk:
		return false
	}
	return ok
}

// afterPiFirmware says whether a file is for a Pi that runs its firmware already.
func afterPiFirmware(name string) bool {
	_, file, ok := splitPiName(name)
	return ok && file != piFirmware
}

// untold are the cards of the site's Pis that asked in vain for their command line in
// this boot. Their firmware has the other files and would start the kernel without one.
type untold struct {
	mu    sync.Mutex
	cards map[provision.MAC]bool
}

func (u *untold) note(card provision.MAC, untold bool) {
	u.mu.Lock()
	defer u.mu.Unlock()
	if !untold {
		delete(u.cards, card)
		return
	}
	if u.cards == nil {
		u.cards = make(map[provision.MAC]bool)
	}
	u.cards[card] = true
}

func (u *untold) has(card provision.MAC) bool {
	u.mu.Lock()
	defer u.mu.Unlock()
	return u.cards[card]
}

// piFile opens a file that a Pi asks for. A serial number tells no MAC, so then the Pi
// is the machine that DHCP gave the address to.
func (b bootFiles) piFile(ctx context.Context, from netip.Addr, folder, file string) (fs.File, error) {
	mac, err := provision.ParseMAC(folder)
	if err != nil {
		known := false
		if mac, known = b.hosts.Machine(from); !known {
			return nil, absent(folder+"/"+file, errors.New("this server did not give that machine its address, so it knows machines by their MAC only: set TFTP_PREFIX=2 in the settings of its EEPROM"))
		}
	}
	f, err := b.piFileOf(ctx, from, mac, folder, file)
	switch {
	case file == piFirmware:
		b.untold.note(mac, false) // another boot begins
	case file == piCmdline && b.spec(mac) != nil:
		b.untold.note(mac, err != nil)
	}
	return f, err
}

// piFileOf opens a file for a Pi, or says why the machine does not get it.
func (b bootFiles) piFileOf(ctx context.Context, from netip.Addr, mac provision.MAC, folder, file string) (fs.File, error) {
	until := time.Now().Add(piPatience)
	kit, err := b.piKit(ctx, mac, until)
	if err != nil {
		if file == piFirmware {
			_, decision := b.decide(mac)
			b.sentAway(ctx, mac, from, decision)
		}
		return nil, absent(folder+"/"+file, err)
	}
	if (file == piKernel || file == piRAMDisk) && b.untold.has(mac) {
		return nil, absent(folder+"/"+file, errors.New("the machine was told no command line in this boot, and its kernel must not start without one: restart the machine"))
	}
	switch file {
	case piCmdline:
		text := b.tell(ctx, mac, from, pi{until})
		if text == "" {
			return nil, absent(folder+"/"+file, errors.New("the machine has nothing to boot"))
		}
		return textFile(file, text), nil
	case piConfig:
		return textFile(file, piConfigText), nil
	case piKernel:
		return b.depotFile(ctx, from, kit.Kernel.Digest)
	case piRAMDisk:
		return b.depotFile(ctx, from, kit.RAMDisk.Digest)
	}
	return b.imageFile(ctx, from, kit, folder+"/"+file, piPlaces(file, kit.Kernels[0].Version))
}

// piKit returns what a Pi boots, or why it boots nothing.
func (b bootFiles) piKit(ctx context.Context, mac provision.MAC, until time.Time) (*depot.Kit, error) {
	spec, decision := b.decide(mac)
	if decision.Action == provision.ActionKernel || decision.Action == provision.ActionRescue || decision.Action == provision.ActionLive {
		return nil, fmt.Errorf("%s; but %w", decision.Reason, errPiAsIs)
	}
	if decision.Action != provision.ActionInstall {
		return nil, errors.New(decision.Reason)
	}
	wait, stop := context.WithDeadline(ctx, until)
	defer stop()
	kit, err := b.Depot.Kit(wait, kitKey(spec))
	if err != nil {
		return nil, err
	}
	return kit, kit.Kernels[0].Check(piProcessor)
}

// piPlaces are the paths in an image at which a file for a Pi may be: where Debian's
// raspi-firmware has its files, where Debian's kernel has its device trees, and where
// both are put together.
func piPlaces(file, kernel string) []string {
	trees := "/usr/lib/linux-image-" + kernel
	return []string{
		path.Join("/usr/lib/raspi-firmware", file), path.Join(trees, "broadcom", file), path.Join(trees, file), path.Join("/boot/firmware", file),
	}
}

// imageFile opens the first of some files of an image that is there, when it has its
// turn, which ends when the file is closed.
func (b bootFiles) imageFile(ctx context.Context, from netip.Addr, kit *depot.Kit, name string, places []string) (fs.File, error) {
	tree, closePack, err := b.Depot.OpenPack(kit.Pack)
	if err != nil {
		return nil, err
	}
	for _, place := range places {
		entry, err := tree.Entry(place)
		if err != nil || entry.Type != images.Regular {
			continue
		}
		content, err := tree.Open(place)
		if err != nil {
			closePack()
			return nil, err
		}
		done, err := b.download(ctx, from, entry.Size)
		if err != nil {
			defer closePack()
			return nil, errors.Join(err, content.Close())
		}
		return &packedFile{content, entry, func() { done(); closePack() }}, nil
	}
	closePack()
	return nil, absent(name, fmt.Errorf("the image %s has none of %s: install Debian's raspi-firmware in it", kit.Key, strings.Join(places, ", ")))
}

func absent(name string, reason error) error {
	return &fs.PathError{Op: "open", Path: name, Err: fmt.Errorf("%w: %w", reason, fs.ErrNotExist)}
}

// packedFile is a file of an image, out of its pack.
type packedFile struct {
	io.ReadCloser
	entry images.Entry
	done  func()
}

func (f *packedFile) Close() error {
	defer f.done()
	return f.ReadCloser.Close()
}

func (f *packedFile) Stat() (fs.FileInfo, error) { return f, nil }
func (f *packedFile) Name() string               { return path.Base(f.entry.Path) }
func (f *packedFile) Size() int64                { return f.entry.Size }
func (f *packedFile) Mode() fs.FileMode          { return 0o444 }
func (f *packedFile) ModTime() time.Time         { return f.entry.ModTime }
func (f *packedFile) IsDir() bool                { return false }
func (f *packedFile) Sys() any                   { return nil }
