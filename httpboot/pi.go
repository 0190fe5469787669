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

	"cloudlets/httpboot/dialect"
	"cloudlets/images"
	"cloudlets/provision"
	"cloudlets/provision/depot"
)

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
		if mac, known = b.At(from); !known {
			return nil, absent(folder+"/"+file, errors.New("this server did not give that machine its address, so it knows machines by their MAC only: set TFTP_PREFIX=2 in the settings of its EEPROM"))
		}
	}
	f, err := b.piFileOf(ctx, from, mac, folder, file)
	switch {
	case file == dialect.PiFirmware:
		b.untold.note(mac, false) // another boot begins
	case file == dialect.PiCmdline && b.Spec(mac) != nil:
		b.untold.note(mac, err != nil)
	}
	return f, err
}

// piFileOf opens a file for a Pi, or says why the machine does not get it.
func (b bootFiles) piFileOf(ctx context.Context, from netip.Addr, mac provision.MAC, folder, file string) (fs.File, error) {
	until := time.Now().Add(dialect.PiPatience)
	kit, err := b.piKit(ctx, mac, until)
	if err != nil {
		if file == dialect.PiFirmware {
			spec, decision := b.Decide(mac)
			b.sentAway(ctx, mac, from, spec, decision)
		}
		return nil, absent(folder+"/"+file, err)
	}
	if (file == dialect.PiKernel || file == dialect.PiRAMDisk) && b.untold.has(mac) {
		return nil, absent(folder+"/"+file, errors.New("the machine was told no command line in this boot, and its kernel must not start without one: restart the machine"))
	}
	switch file {
	case dialect.PiCmdline:
		text := b.tell(ctx, mac, from, dialect.Pi{Until: until})
		if text == "" {
			return nil, absent(folder+"/"+file, errors.New("the machine has nothing to boot"))
		}
		return textFile(file, text), nil
	case dialect.PiConfig:
		return textFile(file, dialect.PiConfigText), nil
	case dialect.PiKernel:
		return b.depotFile(ctx, from, kit.Kernel.Digest)
	case dialect.PiRAMDisk:
		return b.depotFile(ctx, from, kit.RAMDisk.Digest)
	}
	return b.imageFile(ctx, from, kit, folder+"/"+file, piPlaces(file, kit.Kernels[0].Version))
}

// piKit returns what a Pi boots, or why it boots nothing.
func (b bootFiles) piKit(ctx context.Context, mac provision.MAC, until time.Time) (*depot.Kit, error) {
	spec, decision := b.Decide(mac)
	if decision.Action == provision.ActionKernel || decision.Action == provision.ActionRescue || decision.Action == provision.ActionLive {
		return nil, fmt.Errorf("%s; but %w", decision.Reason, dialect.ErrPiAsIs)
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
	return kit, kit.Kernels[0].Check(dialect.PiProcessor)
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
